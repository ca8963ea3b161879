//! Connections that end at the worst moment, and many requests that meet the same fault at once.

use std::time::Duration;

use s3bulk::error::Kind;
use s3bulk::flow::Cancel;

use crate::fault_server::{Ending, Fault, Moment, Operation, Rule, Script};
use crate::rig::{LARGE, Rig, assert_named, content};

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_seen_however_the_connection_ends() {
    for size in [16 << 10, 12 << 20] {
        for ending in [Ending::Reset, Ending::Fin, Ending::FinAndDrain, Ending::KeepOpen] {
            let denied = Fault::status(403, "AccessDenied").at(Moment::BeforeBody).ending(ending);
            let script = Script::new().rule(Rule::new("fault").on(Operation::PutObject).then(denied));
            let single = s3bulk::config::TransferOptions { multipart_threshold: 64 << 20, ..crate::rig::options() };
            let rig = Rig::with(script, single);
            let error = rig.upload(&content(size)).await.unwrap_err();
            assert!(rig.server.fired("fault") >= 1);
            assert_eq!((error.code(), error.status()), (Some("AccessDenied"), Some(403)), "{size} {ending:?}: {error}");
            assert_named(&error, &rig);
            rig.assert_clean().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_that_comes_late_is_waited_for_and_no_byte_more_is_sent() {
    for ending in [Ending::KeepOpen, Ending::FinAndDrain] {
        let denied = Fault::status(403, "AccessDenied").at(Moment::BeforeBody).ending(ending);
        let rule = Rule::new("fault").on(Operation::PutObject).then(denied);
        let script = Script::new().rule(rule.then(Fault::DelayBody(Duration::from_millis(200))));
        let single = s3bulk::config::TransferOptions { multipart_threshold: 64 << 20, ..crate::rig::options() };
        let rig = Rig::with(script, single);
        let error = rig.upload(&content(32 << 20)).await.unwrap_err();
        assert_eq!((error.code(), error.context().attempts), (Some("AccessDenied"), 1), "{ending:?}: {error}");
        // The answer was there: nobody had to ask again.
        assert_eq!(rig.server.fired("fault"), 1, "{ending:?}");
        let closed = rig.server.wait_until("the connection is closed", |stats| stats.connections_open == 0).await;
        let stats = closed.unwrap();
        assert!(stats.bytes_in < 16 << 20, "{ending:?}: {stats:?}");
        rig.assert_clean().await;
    }
}

fn many_files(rig: &Rig) {
    std::fs::create_dir(rig.source()).unwrap();
    for number in 0..100 {
        std::fs::write(rig.source().join(format!("{number:03}")), [number]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_fails_none_of_many_requests() {
    for seconds in [3_600, -3_600] {
        let rig = Rig::new(Script::new().clock_shift(seconds));
        many_files(&rig);
        let (report, error) = rig.upload_folder(&Cancel::new()).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(report.done.len(), 100);
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_does_not_stop_a_large_file_either() {
    let rig = Rig::new(Script::new().clock_shift(3_600));
    let bytes = content(LARGE);
    rig.upload(&bytes).await.unwrap();
    assert!(rig.server.requests().iter().any(|request| request.status == Some(403)));
    assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes);
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_can_not_be_read_is_asked_for_again_and_then_given_up() {
    let spoiled = || Fault::set_header("x-amz-meta-a", b"a\x01b".to_vec());
    let rig = Rig::new(Script::new().rule(Rule::new("fault").on(Operation::PutObject).first(1).then(spoiled())));
    rig.upload(b"bytes").await.unwrap();
    assert_eq!(rig.server.fired("fault"), 1);
    rig.assert_clean().await;
    let rig = Rig::new(Script::new().rule(Rule::new("fault").on(Operation::PutObject).then(spoiled())));
    let error = rig.upload(b"bytes").await.unwrap_err();
    assert_eq!(error.kind(), &Kind::BadResponse, "{error}");
    assert_named(&error, &rig);
    rig.assert_clean().await;
}
