//! TLS with a certificate made for the occasion, and a count of its handshakes.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::state::State;
use super::wire::Stream;

#[derive(Clone)]
pub struct Acceptor {
    acceptor: TlsAcceptor,
}

impl Acceptor {
    /// The acceptor, and the certificate that a client has to trust, as PEM.
    pub fn new(certificate: Certificate) -> Result<(Acceptor, String), Box<dyn std::error::Error>> {
        let (acceptor, pem) = certificate.self_signed()?;
        Ok((Acceptor { acceptor }, pem))
    }

    pub async fn accept(&self, stream: Stream, state: &State) -> Option<Stream> {
        let Stream::Plain(tcp) = stream else { return Some(stream) };
        let secured = self.acceptor.accept(tcp).await.ok()?;
        let resumed = secured.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        state.stats.send_modify(|stats| {
            if resumed { stats.tls_resumed_handshakes += 1 } else { stats.tls_full_handshakes += 1 }
        });
        Some(Stream::Tls(Box::new(secured)))
    }
}

/// This machine, and what tests call it.
const NAMES: &[&str] =
    &["localhost", "127.0.0.1", "s3.test", "*.s3.test", "*.s3.us-east-1.amazonaws.com", "*.s3.eu-west-1.amazonaws.com"];

/// What the server's certificate is like. All are their own issuers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    Good,
    /// One that may issue others, as `openssl req -x509` makes it.
    Authority,
    /// For another host.
    OtherName,
    Expired,
}

impl Certificate {
    fn self_signed(self) -> Result<(TlsAcceptor, String), Box<dyn std::error::Error>> {
        let names = match self {
            Certificate::OtherName => vec!["other.test".to_owned()],
            _ => NAMES.iter().map(|name| (*name).to_owned()).collect(),
        };
        // Two that are strangers to each other must not seem to be each other's issuers.
        let own_name = names.first().cloned().unwrap_or_default();
        let mut params = rcgen::CertificateParams::new(names)?;
        params.distinguished_name.push(rcgen::DnType::CommonName, own_name);
        match self {
            Certificate::Authority => params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
            Certificate::Expired => params.not_after = rcgen::date_time_ymd(2001, 1, 1),
            _ => {}
        }
        let signing_key = rcgen::KeyPair::generate()?;
        let certificate = params.self_signed(&signing_key)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        // The provider is named: a second one in the tree must not make rustls panic over the choice.
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok((TlsAcceptor::from(Arc::new(config)), certificate.pem()))
    }
}

/// An acceptor for this machine and for the names of tests, and its certificate.
pub fn self_signed() -> Result<(TlsAcceptor, String), Box<dyn std::error::Error>> {
    Certificate::Good.self_signed()
}
