//! Answers whose body is cut, late, false, or framed wrongly.

use std::time::{Duration, Instant};

use super::raw_client::{Client, End};
use crate::fault_server::{Ending, Fault, FaultServer, Operation, Rule, Script};

async fn start(faults: &[Fault]) -> (FaultServer, Client) {
    let rule = faults.iter().fold(Rule::new("fault"), |rule, fault| rule.then(fault.clone()));
    let server = FaultServer::start(Script::new().rule(rule));
    server.put("b", "k", "0123456789");
    let mut client = Client::connect(&server).await;
    client.send("GET /b/k", &[], b"").await;
    (server, client)
}

/// Head, body, and how the connection ended.
async fn all(faults: &[Fault]) -> (String, String, End) {
    let (_server, mut client) = start(faults).await;
    let (text, end) = client.until_end().await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned(), end)
}

#[tokio::test]
async fn a_body_is_cut_after_its_full_length_was_declared() {
    let (head, body, end) = all(&[Fault::CutBody { after: 4, ending: Ending::Fin }]).await;
    assert!(head.contains("content-length: 10"), "{head}");
    assert_eq!((body.as_str(), end), ("0123", End::Fin));
    let (_, _, end) = all(&[Fault::CutBody { after: 4, ending: Ending::ResetAfter(Duration::from_millis(30)) }]).await;
    assert_eq!(end, End::Reset);
}

#[tokio::test]
async fn a_body_without_a_length_ends_like_one_that_is_cut() {
    let (head, body, end) = all(&[Fault::CloseDelimited]).await;
    assert!(!head.contains("content-length") && head.contains("connection: close"), "{head}");
    assert_eq!((body.as_str(), end), ("0123456789", End::Fin));
    let cut = Fault::CutBody { after: 4, ending: Ending::Fin };
    let (head, body, end) = all(&[Fault::CloseDelimited, cut]).await;
    assert!(!head.contains("content-length"), "{head}");
    assert_eq!((body.as_str(), end), ("0123", End::Fin));
}

#[tokio::test]
async fn chunks_are_whole_cut_or_beside_a_length() {
    let (head, body, _) = all(&[Fault::Chunked, Fault::EndWith(Ending::Fin)]).await;
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    assert_eq!(body, "a\r\n0123456789\r\n0\r\n\r\n");
    let (head, _, _) = all(&[Fault::ChunkedWithLength, Fault::EndWith(Ending::Fin)]).await;
    assert!(head.contains("transfer-encoding: chunked") && head.contains("content-length: 10"), "{head}");
    let (_, body, _) = all(&[Fault::Chunked, Fault::CutBody { after: 4, ending: Ending::Fin }]).await;
    assert_eq!(body, "4\r\n0123\r\n");
    let (_, body, _) = all(&[Fault::ChunksOf(6), Fault::EndWith(Ending::Fin)]).await;
    assert_eq!(body, "6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n");
}

#[tokio::test]
async fn the_length_lies_both_ways() {
    for (off, declared) in [(5, "content-length: 15"), (-5, "content-length: 5")] {
        let (head, body, _) = all(&[Fault::ContentLengthOff(off), Fault::EndWith(Ending::Fin)]).await;
        assert!(head.contains(declared), "{head}");
        assert_eq!(body, "0123456789");
    }
}

#[tokio::test]
async fn a_bit_is_flipped_and_nothing_tells_of_it() {
    let (_server, mut client) = start(&[Fault::FlipBit { at: 3 }]).await;
    let reply = client.reply(false).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "0122456789"));
}

#[tokio::test]
async fn a_body_hangs_until_the_peer_gives_up() {
    let (server, mut client) = start(&[Fault::HangInBody { after: 4 }]).await;
    server.wait_until("it hangs", |stats| stats.held == 1).await.unwrap();
    assert!(client.at_least(20).await.starts_with("HTTP/1.1 200"));
    drop(client);
    let closed = server.wait_until("the close is seen", |stats| stats.connections_open == 0).await.unwrap();
    assert_eq!(closed.held_until_peer_closed, 1);
}

#[tokio::test]
async fn a_body_trickles_or_begins_late() {
    let begun = Instant::now();
    let (_server, mut client) = start(&[Fault::Trickle { bytes: 1, interval: Duration::from_millis(10) }]).await;
    assert_eq!(client.reply(false).await.text(), "0123456789");
    assert!(begun.elapsed() >= Duration::from_millis(100));
    let begun = Instant::now();
    let (_server, mut client) = start(&[Fault::DelayBody(Duration::from_millis(60))]).await;
    assert_eq!(client.reply(false).await.text(), "0123456789");
    assert!(begun.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_request_body_is_read_slowly() {
    let fault = Fault::SlowRead { bytes: 10, interval: Duration::from_millis(10) };
    let server = FaultServer::start(Script::new().rule(Rule::new("slow").on(Operation::PutObject).then(fault)));
    server.create_bucket("b");
    let begun = Instant::now();
    assert_eq!(Client::connect(&server).await.ask("PUT /b/k", &[], &[0; 100]).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn an_object_is_replaced_between_two_gets() {
    let (server, mut client) = start(&[Fault::ReplaceObject("longer than before".into())]).await;
    let first = client.reply(false).await;
    assert_eq!(first.text(), "0123456789");
    let etag = first.header("etag").unwrap().to_owned();
    let second = client.ask("GET /b/k", &[("if-match", &etag), ("range", "bytes=0-3")], b"").await;
    assert_eq!((second.status, server.object("b", "k").unwrap().bytes.len()), (412, 18));
}
