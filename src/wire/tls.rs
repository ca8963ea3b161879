//! One TLS configuration for both planes: trusted certificates, session cache, HTTP/1.1 only.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use crate::error::{Error, Kind, Result};

/// TLS for a pool; built on the first connection that needs it, since loading the system's certificates takes longer
/// than building everything else of a client.
pub struct Tls {
    bundle: Option<(PathBuf, Vec<CertificateDer<'static>>)>,
    verify: bool,
    connector: OnceLock<Result<TlsConnector>>,
}

impl Tls {
    /// Reads the caller's bundle, if there is one, so that a bad file is an error when the client is made.
    pub fn new(ca_bundle: Option<&Path>) -> Result<Self> {
        let bundle = match ca_bundle {
            Some(path) => Some((path.to_owned(), certificates(path)?)),
            None => None,
        };
        Ok(Self { bundle, verify: true, connector: OnceLock::new() })
    }

    /// Takes every certificate for good, because the caller has said so.
    pub fn unverified() -> Self {
        Self { bundle: None, verify: false, connector: OnceLock::new() }
    }

    /// The connector, the same for all connections, so that they share one session cache.
    pub fn connector(&self) -> Result<TlsConnector> {
        self.connector.get_or_init(|| self.build()).clone()
    }

    fn build(&self) -> Result<TlsConnector> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(Kind::Tls, "no usable TLS version").caused_by(error))?;
        let builder = match self.verify {
            true => builder.with_root_certificates(self.roots()?),
            false => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        match &self.bundle {
            Some((path, certificates)) => {
                for certificate in certificates {
                    roots.add(certificate.clone()).map_err(|error| {
                        let text = format!("CA bundle {} holds a certificate that can't be used", path.display());
                        Error::new(Kind::Tls, text).at_path(path).caused_by(error)
                    })?;
                }
            }
            None => {
                let native = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(native.certs);
                if roots.is_empty() {
                    // Slim images have no certificates at all; the built-in ones are Mozilla's, as in botocore's certifi.
                    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                }
            }
        }
        Ok(roots)
    }
}

/// Believes everybody: `verify=False` of the caller's client. The handshake's own signatures are still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The name that the server's certificate must carry.
pub fn server_name(host: &str) -> Result<ServerName<'static>> {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(host.clone())
        .map_err(|error| Error::new(Kind::Tls, format!("{host:?} is no name for a certificate")).caused_by(error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let refuse = |text: String| Error::new(Kind::InvalidConfiguration, text).at_path(path);
    let bad = |error: rustls::pki_types::pem::Error| refuse(format!("CA bundle {}: {error}", path.display()));
    let list = CertificateDer::pem_file_iter(path).map_err(bad)?.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    if list.is_empty() {
        return Err(refuse(format!("CA bundle {} holds no certificate", path.display())));
    }
    let mut usable = RootCertStore::empty();
    for certificate in &list {
        usable.add(certificate.clone()).map_err(|error| {
            refuse(format!("CA bundle {} holds a certificate that can't be used: {error}", path.display()))
        })?;
    }
    Ok(list)
}

/// What a failed handshake means: a certificate that is refused stays refused, a cut connection may be tried again.
pub fn handshake_error(error: std::io::Error, host: &str) -> Error {
    let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).map(explain);
    match refused {
        Some(text) => Error::new(Kind::Tls, format!("SSL validation failed for {host}: {text}")).caused_by(error),
        None => Error::new(Kind::ConnectionClosed, format!("the TLS handshake with {host} was cut")).caused_by(error),
    }
}

fn explain(error: &rustls::Error) -> String {
    let hint = match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "; name the file with its issuer in AWS_CA_BUNDLE"
        }
        rustls::Error::InvalidCertificate(_) if error.to_string().contains("CaUsedAsEndEntity") => {
            "; the server uses its CA certificate as its own: make it a certificate of its own with CA:FALSE"
        }
        rustls::Error::InvalidMessage(_) => "; does this port speak https?",
        _ => "",
    };
    format!("{error}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GARBAGE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_bad_bundle_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bundle.pem");
        for content in [None, Some(""), Some("no certificate"), Some("-----BEGIN CERTIFICATE-----\nAAA"), Some(GARBAGE)]
        {
            if let Some(content) = content {
                std::fs::write(&file, content).unwrap();
            }
            let error = Tls::new(Some(&file)).err().unwrap();
            assert!(error.message().contains("bundle.pem"), "{error}");
        }
    }

    #[test]
    fn without_a_bundle_nothing_is_loaded_yet() {
        let tls = Tls::new(None).unwrap();
        assert!(tls.connector.get().is_none());
        assert!(tls.connector().is_ok());
    }
}
