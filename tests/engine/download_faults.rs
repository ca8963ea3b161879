//! Downloads under faults: a file is whole or it is not there; an old one stays until the new one is verified.

use std::time::Duration;

use bytes::Bytes;
use s3bulk::error::Kind;
use s3bulk::flow::Cancel;

use crate::download_setup::{arrives, arriving, failing, is_kind};
use crate::fault_server::{Ending, Fault, Moment, Operation, Rule, Script};
use crate::rig::{LARGE, MIDDLING, Rig, SMALL, content, unhurried};

fn get(times: usize) -> Rule {
    Rule::new("fault").on(Operation::GetObject).first(times)
}

fn second_range() -> Rule {
    Rule::new("fault").on(Operation::GetObject).range_start(5 << 20).first(1)
}

arriving! {
    a_get_survives_slow_down: SMALL, get(2).then(Fault::status(503, "SlowDown"));
    a_get_survives_an_html_500: SMALL, get(2).then(Fault::status(500, "x").html());
    a_head_survives_500: SMALL, Rule::new("fault").on(Operation::HeadObject).first(2).then(Fault::status(500, "x").empty());
    a_get_survives_a_reset: SMALL, get(2).then(Fault::CloseUnanswered { moment: Moment::AfterBody, ending: Ending::Reset });
    a_get_survives_a_silent_server: SMALL, get(1).then(Fault::HangBeforeHead);
    a_get_survives_half_a_head: SMALL, get(1).then(Fault::HangInHead { after: 30 });
    a_get_survives_half_a_body: SMALL, get(1).then(Fault::HangInBody { after: 100 });
    a_get_survives_a_cut_body: SMALL, get(2).then(Fault::CutBody { after: 100, ending: Ending::Fin });
    a_get_survives_a_reset_body: SMALL, get(2).then(Fault::CutBody { after: 100, ending: Ending::Reset });
    a_get_survives_a_long_content_length: SMALL, get(1).then(Fault::ContentLengthOff(10)).then(Fault::EndWith(Ending::Fin));
    a_get_takes_a_body_that_ends_with_its_connection: SMALL, get(1).then(Fault::CloseDelimited);
    a_get_takes_a_chunked_body: SMALL, get(1).then(Fault::Chunked);
    a_get_survives_a_flipped_bit: SMALL, get(1).then(Fault::FlipBit { at: 500 });
    a_get_survives_a_wrong_checksum: SMALL, get(1).then(Fault::WrongChecksum);
    a_get_takes_a_thousand_headers: SMALL, get(1).then(Fault::ManyHeaders(1_000));
    a_get_takes_header_values_that_are_not_text: SMALL, get(1).then(Fault::set_header("x-amz-meta-name", b"\xff\xfe".to_vec()));
    a_get_never_decodes: SMALL, get(1).then(Fault::set_header("content-encoding", "gzip"));
    a_get_survives_garbage: SMALL, get(1).then(Fault::Garbage(b"\x00\x01garbage\r\n\r\n".to_vec()));
    an_object_without_an_etag_arrives: LARGE, get(9).then(Fault::RemoveHeader("etag".into()));
    an_object_with_a_weak_etag_arrives: LARGE,
        Rule::new("fault").then(Fault::WeakEtag);
    an_etag_that_is_weak_in_the_answer_alone_is_the_same: SMALL, get(9).then(Fault::WeakEtag);
    an_etag_that_is_weak_in_a_middling_answer_alone_is_the_same: MIDDLING, get(9).then(Fault::WeakEtag);
    an_etag_that_is_weak_in_the_answers_alone_is_the_same: LARGE, get(9).then(Fault::WeakEtag);
    a_middling_get_survives_half_a_body: MIDDLING, get(1).then(Fault::HangInBody { after: 1 << 20 });
    a_middling_get_survives_a_flipped_bit: MIDDLING, get(1).then(Fault::FlipBit { at: 1 << 20 });
    a_middling_get_survives_a_short_answer: MIDDLING, get(1).then(Fault::CutBody { after: 1 << 20, ending: Ending::Fin });
    a_middling_body_without_length_that_is_cut_goes_on: MIDDLING,
        get(1).then(Fault::CloseDelimited).then(Fault::CutBody { after: 1 << 20, ending: Ending::Fin });
    a_range_survives_slow_down: LARGE, second_range().then(Fault::status(503, "SlowDown"));
    a_range_survives_a_cut_body: LARGE, second_range().then(Fault::CutBody { after: 1 << 20, ending: Ending::Reset });
    a_range_survives_a_silent_server: LARGE, second_range().then(Fault::HangBeforeHead);
    a_range_that_is_another_is_not_taken: LARGE, second_range().then(Fault::MoveRange(100));
    a_range_with_a_lying_content_range_is_not_taken: LARGE,
        second_range().then(Fault::set_header("content-range", "bytes 0-99/100"));
    a_range_with_another_etag_is_not_taken: LARGE, second_range().then(Fault::set_header("etag", "\"other\""));
    a_range_with_a_flipped_bit_is_fetched_again: LARGE, second_range().then(Fault::FlipBit { at: 500 });
    a_server_without_ranges_is_asked_for_the_whole: LARGE, get(9).then(Fault::IgnoreRange);
}

failing! {
    a_missing_object_is_an_error: SMALL, Rule::new("fault").on(Operation::HeadObject).then(Fault::status(404, "NoSuchKey").empty()),
        |error| error.status() == Some(404) && error.context().operation == Some("HeadObject");
    a_denied_get_says_so: SMALL, get(99).then(Fault::status(403, "AccessDenied")), |error| error.code() == Some("AccessDenied");
    an_archived_object_says_so: LARGE, get(99).then(Fault::status(403, "InvalidObjectState")),
        |error| error.code() == Some("InvalidObjectState");
    bytes_that_are_always_wrong_are_not_taken: SMALL, get(99).then(Fault::FlipBit { at: 500 }), is_kind(Kind::ChecksumMismatch);
    middling_bytes_that_are_always_wrong_are_not_taken: MIDDLING, get(99).then(Fault::FlipBit { at: 500 }),
        is_kind(Kind::ChecksumMismatch);
    ranges_that_are_always_wrong_are_not_taken: LARGE,
        Rule::new("fault").on(Operation::GetObject).range_start(0).then(Fault::FlipBit { at: 500 }),
        is_kind(Kind::ChecksumMismatch);
    a_body_that_is_always_cut_is_given_up: SMALL, get(99).then(Fault::CutBody { after: 10, ending: Ending::Fin }),
        is_kind(Kind::BodyCut);
    a_range_that_is_always_another_is_given_up: LARGE,
        Rule::new("fault").on(Operation::GetObject).range_start(5 << 20).then(Fault::MoveRange(100)),
        is_kind(Kind::BadResponse);
    a_server_that_never_answers_is_given_up: SMALL, get(99).then(Fault::HangBeforeHead), is_kind(Kind::ReadTimeout);
    a_range_that_is_refused_stops_the_others: LARGE,
        Rule::new("fault").on(Operation::GetObject).range_start(10 << 20).then(Fault::status(403, "AccessDenied")),
        |error| error.code() == Some("AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_body_goes_on_from_its_last_good_byte() {
    let rig = arrives(MIDDLING, get(1).then(Fault::CutBody { after: 1 << 20, ending: Ending::Fin })).await;
    let requests = rig.server.requests_of(Operation::GetObject);
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].range, None);
    assert_eq!(requests[1].range.as_deref(), Some(format!("bytes={}-{}", 1 << 20, MIDDLING - 1).as_str()));
    let etag = rig.server.object("bucket", "key").unwrap().etag;
    assert_eq!(requests[1].header("if-match"), Some(etag.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_replaced_between_ranges_arrives_as_the_new_one() {
    for size in [LARGE + 1_000, LARGE - 1_000, SMALL, MIDDLING] {
        let new = Bytes::from(content(size).into_iter().rev().collect::<Vec<u8>>());
        let rule = Rule::new("fault").on(Operation::GetObject).nth(1).then(Fault::ReplaceObject(new.clone()));
        let rig = Rig::with(Script::new().rule(rule), unhurried());
        rig.server.put("bucket", "key", content(LARGE));
        rig.download().await.unwrap();
        assert_eq!(rig.server.fired("fault"), 1);
        assert!(std::fs::read(rig.target()).unwrap() == new, "{size}: neither the old nor the new object");
        assert_eq!(rig.names(), ["target"]);
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_of_one_object_where_the_listing_alone_has_its_strong_etag() {
    let weak = |operation| Rule::new("fault").on(operation).then(Fault::WeakEtag);
    let rig = Rig::new(Script::new().rule(weak(Operation::HeadObject)).rule(weak(Operation::GetObject)));
    rig.server.put("bucket", "p/a", content(LARGE));
    std::fs::create_dir(rig.target()).unwrap();
    let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.done.len(), 1);
    assert!(std::fs::read(rig.target().join("a")).unwrap() == content(LARGE), "other bytes arrived");
    let etag = rig.server.object("bucket", "p/a").unwrap().etag;
    let ranges = rig.server.requests_of(Operation::GetObject);
    assert!(ranges.len() > 1 && ranges.iter().all(|range| range.header("if-match") == Some(etag.as_str())));
    assert!(rig.server.fired("fault") > ranges.len(), "the fault did not happen");
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_replaced_again_and_again_is_an_error() {
    let rig = Rig::with(Script::new(), unhurried());
    rig.server.put("bucket", "key", content(LARGE));
    // Each GET finds another object than the one before.
    let get = |id: &str| Rule::new(id).on(Operation::GetObject);
    rig.server.add_rule(get("odd").every(2).then(Fault::ReplaceObject(content(LARGE + 1).into())));
    rig.server.add_rule(get("even").then(Fault::ReplaceObject(content(LARGE + 2).into())));
    let error = rig.download().await.unwrap_err();
    assert_eq!(error.kind(), &Kind::ObjectChanged, "{error}");
    assert!(rig.names().is_empty());
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_object_is_fetched_without_a_range() {
    let rig = Rig::new(Script::new());
    rig.server.put("bucket", "key", b"".as_slice());
    rig.download().await.unwrap();
    assert_eq!(std::fs::read(rig.target()).unwrap(), b"");
    assert!(rig.server.requests_of(Operation::GetObject).iter().all(|request| request.range.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_answer_within_the_limit_is_no_fault() {
    arrives(SMALL, get(1).then(Fault::DelayHead(Duration::from_millis(200)))).await;
    arrives(SMALL, get(1).then(Fault::DelayBody(Duration::from_millis(200)))).await;
}
