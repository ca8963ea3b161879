//! Answers that are meant to harm: they lead nowhere else, and take no more than a bounded part of our memory and time.

use s3bulk::error::Kind;

use crate::download_setup::on;
use crate::fault_server::{Fault, FaultServer, Operation, Script};
use crate::rig::{Rig, SMALL, content};

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_leads_off_the_host() {
    let elsewhere = FaultServer::start(Script::new());
    elsewhere.put("bucket", "key", content(SMALL));
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/bucket/key", elsewhere.endpoint());
        let away = Fault::status(status, "TemporaryRedirect")
            .header("Location", &location)
            .header("x-amz-bucket-region", "eu-west-1");
        let rig = Rig::new(Script::new().rule(on(Operation::GetObject).on(Operation::PutObject).then(away)));
        rig.server.put("bucket", "key", content(SMALL));
        assert_eq!(rig.upload(b"x").await.unwrap_err().status(), Some(status));
        assert_eq!(rig.download().await.unwrap_err().status(), Some(status));
        assert_eq!(rig.server.fired("fault"), 2, "{status}: asked again");
        rig.server
            .add_rule(on(Operation::ListObjectsV2).then(Fault::status(status, "x").header("Location", &location)));
        let (_, _, error) = crate::download_setup::take(&rig).await;
        assert_eq!(error.expect("an error").status(), Some(status));
        assert!(!rig.target().join("key").exists());
    }
    assert_eq!(elsewhere.stats().connections_accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_document_without_an_end_is_not_read_to_it() {
    let endless = Fault::status(403, "AccessDenied").message(&"no ".repeat(100_000));
    for operation in [Operation::GetObject, Operation::PutObject] {
        let rig = Rig::new(Script::new().rule(on(operation).then(endless.clone())));
        rig.server.put("bucket", "key", content(SMALL));
        let error = match operation {
            Operation::GetObject => rig.download().await.unwrap_err(),
            _ => rig.upload(b"x").await.unwrap_err(),
        };
        assert_eq!(error.status(), Some(403), "{error}");
        assert!(rig.server.fired("fault") >= 1 && error.to_string().len() < 1 << 10, "{}", error.to_string().len());
        rig.server.wait_until("its connection is given up", |stats| stats.requests_in_flight == 0).await.unwrap();
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_an_end_are_given_up() {
    let many: String = (0..5_000).map(|number| format!("x-amz-meta-{number}: v\r\n")).collect();
    for fault in [
        Fault::Garbage(format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n").into_bytes()),
        Fault::set_header("x-amz-meta-large", vec![b'a'; 1 << 20]),
        Fault::Garbage([b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 1 << 20]].concat()),
    ] {
        for operation in [Operation::GetObject, Operation::PutObject, Operation::ListObjectsV2] {
            let rig = Rig::new(Script::new().rule(on(operation).then(fault.clone())));
            rig.server.put("bucket", "key", content(SMALL));
            let error = match operation {
                Operation::GetObject => rig.download().await.unwrap_err(),
                Operation::PutObject => rig.upload(b"x").await.unwrap_err(),
                _ => crate::download_setup::take(&rig).await.2.expect("an error"),
            };
            assert_eq!(error.kind(), &Kind::BadResponse, "{operation:?}: {error}");
            // Once with the usual room for headers, once with more, and that four times at most.
            assert!((1..=8).contains(&rig.server.fired("fault")), "{operation:?}: {}", rig.server.fired("fault"));
            rig.assert_clean().await;
        }
    }
}
