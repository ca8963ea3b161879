//! Multipart uploads whose beginning, parts or end go wrong: the object is whole and proved, or the upload is gone.

use std::time::Duration;

use s3bulk::config::TransferOptions;
use s3bulk::error::Kind;
use s3bulk::flow::Cancel;

use crate::fault_server::{Ending, Fault, Moment, Operation, Rule, Script};
use crate::rig::{LARGE, Rig, assert_named, content, options};

fn complete() -> Rule {
    Rule::new("fault").on(Operation::CompleteMultipartUpload).first(1)
}

/// A good answer with this body, for an operation that was not carried out.
fn lie(rule: Rule, body: &str) -> Rule {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    rule.then(Fault::status(200, "OK")).then(Fault::Garbage(answer.into_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_is_done_only_when_its_answer_says_so() {
    const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    for body in [
        "",
        "   \n",
        DECLARATION,
        "<html><body>Welcome</body></html>",
        &format!("{DECLARATION}<CompleteMultipartUploadResult><Buc"),
        &format!("{DECLARATION}<CompleteMultipartUploadResult><Bucket>bucket</Bucket>"),
        &format!("{DECLARATION}<Error><Code>InternalError</Code>"),
    ] {
        let rig = Rig::new(Script::new().rule(lie(complete(), body)));
        // As large as the new one: that there is an object proves nothing.
        rig.server.put("bucket", "key", vec![0; LARGE]);
        let bytes = content(LARGE);
        rig.upload(&bytes).await.unwrap_or_else(|error| panic!("{body:?}: {error}"));
        assert_eq!(rig.server.fired("fault"), 1);
        assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes, "{body:?}");
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_white_space_is_an_error() {
    let rule = complete()
        .then(Fault::WhiteSpaceFirst(Duration::from_millis(600)))
        .then(Fault::ErrorInside200 { code: "InternalError".into() });
    let rig = Rig::new(Script::new().rule(rule));
    let bytes = content(LARGE);
    rig.upload(&bytes).await.unwrap();
    assert_eq!((rig.server.fired("fault"), rig.server.stats().count(Operation::CompleteMultipartUpload)), (1, 2));
    assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes);
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_complete_that_finds_no_upload_is_judged_by_content() {
    for composite in [false, true] {
        let mut script = Script::new().rule(complete().then(Fault::DropAnswer(Ending::Fin)));
        if composite {
            script = script.refuse_header("crc64", "x-amz-checksum-crc64nvme", 501, "NotImplemented");
        }
        // The first look at the object fails too, so that Complete is sent again.
        let look = Rule::new("look").on(Operation::HeadObject).first(1).then(Fault::status(403, "AccessDenied"));
        let rig = Rig::new(script.rule(look));
        rig.server.put("bucket", "key", vec![0; LARGE]);
        let bytes = content(LARGE);
        rig.upload(&bytes).await.unwrap();
        assert_eq!((rig.server.fired("fault"), rig.server.fired("look")), (1, 1));
        assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes);
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_that_nobody_can_judge_is_called_unknown_and_says_where() {
    let look = Rule::new("look").on(Operation::HeadObject).then(Fault::status(403, "AccessDenied"));
    let rig = Rig::new(Script::new().rule(complete().then(Fault::DropAnswer(Ending::Fin))).rule(look));
    let error = rig.upload(&content(LARGE)).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::OutcomeUnknown, "{error}");
    assert_eq!(error.context().operation, Some("CompleteMultipartUpload"));
    assert_named(&error, &rig);
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_second_complete_does_not_hide_that_the_first_went_through() {
    for (looks, refused_looks) in [(2, 2), (usize::MAX, 3)] {
        let denied = Fault::status(403, "AccessDenied");
        let lost = complete().then(Fault::DropAnswer(Ending::Fin));
        let refused = Rule::new("refused").on(Operation::CompleteMultipartUpload).then(denied.clone());
        let look = Rule::new("look").on(Operation::HeadObject).first(looks).then(denied);
        let rig = Rig::new(Script::new().rule(lost).rule(refused).rule(look));
        let bytes = content(LARGE);
        let uploaded = rig.upload(&bytes).await;
        // One look after each Complete, and one after the abort that finds no upload.
        assert_eq!(["fault", "refused", "look"].map(|id| rig.server.fired(id)), [1, 1, refused_looks]);
        assert_eq!(rig.server.stats().count(Operation::HeadObject), 3);
        assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes);
        if let Err(error) = &uploaded {
            assert_eq!(error.kind(), &Kind::OutcomeUnknown, "{error}");
            assert_named(error, &rig);
        }
        assert_eq!(uploaded.is_ok(), looks == 2);
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_that_another_file_has_cancelled_is_told_as_it_is() {
    let denied = Fault::status(403, "AccessDenied");
    for (look, kind) in [(0, Kind::Cancelled), (usize::MAX, Kind::OutcomeUnknown)] {
        let slow = complete().then(Fault::HangBeforeHead);
        let other = Rule::new("other").on(Operation::PutObject).then(denied.clone());
        let look = Rule::new("look").on(Operation::HeadObject).first(look).then(denied.clone());
        let options = TransferOptions { read_timeout: Duration::from_secs(60), ..options() };
        let rig = Rig::with(Script::new().rule(slow).rule(other).rule(look), options);
        std::fs::create_dir(rig.source()).unwrap();
        std::fs::write(rig.source().join("a"), content(LARGE)).unwrap();
        std::fs::write(rig.source().join("b"), b"small").unwrap();
        let (report, error) = rig.upload_folder(&Cancel::new()).await;
        assert_eq!((rig.server.fired("fault"), rig.server.fired("other")), (1, 1));
        assert!(rig.server.object("bucket", "p/a").unwrap().bytes == content(LARGE));
        // The cause speaks, not what it has cancelled.
        assert_eq!(error.unwrap().code(), Some("AccessDenied"));
        let (name, failure) = &report.failed[0];
        assert_eq!((&**name, failure.kind()), ("p/a", &kind), "{failure}");
        let says = if kind == Kind::Cancelled { "the object is stored" } else { "look whether it is" };
        assert!(failure.message().contains(says), "{failure}");
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_object_from_before_leaves_no_upload_behind() {
    let rig = Rig::new(Script::new());
    let bytes = content(LARGE);
    rig.upload(&bytes).await.unwrap();
    rig.server.add_rule(complete().then(Fault::status(500, "InternalError")));
    rig.upload(&bytes).await.unwrap();
    assert_eq!(rig.server.fired("fault"), 1);
    assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes);
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_gone_begins_anew() {
    for operation in [Operation::UploadPart, Operation::CompleteMultipartUpload] {
        let gone = Rule::new("fault").on(operation).first(1).then(Fault::status(404, "NoSuchUpload"));
        let rig = Rig::new(Script::new().rule(gone));
        let bytes = content(LARGE);
        rig.upload(&bytes).await.unwrap();
        assert_eq!((rig.server.fired("fault"), rig.server.stats().count(Operation::CreateMultipartUpload)), (1, 2));
        assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes);
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_large_part_is_seen_however_the_connection_ends() {
    // One part of 32 MiB: more than any socket buffer takes.
    const PART: usize = 32 << 20;
    let options = TransferOptions { part_size: PART as u64, ..options() };
    for ending in [Ending::Reset, Ending::Fin, Ending::FinAndDrain, Ending::KeepOpen] {
        let denied = Fault::status(403, "AccessDenied").at(Moment::BeforeBody).ending(ending);
        let rig =
            Rig::with(Script::new().rule(Rule::new("fault").on(Operation::UploadPart).then(denied)), options.clone());
        // Sparse: its content is of no concern here.
        std::fs::File::create(rig.source()).unwrap().set_len(PART as u64).unwrap();
        let error = rig.upload_source(&Cancel::new()).await.unwrap_err();
        assert!(rig.server.fired("fault") >= 1);
        assert_eq!((error.code(), error.status()), (Some("AccessDenied"), Some(403)), "{ending:?}: {error}");
        assert_named(&error, &rig);
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn create_and_complete_take_a_thousand_headers_at_the_first_answer() {
    let many = |id: &str, operation| Rule::new(id).on(operation).then(Fault::ManyHeaders(1_000));
    let rules =
        ["create", "complete"].into_iter().zip([Operation::CreateMultipartUpload, Operation::CompleteMultipartUpload]);
    let rig = Rig::new(rules.fold(Script::new(), |script, (id, operation)| script.rule(many(id, operation))));
    let bytes = content(LARGE);
    rig.upload(&bytes).await.unwrap();
    assert_eq!((rig.server.fired("create"), rig.server.fired("complete")), (1, 1));
    assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes);
    rig.assert_clean().await;
}
