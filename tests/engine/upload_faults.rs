//! Uploads under faults: what is reported as stored is stored whole; what failed says so and leaves nothing behind.

use std::time::Duration;

use s3bulk::config::TransferOptions;
use s3bulk::error::{Error, Kind};

use crate::fault_server::{Ending, Fault, Moment, Operation, Rule, Script};
use crate::rig::{LARGE, MIDDLING, Rig, SMALL, assert_named, content, options};

async fn is_stored(size: usize, rule: Rule) {
    let rig = Rig::new(Script::new().rule(rule));
    let bytes = content(size);
    let sent = rig.upload(&bytes).await.unwrap();
    assert!(rig.server.fired("fault") >= 1, "the fault did not happen");
    let object = rig.server.object("bucket", "key").expect("stored");
    assert!(object.bytes == bytes, "other bytes are stored");
    assert_eq!((sent, object.content_type.as_deref()), (size as u64, Some("text/x-test")));
    rig.assert_clean().await;
}

async fn fails(size: usize, rule: Rule, expected: impl Fn(&Error) -> bool) {
    let rig = Rig::new(Script::new().rule(rule));
    rig.server.put("bucket", "key", b"old".as_slice());
    let error = rig.upload(&content(size)).await.unwrap_err();
    assert!(rig.server.fired("fault") >= 1, "the fault did not happen");
    assert!(expected(&error), "{error:?}");
    assert_named(&error, &rig);
    assert_eq!(rig.server.object("bucket", "key").unwrap().bytes, b"old".as_slice(), "the old object is gone");
    rig.assert_clean().await;
}

macro_rules! stored {
    ($($name:ident: $size:expr, $rule:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            is_stored($size, $rule).await;
        })*
    };
}

macro_rules! failing {
    ($($name:ident: $size:expr, $rule:expr, $expected:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            fails($size, $rule, $expected).await;
        })*
    };
}

fn put(times: usize) -> Rule {
    Rule::new("fault").on(Operation::PutObject).first(times)
}

fn part() -> Rule {
    Rule::new("fault").on(Operation::UploadPart).part_number(2).first(2)
}

fn complete() -> Rule {
    Rule::new("fault").on(Operation::CompleteMultipartUpload).first(1)
}

fn denied(moment: Moment, ending: Ending) -> Fault {
    Fault::status(403, "AccessDenied").at(moment).ending(ending).into()
}

fn is_denied(error: &Error) -> bool {
    error.code() == Some("AccessDenied") && error.status() == Some(403)
}

fn is_code(code: &'static str) -> impl Fn(&Error) -> bool {
    move |error| error.code() == Some(code)
}

fn is_kind(kind: Kind) -> impl Fn(&Error) -> bool {
    move |error| *error.kind() == kind
}

stored! {
    a_put_survives_slow_down: SMALL, put(2).then(Fault::status(503, "SlowDown"));
    a_put_survives_an_empty_503: SMALL, put(2).then(Fault::status(503, "x").empty());
    a_put_survives_an_html_502: SMALL, put(2).then(Fault::status(502, "x").html());
    a_put_survives_429: SMALL, put(1).then(Fault::status(429, "TooManyRequests"));
    a_put_survives_500: SMALL, put(3).then(Fault::status(500, "InternalError"));
    a_put_survives_504: SMALL, put(3).then(Fault::status(504, "x").empty());
    a_put_waits_as_long_as_it_is_asked_to: SMALL, put(1).then(Fault::status(503, "SlowDown").header("Retry-After", "1"));
    a_put_survives_a_request_timeout: SMALL, put(1).then(Fault::status(400, "RequestTimeout"));
    a_put_survives_a_bad_digest: SMALL, put(1).then(Fault::status(400, "BadDigest"));
    a_put_survives_a_reset_before_the_answer: SMALL,
        put(2).then(Fault::CloseUnanswered { moment: Moment::AfterBody, ending: Ending::Reset });
    a_put_survives_a_close_before_the_answer: SMALL,
        put(2).then(Fault::CloseUnanswered { moment: Moment::AfterBody, ending: Ending::Fin });
    a_streamed_put_survives_a_reset_in_its_body: MIDDLING,
        put(1).then(Fault::CloseUnanswered { moment: Moment::AfterBytes(70_000), ending: Ending::Reset });
    a_put_whose_answer_is_lost_is_sent_again: SMALL, put(1).then(Fault::DropAnswer(Ending::Reset));
    a_put_survives_a_silent_server: SMALL, put(1).then(Fault::HangBeforeHead);
    a_put_survives_half_a_head: SMALL, put(1).then(Fault::HangInHead { after: 20 });
    a_put_survives_a_cut_head: SMALL, put(1).then(Fault::CutHead { after: 20, ending: Ending::Fin });
    a_put_survives_garbage: SMALL, put(1).then(Fault::Garbage(b"\x00\x01garbage\r\n\r\n".to_vec()));
    a_put_survives_a_delayed_head: SMALL, put(1).then(Fault::DelayHead(Duration::from_millis(150)));
    a_put_survives_informational_heads: SMALL, put(1).then(Fault::Informational(vec![102, 103]));
    a_put_takes_a_thousand_headers: SMALL, put(1).then(Fault::ManyHeaders(1_000));
    a_streamed_put_survives_a_server_that_reads_nothing: MIDDLING << 1, put(1).then(Fault::NeverRead);
    a_200_before_the_body_is_not_believed: MIDDLING << 1,
        put(1).then(Fault::status(200, "OK").empty().at(Moment::BeforeBody).ending(Ending::HoldUnread));
    a_part_survives_slow_down: LARGE, part().then(Fault::status(503, "SlowDown"));
    a_part_survives_resets_in_its_body: LARGE,
        part().then(Fault::CloseUnanswered { moment: Moment::AfterBytes(1 << 20), ending: Ending::Reset });
    a_part_whose_answer_is_lost_is_sent_again: LARGE, part().then(Fault::DropAnswer(Ending::Reset));
    a_part_without_an_etag_is_sent_again: LARGE, part().then(Fault::RemoveHeader("etag".into()));
    a_part_survives_a_silent_server: LARGE, part().then(Fault::HangBeforeHead);
    create_survives_500: LARGE,
        Rule::new("fault").on(Operation::CreateMultipartUpload).first(2).then(Fault::status(500, "InternalError"));
    complete_survives_an_error_inside_200: LARGE,
        complete().then(Fault::ErrorInside200 { code: "InternalError".into() });
    complete_waits_through_white_space: LARGE, complete().then(Fault::WhiteSpaceFirst(Duration::from_millis(900)));
    complete_survives_503: LARGE, complete().then(Fault::status(503, "SlowDown"));
    complete_whose_answer_is_lost_is_proved_by_content: LARGE, complete().then(Fault::DropAnswer(Ending::Reset));
    complete_with_a_cut_answer_is_proved_by_content: LARGE,
        complete().then(Fault::CutBody { after: 60, ending: Ending::Fin });
    complete_with_an_empty_answer_is_proved_by_content: LARGE, complete().then(Fault::TruncateBody { to: 0 });
    complete_with_half_a_document_is_proved_by_content: LARGE, complete().then(Fault::TruncateBody { to: 80 });
}

failing! {
    a_denied_put_says_so: SMALL, put(1).then(denied(Moment::AfterBody, Ending::KeepOpen)), is_denied;
    a_put_denied_before_its_body_by_reset_says_so: 12 << 18,
        put(9).then(denied(Moment::BeforeBody, Ending::Reset)), is_denied;
    a_put_denied_before_its_body_by_fin_says_so: 12 << 18, put(9).then(denied(Moment::BeforeBody, Ending::Fin)), is_denied;
    a_put_denied_before_its_body_politely_says_so: 12 << 18,
        put(9).then(denied(Moment::BeforeBody, Ending::FinAndDrain)), is_denied;
    a_put_denied_before_its_body_on_an_open_connection_says_so: 12 << 18,
        put(9).then(denied(Moment::BeforeBody, Ending::KeepOpen)), is_denied;
    a_denied_part_says_so_and_the_upload_is_aborted: LARGE,
        Rule::new("fault").on(Operation::UploadPart).then(denied(Moment::BeforeBody, Ending::ResetAfter(Duration::from_millis(20)))),
        is_denied;
    a_denied_complete_aborts: LARGE,
        Rule::new("fault").on(Operation::CompleteMultipartUpload).then(denied(Moment::AfterBody, Ending::KeepOpen)), is_denied;
    a_denied_create_says_so: LARGE,
        Rule::new("fault").on(Operation::CreateMultipartUpload).then(denied(Moment::AfterBody, Ending::KeepOpen)), is_denied;
    a_server_that_is_always_broken_is_given_up: SMALL, put(99).then(Fault::status(500, "InternalError")), is_code("InternalError");
    a_server_that_never_answers_is_given_up: SMALL, put(99).then(Fault::NeverRead), is_kind(Kind::ReadTimeout);
    a_server_that_always_resets_is_given_up: SMALL,
        put(99).then(Fault::CloseUnanswered { moment: Moment::AfterBody, ending: Ending::Reset }),
        is_kind(Kind::ConnectionClosed);
    a_body_that_is_damaged_each_time_is_given_up: SMALL, put(99).then(Fault::status(400, "BadDigest")), is_code("BadDigest");
    an_expired_token_of_static_keys_says_so: SMALL, put(99).then(Fault::status(400, "ExpiredToken")),
        |error| matches!(error.kind(), Kind::Credentials) || error.code() == Some("ExpiredToken");
    another_region_is_named: SMALL,
        put(99).then(Fault::status(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-1")),
        |error| error.to_string().contains("eu-west-1");
    parts_that_never_get_through_abort_the_upload: LARGE,
        Rule::new("fault").on(Operation::UploadPart).part_number(3).then(Fault::status(500, "InternalError")),
        is_code("InternalError");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_attempt_is_one_request() {
    let rule = put(9).then(Fault::status(503, "SlowDown"));
    let rig = Rig::with(Script::new().rule(rule), TransferOptions { max_attempts: 1, ..options() });
    assert_eq!(rig.upload(b"x").await.unwrap_err().code(), Some("SlowDown"));
    assert_eq!(rig.server.requests_of(Operation::PutObject).len(), 1);
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_and_bounded() {
    let rig = Rig::new(Script::new().rule(put(99).then(Fault::status(500, "InternalError"))));
    let error = rig.upload(b"x").await.unwrap_err();
    assert_eq!((error.context().attempts, rig.server.requests_of(Operation::PutObject).len()), (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_connections_that_the_server_closes_are_never_seen() {
    let rule =
        Rule::new("fault").on(Operation::PutObject).every(2).then(Fault::CloseIdleAfter(Duration::from_millis(1)));
    let rig = Rig::new(Script::new().rule(rule));
    for number in 0..200_u32 {
        let bytes = number.to_be_bytes();
        rig.upload(&bytes).await.unwrap();
        assert_eq!(rig.server.object("bucket", "key").unwrap().bytes, bytes.as_slice());
    }
    assert!(rig.server.fired("fault") >= 50);
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_checksum_header_gives_way_to_the_next_and_is_remembered() {
    for size in [SMALL, MIDDLING, LARGE] {
        let script = Script::new().refuse_header("crc64", "x-amz-checksum-crc64nvme", 501, "NotImplemented");
        let operation = if size == LARGE { Operation::UploadPart } else { Operation::PutObject };
        let rig = Rig::new(script);
        let bytes = content(size);
        rig.upload(&bytes).await.unwrap();
        assert!(rig.server.fired("crc64") >= 1);
        assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes);
        let fired = rig.server.fired("crc64");
        rig.upload(&bytes).await.unwrap();
        assert_eq!(rig.server.fired("crc64"), fired, "the refusal was not remembered");
        let last = rig.server.requests_of(operation).pop().unwrap();
        assert!(last.header("x-amz-checksum-crc32").is_some());
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_any_checksum_still_stores() {
    let script = Script::new()
        .refuse_header("crc64", "x-amz-checksum-crc64nvme", 501, "NotImplemented")
        .refuse_header("crc32", "x-amz-checksum-crc32", 501, "NotImplemented")
        .refuse_header("md5", "content-md5", 501, "NotImplemented");
    let rig = Rig::new(script);
    rig.upload(b"bytes").await.unwrap();
    assert!(["crc64", "crc32", "md5"].iter().all(|id| rig.server.fired(id) == 1));
    assert_eq!(rig.server.object("bucket", "key").unwrap().bytes, b"bytes".as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_set_by_the_servers() {
    let rig = Rig::new(Script::new().clock_shift(3_600));
    rig.upload(b"bytes").await.unwrap();
    assert!(rig.server.requests_of(Operation::PutObject).iter().any(|request| request.status == Some(403)));
    assert_eq!(rig.server.object("bucket", "key").unwrap().bytes, b"bytes".as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_that_may_have_worked_is_not_called_failed_nor_done() {
    // Both answers are lost, the object that stands there is an old one of the same size.
    let lost = Rule::new("fault")
        .on(Operation::CompleteMultipartUpload)
        .then(Fault::CloseUnanswered { moment: Moment::AfterBody, ending: Ending::Reset });
    let rig = Rig::new(Script::new().rule(lost));
    rig.server.put("bucket", "key", vec![0; LARGE]);
    let error = rig.upload(&content(LARGE)).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::OutcomeUnknown, "{error}");
    assert!(rig.server.fired("fault") >= 2);
}
