//! Cancelled uploads end within a second and leave no open upload.

use std::time::{Duration, Instant};

use s3bulk::config::TransferOptions;
use s3bulk::flow::Cancel;

use crate::fault_server::{Fault, Operation, Rule, Script};
use crate::rig::{LARGE, MIDDLING, Rig, content, options};

async fn ends_at_once(size: usize, operation: Operation, fault: Fault) {
    let patient = TransferOptions { read_timeout: Duration::from_secs(60), ..options() };
    let rig = Rig::with(Script::new().rule(Rule::new("fault").on(operation).then(fault)), patient);
    std::fs::write(rig.source(), content(size)).unwrap();
    let cancel = Cancel::new();
    let stop = async {
        rig.server.wait_until("the fault", |stats| stats.fired("fault") > 0).await.unwrap();
        cancel.cancel();
        Instant::now()
    };
    let (sent, began) = tokio::join!(rig.upload_source(&cancel), stop);
    assert!(began.elapsed() < Duration::from_secs(1), "{operation:?}: {:?}", began.elapsed());
    let error = sent.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(error.context().key.as_deref(), Some("key"));
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_put_whose_body_is_stuck() {
    ends_at_once(MIDDLING << 1, Operation::PutObject, Fault::NeverRead).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_put_without_an_answer() {
    ends_at_once(MIDDLING, Operation::PutObject, Fault::HangBeforeHead).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_pause_between_attempts() {
    let later = Fault::status(503, "SlowDown").header("Retry-After", "20");
    ends_at_once(1_000, Operation::PutObject, later.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_create() {
    ends_at_once(LARGE, Operation::CreateMultipartUpload, Fault::DelayHead(Duration::from_millis(300))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_parts() {
    let slow = Fault::SlowRead { bytes: 4 << 10, interval: Duration::from_millis(5) };
    ends_at_once(LARGE, Operation::UploadPart, slow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_complete() {
    ends_at_once(LARGE, Operation::CompleteMultipartUpload, Fault::HangBeforeHead).await;
}
