//! TLS with a certificate made for the occasion, and a count of its handshakes.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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
    pub fn new() -> Result<(Acceptor, String), Box<dyn std::error::Error>> {
        let (acceptor, pem) = self_signed()?;
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

/// An acceptor for this machine and for `s3.test`, and its certificate.
pub fn self_signed() -> Result<(TlsAcceptor, String), Box<dyn std::error::Error>> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "s3.test".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    // The provider is named: a second one in the tree must not make rustls panic over the choice.
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), pem(certified.cert.der())))
}

/// RFC 7468, section 2: 64 columns.
fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
