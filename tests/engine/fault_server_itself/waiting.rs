//! Counters, conditions, and TLS.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::raw_client::Client;
use crate::fault_server::{Ending, Fault, FaultServer, Moment, Operation, Rule, Script};

#[tokio::test]
async fn a_condition_is_seen_at_once_or_times_out_with_the_last_state() {
    let server = FaultServer::start(Script::new());
    let mut client = Client::connect(&server).await;
    let asked = async { client.ask("HEAD /b", &[], b"").await.status };
    let seen = server.wait_until("a request", |stats| stats.count(Operation::HeadBucket) == 1);
    let (status, stats) = tokio::join!(asked, seen);
    assert_eq!((status, stats.unwrap().connections_open), (404, 1));
    let never = server.wait_at_most(Duration::from_millis(20), "a second one", |stats| stats.requests() == 2).await;
    let timed_out = never.unwrap_err();
    assert_eq!((timed_out.what.as_str(), timed_out.last.requests()), ("a second one", 1));
}

#[tokio::test]
async fn peaks_and_bytes_are_counted() {
    let rule = Rule::new("hold").on(Operation::HeadBucket).then(Fault::HangBeforeHead);
    let server = FaultServer::start(Script::new().rule(rule));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(&server).await;
        client.send("HEAD /b", &[], b"").await;
        clients.push(client);
    }
    server.wait_until("three hang", |stats| stats.held == 3).await.unwrap();
    drop(clients);
    let stats = server.wait_until("all are gone", |stats| stats.connections_open == 0).await.unwrap();
    assert_eq!((stats.connections_peak, stats.requests_peak, stats.requests_in_flight), (3, 3, 0));
    assert_eq!((stats.connections_accepted, stats.held_until_peer_closed, stats.bytes_out), (3, 3, 0));
    assert!(stats.bytes_in > 3 * 20);
}

fn connector(server: &FaultServer) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.certificate_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// The status line's first bytes, or the error of the handshake or of the read.
async fn head_over_tls(server: &FaultServer, connector: &TlsConnector) -> std::io::Result<String> {
    let stream = tokio::net::TcpStream::connect(server.address()).await?;
    let mut stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await?;
    stream.write_all(b"HEAD /b HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await?;
    let mut bytes = [0; 12];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn handshakes_succeed_and_are_counted_full_or_resumed() {
    let server = FaultServer::start(Script::new().tls());
    assert!(server.endpoint().starts_with("https://127.0.0.1:"));
    let connector = connector(&server);
    for _ in 0..2 {
        assert_eq!(head_over_tls(&server, &connector).await.unwrap(), "HTTP/1.1 404");
    }
    let stats = server.stats();
    assert_eq!((stats.tls_full_handshakes, stats.tls_resumed_handshakes), (1, 1));
}

#[tokio::test]
async fn a_handshake_is_delayed_or_cut() {
    let delay = Duration::from_millis(80);
    let cut = Fault::CloseUnanswered { moment: Moment::BeforeBody, ending: Ending::Fin };
    let script = Script::new()
        .tls()
        .rule(Rule::new("late").on(Operation::Connect).nth(1).then(Fault::DelayRead(delay)))
        .rule(Rule::new("cut").on(Operation::Connect).nth(1).then(cut));
    let server = FaultServer::start(script);
    let connector = connector(&server);
    let begun = std::time::Instant::now();
    assert_eq!(head_over_tls(&server, &connector).await.unwrap(), "HTTP/1.1 404");
    assert!(begun.elapsed() >= delay);
    assert!(head_over_tls(&server, &connector).await.is_err());
    assert_eq!((server.fired("late"), server.fired("cut"), server.stats().tls_full_handshakes), (1, 1, 1));
}
