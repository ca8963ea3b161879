//! Listings under faults: whole and in the server's order, or an error with its names.

use std::time::{Duration, Instant};

use s3bulk::error::{Error, Kind};

use crate::download_setup::{denied, files, filled, on, take};
use crate::fault_server::{Ending, Fault, ListFault, Operation, Rule, Script};
use crate::rig::Rig;

const KEYS: [&str; 20] = [
    "p/00",
    "p/01 space",
    "p/02+plus",
    "p/03%20",
    "p/04%",
    "p/05\u{1}",
    "p/06\n",
    "p/07/a",
    "p/07/b",
    "p/08\u{fffe}",
    "p/09é",
    "p/10&<>",
    "p/11?#",
    "p/12\"'",
    "p/13~",
    "p/14\\",
    "p/15...",
    "p/16/.hidden",
    "p/17",
    "p/18",
];

fn list() -> Rule {
    on(Operation::ListObjectsV2)
}

fn assert_listing(error: &Error, rig: &Rig) {
    let context = error.context();
    assert_eq!(context.operation, Some("ListObjectsV2"), "{error}");
    assert_eq!(context.bucket.as_deref(), Some("bucket"), "{error}");
    assert_eq!(context.endpoint.as_deref(), Some(rig.server.endpoint().as_str()), "{error}");
}

async fn is_whole(fault: Rule) {
    let rig = filled(Script::new().page_size(3).rule(fault), &KEYS);
    let (done, _, error) = take(&rig).await;
    assert!(error.is_none(), "{error:?}");
    assert!(rig.server.fired("fault") >= 1, "the fault did not happen");
    assert_eq!(done, KEYS);
    assert_eq!(files(&rig).len(), KEYS.len());
    for key in KEYS {
        assert_eq!(std::fs::read(rig.target().join(&key[2..])).unwrap(), key.as_bytes(), "{key:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_goes_wrong_once_is_asked_for_again() {
    for fault in [
        Fault::status(500, "InternalError").into(),
        Fault::status(504, "x").html().into(),
        Fault::HangInHead { after: 9 },
        Fault::HangInBody { after: 99 },
        Fault::CutBody { after: 99, ending: Ending::Reset },
        Fault::TruncateBody { to: 0 },
        Fault::TruncateBody { to: 200 },
        Fault::CloseDelimited,
        Fault::ErrorInside200 { code: "InternalError".into() },
        Fault::Garbage(b"\x01\r\n\r\n".to_vec()),
        Fault::ManyHeaders(1_000),
        Fault::set_header("x-amz-meta-raw", b"\xff".to_vec()),
        Fault::Chunked,
    ] {
        println!("{fault:?}");
        is_whole(list().nth(2).then(fault)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed_in_a_listing() {
    let began = Instant::now();
    is_whole(list().nth(2).then(Fault::status(503, "SlowDown").header("Retry-After", "1"))).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_wrong_is_an_error_with_its_names() {
    for (fault, kind) in [
        (ListFault::TokenMissing.into(), Some(Kind::BadResponse)),
        (ListFault::TokenEmpty.into(), Some(Kind::BadResponse)),
        (ListFault::TokenRepeated.into(), Some(Kind::BadResponse)),
        (ListFault::BrokenXml.into(), Some(Kind::BadResponse)),
        (Fault::HangBeforeHead, Some(Kind::ReadTimeout)),
        (denied(), None),
    ] {
        let rig = filled(Script::new().page_size(3).rule(list().from(2).then(fault)), &KEYS);
        let (done, _, error) = take(&rig).await;
        let error = error.expect("an error");
        assert!(kind.is_none_or(|kind| *error.kind() == kind), "{error:?}");
        assert!(rig.server.fired("fault") >= 1);
        assert_listing(&error, &rig);
        // Nothing of a page that can't be believed; what came before may be there.
        assert_eq!(done, KEYS[..done.len()]);
        assert!(done.len() <= 3 && files(&rig).len() == done.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_an_error() {
    let rig = Rig::new(Script::new().rule(list().then(Fault::status(404, "NoSuchBucket"))));
    let (_, report, error) = take(&rig).await;
    let error = error.expect("an error");
    assert_eq!((error.code(), error.status(), report.done.len()), (Some("NoSuchBucket"), Some(404), 0));
    assert_eq!(rig.server.fired("fault"), 1);
    assert_listing(&error, &rig);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_is_no_end() {
    for rule in [list().nth(1), list().nth(3), list().every(2), list().first(5)] {
        is_whole(rule.then(ListFault::EmptyPage)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_that_there_is_more_where_nothing_else_does() {
    is_whole(list().then(ListFault::FlagMissing)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_goes_in_circles_is_called_so() {
    for number in [2, 3] {
        let rig = filled(Script::new().page_size(3).rule(list().nth(number).then(ListFault::TokenToStart)), &KEYS);
        let (done, _, error) = take(&rig).await;
        let error = error.expect("an error");
        // The first page comes a second time: its keys collide with themselves, which would blame the wrong one.
        assert_eq!((error.kind(), rig.server.fired("fault")), (&Kind::BadResponse, 1), "{error}");
        assert!(error.message().contains("repeats a page"), "{error}");
        assert_listing(&error, &rig);
        assert_eq!(done, KEYS[..done.len()]);
        assert!(done.len() <= 3 * number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_not_encoded_are_not_decoded() {
    let keys = ["p/a+b", "p/c%20d", "p/e f"];
    let rig = filled(Script::new().rule(list().then(ListFault::IgnoreEncodingType)), &keys);
    let (done, _, error) = take(&rig).await;
    assert!(error.is_none() && done == keys && rig.server.fired("fault") == 1, "{error:?} {done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_order_is_kept() {
    let rig = filled(Script::new().page_size(2).rule(list().then(ListFault::Unsorted)), &["p/az", "p/by", "p/cx"]);
    let (done, _, error) = take(&rig).await;
    assert!(error.is_none() && rig.server.fired("fault") == 2);
    assert_eq!(done, ["p/cx", "p/by", "p/az"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_passed_over_and_neighbours_of_the_prefix_never_seen() {
    let rig = filled(Script::new(), &["p/", "p/d/", "p/e/f", "pq/x"]);
    let (done, _, error) = take(&rig).await;
    assert!(error.is_none() && done == ["p/e/f"] && files(&rig) == ["e/f"]);
    assert!(!rig.target().join("d").exists());
}
