//! Keys that would lead outside or need the same place, links, and what a report says after the first error.

use std::collections::HashSet;
use std::os::unix::fs::symlink;
use std::time::Duration;

use s3bulk::config::TransferOptions;
use s3bulk::error::Kind;

use crate::download_setup::{denied, files, filled, on, take};
use crate::fault_server::{Fault, Operation, Rule, Script};
use crate::rig::{Rig, unhurried};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_a_hostile_key_is_not_begun() {
    // The page before is there, and so are its good files.
    for (keys, kind) in [
        (["p/!a", "p/!b", "p/!c", "p/../x"], Kind::SuspiciousKey),
        (["p/!a", "p/!b", "p/!c", "p/a/../../x"], Kind::SuspiciousKey),
        (["p/!a", "p/!b", "p/!c", "p/a/../b"], Kind::SuspiciousKey),
        (["p/!a", "p/!b", "p/!c", "p//x"], Kind::SuspiciousKey),
        (["p/!a", "p/!b", "p/!c", "p/."], Kind::SuspiciousKey),
        (["p/!a", "p/!b", "p/!c", "p/x\0y"], Kind::SuspiciousKey),
        (["p/!a", "p/!b", "p/x", "p/x/y"], Kind::KeyCollision),
        (["p/!a", "p/!b", "p/x//y", "p/x/y"], Kind::KeyCollision),
        (["p/!a", "p/!b", "p/./x", "p/x"], Kind::KeyCollision),
        (["p/!a", "p/!b", "p/!b/c", "p/x"], Kind::KeyCollision),
    ] {
        let rig = filled(Script::new().page_size(2), &keys);
        let (done, report, error) = take(&rig).await;
        let error = error.expect("an error");
        assert_eq!(error.kind(), &kind, "{keys:?}");
        let says =
            if kind == Kind::SuspiciousKey { "Refusing to write outside local_dir; suspicious S3 key: " } else { "p/" };
        assert!(error.message().contains(says), "{error}");
        assert!(done.iter().all(|key| key == keys[0] || key == keys[1]), "{keys:?}: {done:?}");
        assert_eq!(done.len(), 2 - report.failed.len() - report.not_begun.len());
        assert_eq!((files(&rig).len(), rig.names()), (done.len(), vec!["target".to_owned()]), "{keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_may_lead_about_inside_but_not_outside() {
    let rig = filled(Script::new(), &["p/in/a", "p/real/b"]);
    std::fs::create_dir_all(rig.target().join("real")).unwrap();
    symlink("real", rig.target().join("in")).unwrap();
    let (done, _, error) = take(&rig).await;
    assert!(error.is_none() && done.len() == 2, "{error:?}");
    assert_eq!(std::fs::read(rig.target().join("real/a")).unwrap(), b"p/in/a");
    assert!(rig.target().join("in").is_symlink());

    let rig = filled(Script::new(), &["p/good", "p/out/a"]);
    let outside = tempfile::tempdir().unwrap();
    std::fs::create_dir(rig.target()).unwrap();
    symlink(outside.path(), rig.target().join("out")).unwrap();
    let (done, _, error) = take(&rig).await;
    let error = error.expect("an error");
    assert_eq!(error.kind(), &Kind::SuspiciousKey, "{error:?}");
    assert!(done.is_empty() && !rig.target().join("good").exists());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(rig.server.requests_of(Operation::GetObject).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_that_is_earliest_in_contract_order_speaks() {
    let late = on(Operation::GetObject).key("p/010").then(Fault::DelayHead(Duration::from_millis(150))).then(denied());
    let early = Rule::new("early").on(Operation::GetObject).key("p/012").then(Fault::status(404, "NoSuchKey"));
    // They keep their lanes, so that most are never begun.
    let others =
        Rule::new("others").on(Operation::GetObject).key_where(|key| key > "p/012").then(Fault::HangBeforeHead);
    let options = TransferOptions { max_concurrency: 16, ..unhurried() };
    let rig = Rig::with(Script::new().rule(late).rule(early).rule(others), options);
    for key in (0..300).map(|number| format!("p/{number:03}")) {
        rig.server.put("bucket", &key, key.clone().into_bytes());
    }
    let (done, report, error) = take(&rig).await;
    let error = error.expect("an error");
    assert_eq!((rig.server.fired("fault"), rig.server.fired("early")), (1, 1));
    assert_eq!((error.code(), error.context().key.as_deref()), (Some("AccessDenied"), Some("p/010")));
    assert!(!report.not_begun.is_empty());
    let failed = report.failed.iter().map(|(name, _)| name);
    let all: Vec<_> = report.done.iter().chain(failed).chain(&report.not_begun).collect();
    assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (300, 300));
    assert_eq!(files(&rig).len(), done.len());
}
