//! Cancelled downloads end within a second and leave no file, no lane, no buffer and no busy connection.

use std::time::{Duration, Instant};

use s3bulk::flow::Cancel;

use crate::download_setup::{files, on, patient};
use crate::fault_server::{Fault, Operation, Rule, Script};
use crate::rig::{LARGE, MIDDLING, Rig, SMALL, content, watched};

async fn ends_at_once(size: usize, rule: Rule, faults: usize) {
    let rig = patient(Rig::new(Script::new().rule(rule)));
    rig.server.put("bucket", "p/key", content(size));
    std::fs::create_dir(rig.target()).unwrap();
    std::fs::write(rig.target().join("key"), b"old").unwrap();
    let cancel = Cancel::new();
    let stop = async {
        rig.server.wait_until("the fault", |stats| stats.held >= faults).await.unwrap();
        cancel.cancel();
        Instant::now()
    };
    let ((report, error), began) = tokio::join!(rig.download_prefix("p", &cancel), stop);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(error.expect("an error").is_cancelled() && report.done.is_empty());
    assert_eq!(files(&rig), ["key"], "looked at when it returned");
    assert_eq!(std::fs::read(rig.target().join("key")).unwrap(), b"old");
    rig.assert_clean().await;
    rig.server
        .wait_until("no busy connection", |stats| stats.held == 0 && stats.requests_in_flight == 0)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_download_ends_at_once() {
    let get = || on(Operation::GetObject);
    for (size, rule, held) in [
        (SMALL, get().then(Fault::HangBeforeHead), 1),
        (SMALL, get().then(Fault::HangInBody { after: 10 }), 1),
        (MIDDLING, get().then(Fault::HangInBody { after: 1 << 20 }), 1),
        (LARGE, get().then(Fault::HangInBody { after: 1 << 20 }), 3),
        (LARGE, on(Operation::HeadObject).then(Fault::HangBeforeHead), 1),
        (SMALL, on(Operation::ListObjectsV2).then(Fault::HangBeforeHead), 1),
        (SMALL, on(Operation::ListObjectsV2).then(Fault::HangInBody { after: 50 }), 1),
    ] {
        ends_at_once(size, rule, held).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_single_download_ends_at_once() {
    for operation in [Operation::HeadObject, Operation::GetObject] {
        let rig = patient(Rig::new(Script::new().rule(on(operation).then(Fault::HangBeforeHead))));
        rig.server.put("bucket", "key", content(LARGE));
        let cancel = Cancel::new();
        let stop = async {
            rig.server.wait_until("the fault", |stats| stats.held > 0).await.unwrap();
            cancel.cancel();
            Instant::now()
        };
        let download = watched(rig.engine.download_file("bucket", "key", rig.target(), &cancel));
        let (result, began) = tokio::join!(download, stop);
        assert!(result.unwrap_err().is_cancelled() && began.elapsed() < Duration::from_secs(1));
        assert!(rig.names().is_empty());
        rig.assert_clean().await;
        rig.server.wait_until("no busy connection", |stats| stats.held == 0).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_between_requests_is_cancelled_too() {
    let busy = Fault::status(503, "SlowDown").header("Retry-After", "20");
    for operation in [Operation::HeadObject, Operation::ListObjectsV2] {
        let rig = Rig::new(Script::new().rule(on(operation).then(busy.clone())));
        rig.server.put("bucket", "p/key", content(LARGE));
        let cancel = Cancel::new();
        let stop = async {
            rig.server.wait_until("the fault", |stats| stats.fired("fault") > 0).await.unwrap();
            cancel.cancel();
            Instant::now()
        };
        let ((_, error), began) = tokio::join!(rig.download_prefix("p", &cancel), stop);
        assert!(error.expect("an error").is_cancelled() && began.elapsed() < Duration::from_secs(1));
        rig.assert_clean().await;
    }
}
