//! Answers whose status line or headers are wrong, late or missing.

use std::time::{Duration, Instant};

use super::raw_client::{Client, End, Reply};
use crate::fault_server::{Ending, Fault, FaultServer, Rule, Script};

async fn start(fault: impl Into<Fault>) -> (FaultServer, Client) {
    let server = FaultServer::start(Script::new().rule(Rule::new("fault").then(fault)));
    server.put("b", "k", "0123456789");
    let client = Client::connect(&server).await;
    (server, client)
}

async fn reply(fault: impl Into<Fault>, headers: &[(&str, &str)]) -> Reply {
    let (_server, mut client) = start(fault).await;
    client.ask("GET /b/k", headers, b"").await
}

#[tokio::test]
async fn a_status_carries_its_headers_and_its_kind_of_body() {
    let redirect = Fault::status(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-1");
    let xml = reply(redirect.header("Retry-After", "1"), &[]).await;
    assert_eq!((xml.status, xml.code().as_str()), (301, "PermanentRedirect"));
    assert_eq!((xml.header("x-amz-bucket-region"), xml.header("retry-after")), (Some("eu-west-1"), Some("1")));
    assert!(xml.header("x-amz-request-id").is_some() && xml.header("x-amz-id-2").is_some());
    let html = reply(Fault::status(503, "SlowDown").html(), &[]).await;
    assert!(html.text().starts_with("<html>"));
    let empty = reply(Fault::status(503, "SlowDown").empty(), &[]).await;
    assert_eq!((empty.status, empty.header("content-length")), (503, Some("0")));
}

#[tokio::test]
async fn headers_are_set_removed_and_multiplied() {
    assert_eq!(reply(Fault::RemoveHeader("ETag".to_owned()), &[]).await.header("etag"), None);
    let weak = reply(Fault::WeakEtag, &[]).await;
    assert!(weak.header("etag").unwrap().starts_with("W/\""));
    let range = [("range", "bytes=0-3")];
    let moved = reply(Fault::set_header("Content-Range", "bytes 1-4/11"), &range).await;
    assert_eq!((moved.header("content-range"), moved.text().as_str()), (Some("bytes 1-4/11"), "0123"));
    let control = reply(Fault::set_header("x-amz-meta-a", [b'a', 1, b'b']), &[]).await;
    assert_eq!(control.header("x-amz-meta-a"), Some("a\u{1}b"));
    let many = reply(Fault::ManyHeaders(1000), &[]).await;
    assert_eq!(many.head.matches("x-amz-meta-").count(), 1000);
    let gzip = reply(Fault::set_header("content-encoding", "gzip"), &[]).await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_wrong_checksum_keeps_its_form() {
    let asked = [("x-amz-checksum-mode", "ENABLED")];
    let right = reply(Fault::DelayHead(Duration::ZERO), &asked).await;
    let wrong = reply(Fault::WrongChecksum, &asked).await;
    let sums = [right, wrong].map(|reply| reply.header("x-amz-checksum-crc64nvme").unwrap().to_owned());
    assert_ne!(sums[0], sums[1]);
    assert_eq!((sums[0].len(), sums[1].len()), (12, 12));
}

#[tokio::test]
async fn ranges_are_ignored_or_moved() {
    let range = [("range", "bytes=2-4")];
    let whole = reply(Fault::IgnoreRange, &range).await;
    assert_eq!((whole.status, whole.body.len(), whole.header("content-range")), (200, 10, None));
    let moved = reply(Fault::MoveRange(1), &range).await;
    assert_eq!((moved.text().as_str(), moved.header("content-range")), ("345", Some("bytes 3-5/10")));
    assert_eq!(reply(Fault::SetStatus(200), &range).await.status, 200);
}

#[tokio::test]
async fn informational_heads_come_first() {
    let (_server, mut client) = start(Fault::Informational(vec![102, 103])).await;
    client.send("GET /b/k", &[], b"").await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.reply(false).await.status);
    }
    assert_eq!(statuses, [102, 103, 200]);
}

#[tokio::test]
async fn heads_are_garbage_cut_late_or_endless() {
    let (server, mut client) = start(Fault::Garbage(b"\x16\x03\x01 nonsense\r\n\r\n".to_vec())).await;
    client.send("GET /b/k", &[], b"").await;
    assert_eq!(client.at_least(15).await, "\x16\x03\x01 nonsense\r\n\r\n");
    assert_eq!(server.requests()[0].status, None);

    let (_server, mut client) = start(Fault::CutHead { after: 12, ending: Ending::Fin }).await;
    client.send("GET /b/k", &[], b"").await;
    assert_eq!(client.until_end().await, ("HTTP/1.1 200".to_owned(), End::Fin));

    let (server, mut client) = start(Fault::HangInHead { after: 12 }).await;
    client.send("GET /b/k", &[], b"").await;
    assert_eq!(client.at_least(12).await, "HTTP/1.1 200");
    server.wait_until("it hangs", |stats| stats.held == 1).await.unwrap();
    drop(client);
    server.wait_until("the peer's close is seen", |stats| stats.held_until_peer_closed == 1).await.unwrap();

    let begun = Instant::now();
    reply(Fault::DelayHead(Duration::from_millis(80)), &[]).await;
    assert!(begun.elapsed() >= Duration::from_millis(80));
}
