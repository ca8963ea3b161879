//! TLS: what may be tried again is, what is refused is refused at once and says why.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use s3bulk::config::TransferOptions;
use s3bulk::error::Kind;

use crate::download_setup::{arrives_at, on};
use crate::fault_server::{Certificate, Ending, Fault, FaultServer, Operation, Script};
use crate::rig::{LARGE, MIDDLING, Rig, SMALL, content, options, unhurried, watched};

/// A rig that trusts its server, whatever the server's certificate is like.
fn trusting(script: Script, options: TransferOptions) -> Rig {
    let server = FaultServer::start(script);
    let bundle = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bundle.path(), server.certificate_pem().unwrap()).unwrap();
    Rig::over(server, options, |config| config.ca_bundle = Some(bundle.path().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_moves_over_tls_and_later_connections_resume() {
    let closing = on(Operation::PutObject).then(Fault::set_header("connection", "close"));
    let rig = trusting(Script::new().tls().rule(closing.then(Fault::EndWith(Ending::Fin))), unhurried());
    for size in [SMALL, MIDDLING, LARGE] {
        rig.upload(&content(size)).await.unwrap();
        rig.download().await.unwrap();
        assert!(std::fs::read(rig.target()).unwrap() == content(size));
    }
    let stats = rig.server.stats();
    assert!(stats.tls_full_handshakes >= 1 && stats.tls_resumed_handshakes >= 1, "{stats:?}");
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_refused_says_why_and_is_looked_at_once() {
    for (certificate, trusted, says) in [
        (Certificate::Good, false, "AWS_CA_BUNDLE"),
        (Certificate::Authority, true, "CA:FALSE"),
        (Certificate::OtherName, true, "127.0.0.1"),
        (Certificate::Expired, true, "expired"),
    ] {
        let rig = if trusted {
            trusting(Script::new().certificate(certificate), options())
        } else {
            let stranger = FaultServer::start(Script::new().certificate(Certificate::OtherName));
            let bundle = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(bundle.path(), stranger.certificate_pem().unwrap()).unwrap();
            let server = FaultServer::start(Script::new().certificate(certificate));
            Rig::over(server, options(), |config| config.ca_bundle = Some(bundle.path().to_owned()))
        };
        let error = rig.upload(b"x").await.unwrap_err();
        assert_eq!((error.kind(), error.context().attempts), (&Kind::Tls, 1), "{certificate:?}: {error}");
        assert!(error.message().contains(says), "{certificate:?}: {error}");
        let stats = rig.server.stats();
        assert_eq!((stats.connections_accepted, stats.requests()), (1, 0), "{certificate:?}");
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_cut_is_tried_again() {
    for ending in [Ending::Fin, Ending::Reset] {
        for bytes in [0, 5, 100] {
            let cut = on(Operation::Connect).first(2).then(Fault::EndAfterReading { bytes, ending });
            let rig = trusting(Script::new().tls().rule(cut), options());
            rig.upload(b"bytes").await.unwrap();
            assert_eq!(rig.server.fired("fault"), 2);
            rig.assert_clean().await;
        }
    }
    let cut = on(Operation::Connect).then(Fault::EndAfterReading { bytes: 5, ending: Ending::Reset });
    let rig = trusting(Script::new().tls().rule(cut), options());
    let error = rig.upload(b"bytes").await.unwrap_err();
    assert_eq!((error.kind(), rig.server.fired("fault")), (&Kind::ConnectionClosed, 4), "{error}");
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_without_an_answer_ends_with_the_connect_timeout() {
    let silent = on(Operation::Connect).then(Fault::NeverRead);
    let options = TransferOptions { connect_timeout: Duration::from_millis(200), max_attempts: 2, ..options() };
    let rig = trusting(Script::new().tls().rule(silent), options);
    let error = rig.upload(b"bytes").await.unwrap_err();
    assert_eq!(error.kind(), &Kind::ConnectTimeout, "{error}");
    assert!(rig.server.fired("fault") >= 2);
    rig.server.wait_until("nothing is held", |stats| stats.held == 0).await.unwrap();
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_without_a_word_is_whole_if_its_bytes_are() {
    for (faults, size) in [
        (vec![Fault::EndWith(Ending::Reset)], MIDDLING),
        (vec![Fault::EndWith(Ending::Fin)], SMALL),
        (vec![Fault::CutBody { after: 10, ending: Ending::Fin }], SMALL),
        (vec![Fault::CloseDelimited, Fault::CutBody { after: 1 << 20, ending: Ending::Fin }], MIDDLING),
    ] {
        let rule = faults.into_iter().fold(on(Operation::GetObject).first(1), |rule, fault| rule.then(fault));
        let rig = trusting(Script::new().tls().rule(rule), unhurried());
        rig.server.put("bucket", "key", content(size));
        arrives_at(rig, &content(size)).await;
    }
}

/// A server that knows TLS 1.1 and nothing newer: its whole answer to any ClientHello. RFC 4346 section 7.4.1.3.
const HELLO_OF_TLS_1_1: [u8; 47] = {
    let mut record = [7; 47];
    let head = [0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    let mut at = 0;
    while at < head.len() {
        record[at] = head[at];
        at += 1;
    }
    // No session; TLS_RSA_WITH_AES_128_CBC_SHA; no compression.
    (record[43], record[44], record[45], record[46]) = (0, 0, 0x2f, 0);
    record
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_tls_1_2_is_refused_before_anything_is_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let old = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 4096];
        let length = stream.read(&mut hello).unwrap();
        stream.write_all(&HELLO_OF_TLS_1_1).unwrap();
        let mut rest = Vec::new();
        let _its_alert_or_a_reset = stream.read_to_end(&mut rest);
        (length, rest)
    });
    let rig = Rig::over(FaultServer::start(Script::new()), options(), |config| {
        config.endpoint_url = Some(format!("https://{address}"));
    });
    let error = watched(rig.upload(b"secret bytes")).await.unwrap_err();
    assert_eq!((error.kind(), error.context().attempts), (&Kind::Tls, 1), "{error}");
    let (hello, rest) = old.join().unwrap();
    // An alert and nothing else: record type 21.
    assert!(hello > 0 && (rest.is_empty() || rest[0] == 21) && rest.len() < 50, "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_spoken_to_a_server_that_speaks_http_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let length = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        let _its_alert_or_a_reset = stream.read_to_end(&mut Vec::new());
        length
    });
    let rig = Rig::over(FaultServer::start(Script::new()), options(), |config| {
        config.endpoint_url = Some(format!("https://{address}"));
    });
    let error = watched(rig.upload(b"x")).await.unwrap_err();
    assert_eq!((error.kind(), error.context().attempts), (&Kind::Tls, 1), "{error}");
    assert!(error.message().contains("does this port speak https?"), "{error}");
    assert!(server.join().unwrap() > 0);
}
