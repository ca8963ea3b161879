//! Servers that fall silent: at whatever point of whatever request, the transfer ends with an error that says so.

use std::time::Duration;

use s3bulk::config::TransferOptions;
use s3bulk::error::{Error, Kind};
use s3bulk::flow::Cancel;

use crate::download_setup::{files, on};
use crate::fault_server::{Fault, Operation, Rule, Script};
use crate::rig::{LARGE, Rig, SMALL, content, options, watched};

const TWO_PARTS: usize = (6 << 20) + 1;

/// What a transfer that meets `operation` ends with, when the server never gets over `fault`. `None`: all is well, since a
/// Complete that was carried out and not answered is judged by what is stored.
async fn error_of(operation: Operation, fault: Fault) -> (Rig, Option<Error>) {
    let options = TransferOptions { max_attempts: 2, read_timeout: Duration::from_secs(2), ..options() };
    let rig = Rig::with(Script::new().rule(on(operation).then(fault)), options);
    let cancel = Cancel::new();
    let error = match operation {
        Operation::HeadObject | Operation::GetObject => {
            rig.server.put("bucket", "key", content(LARGE));
            std::fs::write(rig.target(), b"old").unwrap();
            let error = rig.download().await.unwrap_err();
            assert_eq!(std::fs::read(rig.target()).unwrap(), b"old");
            assert_eq!(rig.names(), ["target"]);
            Some(error)
        }
        Operation::ListObjectsV2 => {
            rig.server.put("bucket", "p/key", content(SMALL));
            let error = rig.download_prefix("p", &cancel).await.1.expect("an error");
            assert!(files(&rig).is_empty());
            Some(error)
        }
        Operation::PutObject => Some(rig.upload(&content(SMALL)).await.unwrap_err()),
        Operation::HeadBucket | Operation::CreateBucket => {
            Some(watched(rig.engine.ensure_bucket("missing", "", |_| (), &cancel)).await.unwrap_err())
        }
        Operation::ListMultipartUploads => {
            let left = rig.engine.abort_incomplete_uploads("bucket", "", Duration::ZERO, false, &cancel);
            Some(watched(left).await.unwrap_err())
        }
        Operation::CompleteMultipartUpload => {
            let sent = rig.upload(&content(TWO_PARTS)).await;
            let is_stored = rig.server.object("bucket", "key").is_some_and(|it| it.bytes == content(TWO_PARTS));
            assert_eq!(sent.is_ok(), is_stored, "{sent:?}");
            sent.err()
        }
        _ => Some(rig.upload(&content(TWO_PARTS)).await.unwrap_err()),
    };
    (rig, error)
}

async fn ends_with(operation: Operation, fault: Fault) {
    let (rig, error) = error_of(operation, fault.clone()).await;
    assert!(rig.server.fired("fault") >= 1, "{operation:?} {fault:?}: {error:?}");
    let Some(error) = error else { return rig.assert_clean().await };
    let what = format!("{operation:?} {fault:?}: {error}");
    assert!(matches!(error.kind(), Kind::ReadTimeout | Kind::OutcomeUnknown), "{what}");
    assert_eq!(error.context().operation.map(str::to_owned), Some(format!("{operation:?}")), "{what}");
    // A server that does not read can't see behind what it has not read that its peer has gone.
    if !(matches!(fault, Fault::NeverRead) && operation == Operation::UploadPart) {
        rig.server.wait_until("nothing is held", |stats| stats.held == 0).await.unwrap();
    }
    match operation {
        // An upload that was begun without an answer has no name that anybody knows.
        Operation::CreateMultipartUpload => {}
        // One whose end is unknown may be what is wanted.
        _ if *error.kind() == Kind::OutcomeUnknown => {}
        _ => rig.assert_clean().await,
    }
}

async fn ends(operation: Operation, silences: Vec<Fault>) {
    at_once(silences.into_iter().map(|fault| ends_with(operation, fault))).await;
}

/// They only wait.
async fn at_once(tests: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut all: tokio::task::JoinSet<()> = tests.collect();
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
}

/// Before the head, in it, and while the request is read.
fn in_the_head() -> Vec<Fault> {
    vec![
        Fault::HangBeforeHead,
        Fault::HangInHead { after: 1 },
        Fault::HangInHead { after: 60 },
        Fault::NeverRead,
        Fault::DelayHead(Duration::from_secs(3_600)),
    ]
}

fn anywhere() -> Vec<Fault> {
    let mut all = in_the_head();
    all.push(Fault::HangInBody { after: 1 });
    all.push(Fault::DelayBody(Duration::from_secs(3_600)));
    all.push(Fault::Trickle { bytes: 1, interval: Duration::from_secs(1) });
    all
}

macro_rules! silent {
    ($($name:ident: $operation:ident, $faults:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            ends(Operation::$operation, $faults).await;
        })*
    };
}

silent! {
    a_silent_head_object_ends: HeadObject, in_the_head();
    a_silent_get_object_ends: GetObject, anywhere();
    a_silent_listing_ends: ListObjectsV2, anywhere();
    a_silent_put_object_ends: PutObject, in_the_head();
    a_silent_create_ends: CreateMultipartUpload, anywhere();
    a_silent_part_ends: UploadPart, in_the_head();
    a_silent_complete_ends: CompleteMultipartUpload, anywhere();
    a_silent_head_bucket_ends: HeadBucket, in_the_head();
    a_silent_create_bucket_ends: CreateBucket, in_the_head();
    a_silent_listing_of_uploads_ends: ListMultipartUploads, anywhere();
}

/// What ends when the first part is refused and this operation, of those that follow, never gets over `fault`.
async fn refused(operation: Operation, fault: Fault) -> (Rig, Error) {
    let options = TransferOptions { max_attempts: 2, read_timeout: Duration::from_secs(2), ..options() };
    let part = Rule::new("part").on(Operation::UploadPart).then(Fault::status(403, "AccessDenied"));
    let rig = Rig::with(Script::new().rule(part).rule(on(operation).then(fault.clone())), options);
    let error = rig.upload(&content(TWO_PARTS)).await.unwrap_err();
    assert!(rig.server.fired("fault") >= 1, "{fault:?}: {error}");
    // The cause of the abort speaks.
    assert_eq!(error.code(), Some("AccessDenied"), "{fault:?}: {error}");
    rig.server.wait_until("nothing is held", |stats| stats.held == 0).await.unwrap();
    (rig, error)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_abort_ends_and_says_what_is_left() {
    at_once(in_the_head().into_iter().map(async |fault| {
        let (_, error) = refused(Operation::AbortMultipartUpload, fault).await;
        assert!(error.to_string().contains("could not be aborted"), "{error}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_list_of_parts_ends_and_the_upload_is_aborted() {
    at_once(anywhere().into_iter().map(async |fault| {
        let (rig, _) = refused(Operation::ListParts, fault).await;
        rig.assert_clean().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_accepts_and_never_reads_ends() {
    let rig = Rig::with(
        Script::new().rule(on(Operation::Connect).then(Fault::NeverRead)),
        TransferOptions { max_attempts: 2, ..options() },
    );
    for size in [SMALL, LARGE] {
        assert_eq!(rig.upload(&content(size)).await.unwrap_err().kind(), &Kind::ReadTimeout);
    }
    assert!(rig.server.fired("fault") >= 4);
    rig.server.wait_until("nothing is held", |stats| stats.held == 0).await.unwrap();
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_accepts_nothing_ends() {
    let options = TransferOptions { max_attempts: 2, connect_timeout: Duration::from_millis(200), ..options() };
    let rig = Rig::with(Script::new().backlog(1), options);
    rig.server.pause_accepting();
    let error = rig.upload(b"x").await.unwrap_err();
    // The kernel's queue takes a connection that nobody serves.
    assert!(matches!(error.kind(), Kind::ConnectTimeout | Kind::ReadTimeout), "{error}");
    assert_eq!(rig.server.stats().connections_accepted, 0);
    rig.assert_clean().await;
}
