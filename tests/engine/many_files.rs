//! Folders and prefixes under faults: a listing is whole or an error, a report is honest, hostile keys write nothing.

use std::time::Duration;

use s3bulk::error::Kind;
use s3bulk::flow::Cancel;
use s3bulk::transfer::Report;

use crate::fault_server::{Fault, ListFault, Operation, Rule, Script};
use crate::rig::{Rig, options, unhurried};

fn list(number: usize) -> Rule {
    Rule::new("fault").on(Operation::ListObjectsV2).nth(number)
}

fn filled(script: Script, keys: &[&str]) -> Rig {
    let rig = Rig::new(script);
    for key in keys {
        rig.server.put("bucket", key, key.as_bytes().to_vec());
    }
    rig
}

const KEYS: [&str; 7] = ["p/a", "p/b b", "p/c+c", "p/d%20", "p/e\u{1}", "p/f/g", "p/h"];

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_fail_for_a_while_are_asked_for_again() {
    for fault in [Fault::from(Fault::status(503, "SlowDown")), ListFault::BrokenXml.into(), Fault::HangBeforeHead] {
        let rig = filled(Script::new().page_size(3).rule(list(2).then(fault)), &KEYS);
        let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(rig.server.fired("fault"), 1);
        let done: Vec<_> = report.done.iter().map(|name| format!("p/{name}")).collect();
        assert_eq!(done, KEYS);
        for key in KEYS {
            assert_eq!(std::fs::read(rig.target().join(&key[2..])).unwrap(), key.as_bytes());
        }
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_contradicts_itself_is_never_a_whole_one() {
    for fault in [ListFault::TokenMissing, ListFault::TokenEmpty, ListFault::TokenRepeated] {
        let rule = Rule::new("fault").on(Operation::ListObjectsV2).from(2).then(fault);
        let rig = filled(Script::new().page_size(3).rule(rule), &KEYS);
        let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
        assert_eq!(error.expect("an error").kind(), &Kind::BadResponse, "{fault:?}");
        assert!(rig.server.fired("fault") >= 1);
        assert!(report.done.len() < KEYS.len());
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_pages_and_any_order_are_no_fault() {
    for fault in [ListFault::EmptyPage, ListFault::Unsorted] {
        let rule = if fault == ListFault::EmptyPage { list(1) } else { Rule::new("fault") };
        let rig = filled(Script::new().page_size(3).rule(rule.then(fault)), &KEYS);
        let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
        assert!(error.is_none(), "{fault:?}: {error:?}");
        assert!(rig.server.fired("fault") >= 1);
        assert_eq!(report.done.len(), KEYS.len(), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_keys_and_collisions_write_nothing_of_their_page() {
    for (keys, kind) in [
        (["p/a", "p/../x"], Kind::SuspiciousKey),
        (["p/a", "p//x"], Kind::SuspiciousKey),
        (["p/a", "p/b/../../x"], Kind::SuspiciousKey),
        (["p/a", "p/."], Kind::SuspiciousKey),
        (["p/a", "p/a/b"], Kind::KeyCollision),
        (["p/x//y", "p/x/y"], Kind::KeyCollision),
    ] {
        let rig = filled(Script::new(), &keys);
        let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
        assert_eq!(error.expect("an error").kind(), &kind, "{keys:?}");
        assert!(report.done.is_empty() && std::fs::read_dir(rig.target()).unwrap().next().is_none(), "{keys:?}");
        assert!(rig.server.requests_of(Operation::GetObject).is_empty());
    }
}

fn count(report: &Report) -> usize {
    report.done.len() + report.failed.len() + report.not_begun.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_names_every_file_once() {
    let denied = Rule::new("fault").on(Operation::PutObject).key("p/050").then(Fault::status(403, "AccessDenied"));
    // The others take their time: however late the refusal is noticed, some are left.
    let others = Rule::new("others").on(Operation::PutObject).key_where(|key| key > "p/060");
    let script = Script::new().rule(denied).rule(others.then(Fault::DelayHead(Duration::from_millis(100))));
    let rig = Rig::with(script, s3bulk::config::TransferOptions { max_concurrency: 4, ..unhurried() });
    std::fs::create_dir(rig.source()).unwrap();
    for number in 0..300 {
        std::fs::write(rig.source().join(format!("{number:03}")), b"x").unwrap();
    }
    let (report, error) = rig.upload_folder(&Cancel::new()).await;
    let error = error.expect("an error");
    assert_eq!((error.code(), error.context().key.as_deref()), (Some("AccessDenied"), Some("p/050")));
    assert_eq!((count(&report), report.failed.len()), (300, 1));
    assert!(!report.not_begun.is_empty());
    assert_eq!(rig.server.keys("bucket").len(), report.done.len());
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_transfer_ends_within_a_second_and_leaves_nothing() {
    for operation in [Operation::PutObject, Operation::UploadPart, Operation::CompleteMultipartUpload] {
        let hang = Rule::new("fault").on(operation).then(Fault::NeverRead);
        let patient = s3bulk::config::TransferOptions { read_timeout: Duration::from_secs(60), ..options() };
        let rig = Rig::with(Script::new().rule(hang), patient);
        std::fs::create_dir(rig.source()).unwrap();
        let size = if operation == Operation::PutObject { 1_000 } else { 7 << 20 };
        std::fs::write(rig.source().join("file"), vec![1; size]).unwrap();
        let cancel = Cancel::new();
        let stop = async {
            rig.server.wait_until("the fault", |stats| stats.fired("fault") > 0).await.unwrap();
            cancel.cancel();
            std::time::Instant::now()
        };
        let ((report, error), began) = tokio::join!(rig.upload_folder(&cancel), stop);
        assert!(began.elapsed() < Duration::from_secs(1), "{operation:?}: {:?}", began.elapsed());
        assert!(error.expect("an error").is_cancelled() && count(&report) == 1);
        rig.assert_clean().await;
    }
}
