//! Connections: kept while that helps, given up before the server gives them up, and never more than there is work for.

use s3bulk::config::TransferOptions;
use s3bulk::flow::Cancel;

use crate::download_setup::on;
use crate::fault_server::{Ending, Fault, Moment, Operation, Rule, Script};
use crate::rig::{Rig, content, options};

/// Whatever fails is seen.
fn one_attempt() -> TransferOptions {
    TransferOptions { max_attempts: 1, ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_uploads_on_connections_that_die_when_used_again_all_succeed() {
    let dying = Fault::CloseUnanswered { moment: Moment::BeforeBody, ending: Ending::Reset };
    let script = Script::new().rule(Rule::new("fault").reused_connection().then(dying));
    let rig = Rig::with(script, one_attempt());
    for number in 0..1_000_u32 {
        rig.upload(&number.to_be_bytes()).await.unwrap_or_else(|error| panic!("upload {number}: {error}"));
        assert_eq!(rig.server.object("bucket", "key").unwrap().bytes, number.to_be_bytes().as_slice());
    }
    assert!(rig.server.fired("fault") >= 400, "{:?}", rig.server.stats());
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_after_each_answer_costs_no_attempt() {
    let closing = on(Operation::PutObject).then(Fault::set_header("connection", "close"));
    let rig = Rig::with(Script::new().rule(closing.then(Fault::EndWith(Ending::Fin))), one_attempt());
    for _ in 0..20 {
        rig.upload(b"bytes").await.unwrap();
    }
    assert_eq!((rig.server.fired("fault"), rig.server.stats().connections_accepted), (20, 20));
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_without_another_request() {
    let rig = Rig::new(Script::new());
    rig.upload(b"bytes").await.unwrap();
    assert_eq!(rig.server.stats().connections_open, 1);
    // The server itself would wait for ever.
    rig.server.wait_until("the connection is closed", |stats| stats.connections_open == 0).await.unwrap();
    assert_eq!(rig.server.stats().requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_hardly_more_connections_than_lanes() {
    const LANES: usize = 16;
    let rig = Rig::with(Script::new(), TransferOptions { max_concurrency: LANES, ..options() });
    std::fs::create_dir(rig.source()).unwrap();
    for number in 0..300 {
        std::fs::write(rig.source().join(format!("{number:03}")), content(number)).unwrap();
    }
    let (report, error) = rig.upload_folder(&Cancel::new()).await;
    assert!(error.is_none(), "{error:?}");
    let stats = rig.server.stats();
    // One whose turn to connect came too late to be needed is made all the same, and on a busy machine some do.
    assert!(report.done.len() == 300 && stats.connections_peak < 2 * LANES, "{stats:?}");
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_of_the_server_is_waited_for() {
    let rig = Rig::with(Script::new().backlog(1), TransferOptions { max_concurrency: 16, ..options() });
    std::fs::create_dir(rig.source()).unwrap();
    for number in 0..64 {
        std::fs::write(rig.source().join(format!("{number:02}")), content(number)).unwrap();
    }
    rig.server.pause_accepting();
    let cancel = Cancel::new();
    let open = async {
        tokio::time::sleep(options().read_timeout).await;
        rig.server.resume_accepting();
    };
    let ((report, error), ()) = tokio::join!(rig.upload_folder(&cancel), open);
    assert!(error.is_none() && report.done.len() == 64, "{error:?}");
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_answer_is_read_so_that_its_connection_serves_on() {
    for fault in [Fault::status(404, "NoSuchKey"), Fault::status(404, "x").html()] {
        let rig = Rig::with(Script::new().rule(on(Operation::GetObject).then(fault)), one_attempt());
        rig.server.put("bucket", "key", content(10));
        for _ in 0..10 {
            assert_eq!(rig.download().await.unwrap_err().status(), Some(404));
        }
        // Some requests may come before the connection of the one before is free again; one that is not read to its end
        // costs each GET a connection.
        let accepted = rig.server.stats().connections_accepted;
        assert!(rig.server.fired("fault") == 10 && accepted <= 5, "{accepted}");
        rig.assert_clean().await;
    }
}
