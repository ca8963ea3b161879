//! One TLS configuration for both planes: trusted certificates, session cache, HTTP/1.1 only.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_native_certs::{CertificateResult, ErrorKind};
use tokio_rustls::TlsConnector;

use crate::error::{Error, Kind, Result};

/// TLS for a pool; built on the first connection that needs it, since loading the system's certificates takes longer
/// than building everything else of a client.
pub struct Tls {
    bundle: Option<(PathBuf, Vec<CertificateDer<'static>>)>,
    verify: bool,
    /// How the system's certificates are found.
    find: fn() -> CertificateResult,
    connector: Mutex<Option<TlsConnector>>,
}

impl Tls {
    /// Reads the caller's bundle, if there is one, so that a bad file is an error when the client is made.
    pub fn new(ca_bundle: Option<&Path>) -> Result<Self> {
        let bundle = match ca_bundle {
            Some(path) => Some((path.to_owned(), certificates(path)?)),
            None => None,
        };
        let find = rustls_native_certs::load_native_certs;
        Ok(Self { bundle, verify: true, find, connector: Mutex::default() })
    }

    /// Takes every certificate for good, because the caller has said so.
    pub fn unverified() -> Self {
        let find = rustls_native_certs::load_native_certs;
        Self { bundle: None, verify: false, find, connector: Mutex::default() }
    }

    /// The connector, the same for all connections, so that they share one session cache. What could not be built is
    /// built again for the next connection: a lack of descriptors passes, a file is mended.
    pub fn connector(&self) -> Result<TlsConnector> {
        let mut connector = self.connector.lock().unwrap_or_else(PoisonError::into_inner);
        match &*connector {
            Some(known) => Ok(known.clone()),
            None => Ok(connector.insert(self.build()?).clone()),
        }
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
        let Some((path, certificates)) = &self.bundle else { return system_roots((self.find)()) };
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate.clone()).map_err(|error| {
                let text = format!("CA bundle {} holds a certificate that can't be used", path.display());
                Error::new(Kind::Tls, text).at_path(path).caused_by(error)
            })?;
        }
        Ok(roots)
    }
}

/// What the system trusts. Mozilla's certificates only where it has none: where there are some that can't be read, they
/// may have been chosen to be fewer.
fn system_roots(found: CertificateResult) -> Result<RootCertStore> {
    let failed = found.errors.into_iter().filter(|error| !is_missing(error));
    let mut errors: Vec<Error> = failed.map(unreadable).collect();
    // Those that could be opened are not all; which are missing nobody would know.
    if let Some(exhausted) = errors.iter().position(Error::is_exhausted) {
        return Err(errors.swap_remove(exhausted));
    }
    let is_bare = found.certs.is_empty() && errors.is_empty();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if is_bare {
        // Slim images have no certificates at all; the built-in ones are Mozilla's, as in botocore's certifi.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if roots.is_empty() {
        let useless = || Error::new(Kind::Tls, format!("none of the system's certificates can be used; {ELSEWHERE}"));
        return Err(errors.into_iter().next().unwrap_or_else(useless));
    }
    Ok(roots)
}

/// Where the system's certificates are, when they are elsewhere.
const ELSEWHERE: &str = "SSL_CERT_FILE and SSL_CERT_DIR say where they are, AWS_CA_BUNDLE names others";

/// Where a variable names what is not there, there is nothing: boto3 looks at neither variable, and works too.
fn is_missing(error: &rustls_native_certs::Error) -> bool {
    matches!(&error.kind, ErrorKind::Io { inner, .. } if inner.kind() == io::ErrorKind::NotFound)
}

fn unreadable(error: rustls_native_certs::Error) -> Error {
    let text = format!("the system's certificates can't be read: {error}; {ELSEWHERE}");
    match error.kind {
        ErrorKind::Io { inner, path } => {
            let below = Error::io(inner, "reading certificates", &path);
            // Without descriptors there is no connection, and that is waited for.
            let kind = if below.is_exhausted() { Kind::Connect } else { Kind::Tls };
            Error::new(kind, text).at_path(path).caused_by(below)
        }
        _ => Error::new(Kind::Tls, text).caused_by(error),
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
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::wire::retry::{Class, classify};

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
        assert!(tls.connector.lock().unwrap().is_none());
        assert!(tls.connector().is_ok());
    }

    fn found(certs: &[&CertificateDer<'static>], errors: Vec<rustls_native_certs::Error>) -> CertificateResult {
        let mut found = CertificateResult::default();
        found.certs = certs.iter().map(|&certificate| certificate.clone()).collect();
        found.errors = errors;
        found
    }

    fn failed(number: rustix::io::Errno) -> rustls_native_certs::Error {
        let inner = std::io::Error::from_raw_os_error(number.raw_os_error());
        let kind = ErrorKind::Io { inner, path: "/certificates/all.pem".into() };
        rustls_native_certs::Error { context: "failed to read PEM from file", kind }
    }

    #[test]
    fn mozillas_certificates_are_trusted_only_where_there_are_none_and_nothing_failed() {
        use rustix::io::Errno;
        let good = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap().cert.der().clone();
        let bad = CertificateDer::from(b"no certificate".to_vec());
        let mozillas = webpki_roots::TLS_SERVER_ROOTS.len();
        let pem = || rustls_native_certs::Error {
            context: "failed to read PEM from file",
            kind: ErrorKind::Pem(rustls::pki_types::pem::Error::NoItemsFound),
        };
        for (found, trusted) in [
            (found(&[], vec![]), Some(mozillas)),
            (found(&[&good], vec![]), Some(1)),
            (found(&[&good, &bad], vec![failed(Errno::ACCESS), pem()]), Some(1)),
            (found(&[], vec![failed(Errno::ACCESS)]), None),
            (found(&[], vec![failed(Errno::NOENT)]), Some(mozillas)),
            (found(&[], vec![failed(Errno::NOENT), failed(Errno::ACCESS)]), None),
            (found(&[], vec![pem()]), None),
            (found(&[&bad], vec![]), None),
            (found(&[], vec![failed(Errno::MFILE)]), None),
            (found(&[&good], vec![failed(Errno::ACCESS), failed(Errno::NFILE)]), None),
        ] {
            let text = format!("{found:?}");
            let roots = system_roots(found);
            assert_eq!(roots.as_ref().ok().map(RootCertStore::len), trusted, "{text}");
            if let Err(error) = roots {
                assert!(error.message().contains("AWS_CA_BUNDLE"), "{error}");
                let names_the_file = error.message().contains("/certificates/all.pem");
                assert_eq!(names_the_file, text.contains("all.pem"), "{error}");
            }
        }
    }

    #[test]
    fn certificates_that_can_not_be_read_for_want_of_descriptors_are_waited_for() {
        let exhausted = system_roots(found(&[], vec![failed(rustix::io::Errno::MFILE)])).unwrap_err();
        assert_eq!(classify(&exhausted), Class::Exhausted);
        let refused = system_roots(found(&[], vec![failed(rustix::io::Errno::ACCESS)])).unwrap_err();
        assert_eq!((classify(&refused), refused.kind()), (Class::Fatal, &Kind::Tls));
    }

    #[test]
    fn certificates_that_could_not_be_read_are_looked_for_again() {
        static TIMES: AtomicUsize = AtomicUsize::new(0);
        let find = || match TIMES.fetch_add(1, Relaxed) {
            0 => found(&[], vec![failed(rustix::io::Errno::MFILE)]),
            _ => CertificateResult::default(),
        };
        let tls = Tls { find, ..Tls::new(None).unwrap() };
        assert_eq!(tls.connector().err().unwrap().kind(), &Kind::Connect);
        assert!(tls.connector().is_ok() && tls.connector().is_ok());
        assert_eq!(TIMES.load(Relaxed), 2);
    }
}
