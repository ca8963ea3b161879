//! Ranged downloads: 24 MiB in ranges of 5 MiB, each of which may go wrong by itself.

use s3bulk::error::Kind;

use crate::download_setup::{arrives, arriving, denied, failing, fails, is_kind, on};
use crate::fault_server::{Ending, Fault, Operation, Rule, Script};
use crate::rig::{Rig, assert_named, content};

const RANGED: usize = 24 << 20;
const RANGE: u64 = 5 << 20;

fn second() -> Rule {
    on(Operation::GetObject).range_start(RANGE)
}

arriving! {
    a_range_that_hangs_in_its_body_goes_on: RANGED, second().first(1).then(Fault::HangInBody { after: 1 << 20 });
    a_range_that_hangs_in_its_head_is_asked_for_again: RANGED, second().first(1).then(Fault::HangInHead { after: 9 });
    a_reset_range_is_asked_for_again: RANGED,
        second().first(1).then(Fault::CutHead { after: 0, ending: Ending::Reset });
    a_short_range_is_not_taken: RANGED, second().first(1).then(Fault::TruncateBody { to: 1_000 });
    a_range_without_content_range_is_not_taken: RANGED,
        second().first(1).then(Fault::RemoveHeader("content-range".into()));
    a_range_without_length_that_is_cut_goes_on: RANGED,
        second().first(1).then(Fault::CloseDelimited).then(Fault::CutBody { after: 1 << 20, ending: Ending::Fin });
    a_range_with_a_thousand_headers_is_taken: RANGED, second().first(1).then(Fault::ManyHeaders(1_000));
    one_range_that_is_ignored_means_one_plain_get: RANGED, second().first(1).then(Fault::IgnoreRange);
}

failing! {
    a_range_without_content_range_each_time_is_an_error: RANGED,
        second().then(Fault::RemoveHeader("content-range".into())), is_kind(Kind::BadResponse);
    a_range_that_is_denied_is_an_error: RANGED, second().then(denied()),
        |error| error.code() == Some("AccessDenied");
    a_range_that_vanishes_is_an_error: RANGED, second().then(Fault::status(404, "NoSuchKey")),
        |error| error.status() == Some(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_range_goes_on_from_its_last_good_byte_of_the_same_object() {
    let cut = 1_234_567;
    let rig = arrives(RANGED, second().first(1).then(Fault::CutBody { after: cut, ending: Ending::Reset })).await;
    let etag = rig.server.object("bucket", "key").unwrap().etag;
    let gets = rig.server.requests_of(Operation::GetObject);
    assert_eq!(gets.len(), RANGED.div_ceil(RANGE as usize) + 1);
    assert!(gets.iter().all(|get| get.header("if-match") == Some(etag.as_str())));
    let last = 2 * RANGE - 1;
    let start = |get: &str| get.strip_prefix("bytes=")?.strip_suffix(&format!("-{last}"))?.parse::<u64>().ok();
    let mut starts: Vec<u64> = gets.iter().filter_map(|get| start(get.range.as_deref()?)).collect();
    starts.sort_unstable();
    // A reset may take the last bytes with it.
    assert!(starts[0] == RANGE && starts[1] > RANGE && starts[1] <= RANGE + cut as u64, "{starts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_gets_one_plain_get() {
    let rig = arrives(RANGED, on(Operation::GetObject).then(Fault::IgnoreRange)).await;
    let plain = rig.server.requests_of(Operation::GetObject).iter().filter(|get| get.range.is_none()).count();
    assert_eq!(plain, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changes_for_ever_is_given_up_after_three_restarts() {
    let rig =
        fails(RANGED, second().then(Fault::status(412, "PreconditionFailed")), is_kind(Kind::ObjectChanged)).await;
    assert_eq!(rig.server.fired("fault"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_goes_while_it_is_read_is_an_error() {
    let changed = Rule::new("changed").on(Operation::GetObject).nth(2).then(Fault::status(412, "PreconditionFailed"));
    let gone = on(Operation::HeadObject).nth(2).then(Fault::status(404, "404").empty());
    let rig = Rig::new(Script::new().rule(changed).rule(gone));
    rig.server.put("bucket", "key", content(RANGED));
    let error = rig.download().await.unwrap_err();
    assert_eq!((error.status(), rig.server.fired("fault")), (Some(404), 1), "{error}");
    assert_named(&error, &rig);
    assert!(rig.names().is_empty());
    rig.assert_clean().await;
}
