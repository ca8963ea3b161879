//! Cancelled uploads end within a second and leave no open upload.

use std::time::{Duration, Instant};

use s3bulk::config::TransferOptions;
use s3bulk::error::{Error, Kind};
use s3bulk::flow::Cancel;

use crate::fault_server::{Ending, Fault, Moment, Operation, Rule, Script};
use crate::rig::{LARGE, MIDDLING, Rig, content, options};

async fn ends_at_once(size: usize, operation: Operation, fault: impl Into<Fault>) {
    ends_at_once_by(size, Script::new().rule(Rule::new("fault").on(operation).then(fault))).await;
}

async fn ends_at_once_by(size: usize, script: Script) -> (Rig, Error) {
    let patient = TransferOptions { read_timeout: Duration::from_secs(60), ..options() };
    let rig = Rig::with(script, patient);
    std::fs::write(rig.source(), content(size)).unwrap();
    let cancel = Cancel::new();
    let stop = async {
        rig.server.wait_until("the fault", |stats| stats.fired("fault") > 0).await.unwrap();
        cancel.cancel();
        Instant::now()
    };
    let (sent, began) = tokio::join!(rig.upload_source(&cancel), stop);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let error = sent.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(error.context().key.as_deref(), Some("key"));
    rig.assert_clean().await;
    (rig, error)
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
    ends_at_once(1_000, Operation::PutObject, later).await;
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

/// A Complete whose cancel finds it without an answer, and what else the server does.
async fn during_complete(complete: Fault, others: &[Rule]) -> (Rig, Error) {
    let fault = Rule::new("fault").on(Operation::CompleteMultipartUpload).then(complete);
    let script = others.iter().fold(Script::new().rule(fault), |script, rule| script.rule(rule.clone()));
    let (rig, error) = ends_at_once_by(LARGE, script).await;
    assert_eq!(rig.server.fired("fault"), 1);
    (rig, error)
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_complete_that_is_carried_out_it_says_that_the_object_is_stored() {
    let finds_all = Rule::new("abort").on(Operation::AbortMultipartUpload).then(Fault::status(204, "").empty());
    for others in [vec![], vec![finds_all]] {
        let (rig, error) = during_complete(Fault::HangBeforeHead, &others).await;
        assert!(rig.server.object("bucket", "key").unwrap().bytes == content(LARGE));
        assert_eq!((rig.server.fired("abort"), error.kind()), (others.len(), &Kind::Cancelled), "{error}");
        assert!(error.message().contains("the object is stored"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_complete_that_nobody_can_judge_the_outcome_is_called_unknown() {
    // Refused, and without an answer: a look takes no longer than the cancel may.
    for look in [Fault::status(403, "AccessDenied").into(), Fault::HangBeforeHead] {
        let look = Rule::new("look").on(Operation::HeadObject).then(look);
        let (rig, error) = during_complete(Fault::HangBeforeHead, &[look]).await;
        assert!(rig.server.object("bucket", "key").is_some() && rig.server.fired("look") >= 1);
        assert_eq!(error.kind(), &Kind::OutcomeUnknown, "{error}");
        assert!(error.message().contains("look whether it is before uploading again"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_complete_that_is_not_carried_out_it_is_cancelled_and_nothing_else() {
    let held = Fault::CloseUnanswered { moment: Moment::BeforeBody, ending: Ending::HoldUnread };
    let (rig, error) = during_complete(held, &[]).await;
    assert!(rig.server.object("bucket", "key").is_none());
    assert_eq!((error.kind(), error.message()), (&Kind::Cancelled, "the transfer was cancelled"));
}
