//! What requests say of themselves: nothing that some server refuses, nothing that a proxy may change under a signature.

use http::{Method, header};
use s3bulk::config::{Secret, TransferOptions};
use s3bulk::wire::body::Payload;
use s3bulk::wire::object::{Limits, ObjectRequest};
use s3bulk::wire::response::ServerResponse;
use s3bulk::wire::sign::UNSIGNED;

use crate::download_setup::on;
use crate::fault_server::{Ending, Fault, FaultServer, Moment, Operation, RequestRecord, Rule, Script};
use crate::rig::{LARGE, MIDDLING, Rig, SMALL, content, options, watched};

fn bodies(rig: &Rig) -> Vec<RequestRecord> {
    let mut requests = rig.server.requests_of(Operation::PutObject);
    requests.extend(rig.server.requests_of(Operation::UploadPart));
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_with_its_length_and_one_checksum() {
    for size in [0, 1, SMALL, MIDDLING, LARGE] {
        let rig = Rig::new(Script::new());
        rig.upload(&content(size)).await.unwrap();
        let requests = bodies(&rig);
        assert_eq!(requests.len(), if size == LARGE { 3 } else { 1 });
        for request in requests {
            let sums = request.headers.iter().filter(|(name, _)| name.starts_with("x-amz-checksum-"));
            assert_eq!(sums.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-amz-checksum-crc64nvme"]);
            assert_eq!(request.header("content-length"), Some(request.body_bytes.to_string().as_str()), "{size}");
            for refused in ["content-md5", "x-amz-sdk-checksum-algorithm", "transfer-encoding", "x-amz-trailer"] {
                assert_eq!(request.header(refused), None, "{size}");
            }
        }
        rig.assert_clean().await;
    }
}

/// An https server that the rig trusts.
fn https() -> Rig {
    let server = FaultServer::start(Script::new().tls());
    let bundle = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bundle.path(), server.certificate_pem().unwrap()).unwrap();
    Rig::over(server, options(), |config| config.ca_bundle = Some(bundle.path().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_signed_over_http_and_summed_over_https() {
    for (rig, signed) in [(Rig::new(Script::new()), true), (https(), false)] {
        for size in [SMALL, MIDDLING, LARGE] {
            rig.upload(&content(size)).await.unwrap();
        }
        let requests = bodies(&rig);
        assert_eq!(requests.len(), 5);
        for request in requests {
            let hash = request.header("x-amz-content-sha256").expect("never without");
            let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(if signed { is_hash } else { hash == UNSIGNED }, "{hash}");
            assert!(request.header("x-amz-checksum-crc64nvme").is_some());
        }
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proxies_change_is_not_signed() {
    let rig = Rig::new(Script::new());
    rig.upload(&content(SMALL)).await.unwrap();
    rig.download().await.unwrap();
    let requests = rig.server.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let authorization = request.header("authorization").unwrap();
        let signed = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
        assert!(signed.split(';').all(|name| ["host", "content-type"].contains(&name) || name.starts_with("x-amz-")));
        assert!(signed.contains("host") && signed.contains("x-amz-content-sha256"), "{signed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_be_compressed_by_google_alone() {
    for (endpoint, expected) in [("http://s3.test", "identity"), ("http://storage.googleapis.com", "gzip")] {
        // The server plays the proxy.
        let server = FaultServer::start(Script::new());
        let proxy = format!("http://{}", server.address());
        let rig = Rig::over(server, options(), |config| {
            config.endpoint_url = Some(endpoint.into());
            config.proxies.http = Some(Secret::new(proxy));
        });
        for size in [SMALL, LARGE] {
            rig.server.put("bucket", "key", content(size));
            rig.download().await.unwrap();
        }
        let requests = rig.server.requests_of(Operation::GetObject);
        assert_eq!(requests.len(), 4);
        assert!(requests.iter().all(|request| request.header("accept-encoding") == Some(expected)), "{requests:?}");
    }
}

/// A PUT that asks before it sends its body.
async fn ask_first(rig: &Rig) -> s3bulk::error::Result<ServerResponse> {
    let request = ObjectRequest {
        payload: Payload::Bytes(content(MIDDLING).into()),
        sha256: Some(UNSIGNED.into()),
        ..ObjectRequest::new("PutObject", Method::PUT, "bucket", "key")
    };
    let client = rig.engine.client();
    let mut limits = Limits::new(client.options(), None);
    limits.expect_continue = true;
    watched(client.wire().attempt(&request, limits)).await
}

fn asking(script: Script) -> Rig {
    // Silence is waited for longer than tests usually wait for an answer.
    Rig::with(script, TransferOptions { read_timeout: std::time::Duration::from_secs(10), ..options() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_asks_first_is_sent_when_it_may_or_nobody_says_no() {
    for rule in [Rule::new("none").nth(9), Rule::new("silent").then(Fault::IgnoreExpect)] {
        let rig = asking(Script::new().rule(rule));
        let answer = ask_first(&rig).await.unwrap();
        assert!(answer.header(header::ETAG).is_some());
        let request = rig.server.requests_of(Operation::PutObject).pop().unwrap();
        assert_eq!((request.header("expect"), request.body_bytes), (Some("100-continue"), MIDDLING as u64));
        assert!(!request.header("authorization").unwrap().contains("expect"), "a proxy may answer for the server");
        assert!(rig.server.object("bucket", "key").unwrap().bytes == content(MIDDLING));
        drop(answer);
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_body_that_is_refused_when_it_asks_no_byte_is_sent() {
    for (status, code) in [(403, "AccessDenied"), (417, "ExpectationFailed")] {
        let refused = Fault::status(status, code).at(Moment::BeforeBody).ending(Ending::FinAndDrain);
        let rig = asking(Script::new().rule(on(Operation::PutObject).with_header("expect").then(refused)));
        let answer = ask_first(&rig).await;
        let request = &rig.server.requests_of(Operation::PutObject)[0];
        assert_eq!((rig.server.fired("fault"), request.body_bytes), (1, 0));
        if status == 403 {
            assert_eq!(answer.err().unwrap().code(), Some(code));
        } else {
            // The server does not know the header: RFC 9110 section 10.1.1 wants the request again without it.
            drop(answer.unwrap());
            assert!(rig.server.object("bucket", "key").unwrap().bytes == content(MIDDLING));
        }
        rig.assert_clean().await;
    }
}
