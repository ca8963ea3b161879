//! Throttling makes a transfer slower, and makes nothing fail.

use std::time::Duration;

use s3bulk::flow::Cancel;

use crate::download_setup::{files, on};
use crate::fault_server::{Fault, Operation, Script};
use crate::rig::{Rig, content, unhurried};

fn slow_down() -> Fault {
    Fault::status(503, "SlowDown").into()
}

fn with_files(script: Script, count: usize) -> Rig {
    let rig = Rig::with(script, unhurried());
    std::fs::create_dir(rig.source()).unwrap();
    for number in 0..count {
        std::fs::write(rig.source().join(format!("{number:04}")), content(number)).unwrap();
    }
    rig
}

/// Up and down again, every byte compared.
async fn everything_moves(rig: &Rig, count: usize) {
    let (report, error) = rig.upload_folder(&Cancel::new()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!((report.done.len(), rig.server.keys("bucket").len()), (count, count));
    let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!((report.done.len(), files(rig).len()), (count, count));
    for number in 0..count {
        assert!(std::fs::read(rig.target().join(format!("{number:04}"))).unwrap() == content(number), "{number}");
    }
    rig.assert_clean().await;
}

async fn survives_503_for(time: Duration) {
    const COUNT: usize = 200;
    /// With so many the window begins, and it does not open while nothing succeeds.
    const LANES: usize = 8;
    for body in ["xml", "empty"] {
        let rig = with_files(Script::new(), COUNT);
        let busy = || match body {
            "xml" => slow_down(),
            _ => Fault::status(503, "503").empty().into(),
        };
        let all = || on(Operation::PutObject).on(Operation::GetObject).on(Operation::ListObjectsV2).then(busy());
        rig.server.add_rule(all());
        let recovers = async {
            rig.server.wait_until("the fault", |stats| stats.fired("fault") > 0).await.unwrap();
            tokio::time::sleep(time).await;
            rig.server.clear_rules();
        };
        tokio::join!(everything_moves(&rig, COUNT), recovers);
        let fired = rig.server.fired("fault");
        assert!(fired > LANES, "{fired}");
        // It was asked less and less often: no lane more than a dozen times in half a minute.
        assert!(fired < LANES * 24, "{fired}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_seconds_of_503_fail_nothing() {
    survives_503_for(Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes; make test-all runs it"]
async fn half_a_minute_of_503_fails_nothing() {
    survives_503_for(Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_503_in_twenty_or_in_five_fails_nothing() {
    for (share, seed) in [(0.05, 1), (0.2, 2)] {
        let rule = on(Operation::PutObject).on(Operation::GetObject).probability(share, seed).then(slow_down());
        let rig = with_files(Script::new().rule(rule), 400);
        everything_moves(&rig, 400).await;
        let fired = rig.server.fired("fault") as f64;
        assert!(fired > 800.0 * share / 2.0, "{share}: {fired}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_requests_of_a_prefix_fails_nothing() {
    const COUNT: usize = 600;
    let rig = with_files(Script::new().leaky_bucket("limit", "p/", 300.0, 30.0), COUNT);
    everything_moves(&rig, COUNT).await;
    assert!(rig.server.fired("limit") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_prefix_beside_a_fast_one_fails_nothing() {
    const COUNT: usize = 600;
    let script = Script::new().leaky_bucket("slow", "p/00", 40.0, 10.0).leaky_bucket("fast", "p/0", 400.0, 40.0);
    let rig = with_files(script, COUNT);
    everything_moves(&rig, COUNT).await;
    assert!(rig.server.fired("slow") > 0 && rig.server.fired("fast") > 0);
}
