//! Small downloads: heads and bodies that are late, cut, wrong or of another object.

use std::time::{Duration, Instant};

use s3bulk::error::Kind;

use crate::download_setup::{arrives, arrives_at, arrives_by, arriving, failing, filled, is_kind, on, take};
use crate::fault_server::{Ending, Fault, Operation, Rule, Script};
use crate::rig::{MIDDLING, Rig, SMALL, content};

fn get(times: usize) -> Rule {
    on(Operation::GetObject).first(times)
}

fn head(times: usize) -> Rule {
    on(Operation::HeadObject).first(times)
}

fn bare(rule: Rule) -> Rule {
    rule.then(Fault::RemoveHeader("x-amz-checksum-crc64nvme".into()))
}

arriving! {
    a_get_survives_504: SMALL, get(2).then(Fault::status(504, "x").empty());
    a_head_survives_slow_down: SMALL, head(1).then(Fault::status(503, "503").empty());
    a_head_survives_a_silent_server: SMALL, head(1).then(Fault::HangBeforeHead);
    a_head_survives_half_a_head: SMALL, head(1).then(Fault::HangInHead { after: 40 });
    a_head_survives_a_cut_head: SMALL, head(1).then(Fault::CutHead { after: 40, ending: Ending::Reset });
    a_head_takes_a_thousand_headers: SMALL, head(1).then(Fault::ManyHeaders(1_000));
    a_head_survives_an_answer_without_a_length: SMALL, head(1).then(Fault::CloseDelimited);
    a_get_survives_a_control_byte: SMALL, get(1).then(Fault::set_header("x-amz-meta-a", b"a\x01b".to_vec()));
    a_get_survives_partial_content: SMALL, get(1).then(Fault::SetStatus(206));
    a_cut_body_without_length_or_checksum_is_not_whole: SMALL,
        bare(get(1)).then(Fault::CloseDelimited).then(Fault::CutBody { after: 10, ending: Ending::Fin });
    a_short_length_without_checksum_is_not_whole: SMALL, bare(get(1)).then(Fault::ContentLengthOff(-10));
    a_short_answer_without_checksum_is_not_whole: SMALL, bare(get(1)).then(Fault::TruncateBody { to: 990 });
    a_short_answer_with_checksum_is_not_whole: SMALL, get(1).then(Fault::TruncateBody { to: 990 });
    a_middling_short_answer_is_not_whole: MIDDLING, bare(get(1)).then(Fault::TruncateBody { to: MIDDLING - 1 });
    a_middling_long_length_is_not_whole: MIDDLING,
        bare(get(1)).then(Fault::ContentLengthOff(9)).then(Fault::EndWith(Ending::Fin));
    a_middling_object_of_no_etag_begins_again: MIDDLING,
        Rule::new("fault").first(2).then(Fault::RemoveHeader("etag".into()))
            .then(Fault::CutBody { after: 1 << 20, ending: Ending::Fin });
}

failing! {
    a_head_that_never_tells_a_length_is_named: SMALL, head(99).then(Fault::CloseDelimited), is_kind(Kind::BadResponse);
    a_head_that_is_never_answered_is_named: SMALL, head(99).then(Fault::HangBeforeHead), is_kind(Kind::ReadTimeout);
    a_control_byte_in_each_answer_is_an_error: SMALL,
        get(99).then(Fault::set_header("x-amz-meta-a", b"a\x01b".to_vec())), is_kind(Kind::BadResponse);
    garbage_in_each_answer_is_an_error: SMALL, get(99).then(Fault::Garbage(b"\x00\x01\r\n\r\n".to_vec())),
        is_kind(Kind::BadResponse);
    a_short_answer_each_time_is_an_error: SMALL, bare(get(99)).then(Fault::TruncateBody { to: 990 }),
        is_kind(Kind::ObjectChanged);
    half_an_error_document_is_still_an_error: SMALL,
        get(99).then(Fault::status(403, "AccessDenied")).then(Fault::HangInBody { after: 10 }),
        |error| error.status() == Some(403);
    an_object_that_vanishes_after_its_head_is_an_error: SMALL, get(9).then(Fault::status(404, "NoSuchKey")),
        |error| error.status() == Some(404) && error.context().operation == Some("GetObject");
    a_body_that_is_cut_each_time_and_cannot_go_on_is_given_up: MIDDLING,
        Rule::new("fault").then(Fault::WeakEtag).then(Fault::CutBody { after: 1 << 20, ending: Ending::Fin }),
        is_kind(Kind::BodyCut);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed() {
    for operation in [Operation::GetObject, Operation::HeadObject] {
        let began = Instant::now();
        let busy = Fault::status(503, "SlowDown").header("Retry-After", "1");
        arrives(SMALL, on(operation).first(1).then(busy)).await;
        assert!(began.elapsed() >= Duration::from_secs(1), "{operation:?}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_whose_bodies_are_cut_is_asked_for_the_whole_again() {
    let cut =
        |id: &str, after| Rule::new(id).on(Operation::GetObject).then(Fault::CutBody { after, ending: Ending::Fin });
    let deaf = on(Operation::GetObject).shared().then(Fault::IgnoreRange);
    let script = Script::new().rule(deaf).rule(cut("cut", 1 << 20).first(1)).rule(cut("again", 0).nth(2));
    let rig = arrives_by(MIDDLING, script).await;
    let ranges: Vec<_> = rig.server.requests_of(Operation::GetObject).into_iter().map(|get| get.range).collect();
    assert_eq!(ranges.iter().filter(|range| range.is_some()).count(), 1, "{ranges:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_replaced_after_its_head_arrives_as_it_is_now() {
    for (old, new) in [(SMALL, 3), (SMALL, SMALL + 1), (SMALL, MIDDLING), (MIDDLING, SMALL), (MIDDLING, MIDDLING + 1)] {
        let replace = || Fault::ReplaceObject(content(new).into());
        for extra in [None, Some(Fault::CloseDelimited)] {
            let rig = Rig::new(Script::new().rule(on(Operation::HeadObject).nth(1).then(replace())));
            if let Some(extra) = extra {
                rig.server.add_rule(Rule::new("extra").on(Operation::GetObject).nth(1).then(extra));
            }
            rig.server.put("bucket", "key", content(old));
            arrives_at(rig, &content(new)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_gone_or_grown_since_it_was_listed() {
    let replace = Fault::ReplaceObject(content(MIDDLING).into());
    let rig = filled(
        Script::new().rule(on(Operation::GetObject).key("p/gone").then(Fault::status(404, "NoSuchKey"))),
        &["p/gone"],
    );
    let (done, report, error) = take(&rig).await;
    let error = error.expect("an error");
    assert_eq!((error.status(), error.context().key.as_deref()), (Some(404), Some("p/gone")));
    assert_eq!((done.len(), report.failed.len(), rig.server.fired("fault")), (0, 1, 1));
    // The first answer is cut, and meanwhile the object grows.
    let cut = Fault::CutBody { after: 2, ending: Ending::Fin };
    let rig = filled(Script::new().rule(on(Operation::GetObject).first(1).then(cut).then(replace)), &["p/grown"]);
    let (done, _, error) = take(&rig).await;
    assert!(error.is_none() && done == ["p/grown"] && rig.server.fired("fault") == 1, "{error:?}");
    assert!(std::fs::read(rig.target().join("grown")).unwrap() == content(MIDDLING));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_are_fetched_three_times_and_no_more() {
    for size in [SMALL, MIDDLING] {
        let flip = on(Operation::GetObject).then(Fault::FlipBit { at: 500 });
        let rig = crate::download_setup::fails(size, flip, is_kind(Kind::ChecksumMismatch)).await;
        assert_eq!(rig.server.fired("fault"), 3, "{size}");
    }
}
