//! When an answer comes before the body was read, and how a connection ends.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::raw_client::{Client, End};
use crate::fault_server::{Ending, Fault, FaultServer, Moment, Operation, Rule, Script, StatusFault};

fn forbidden() -> StatusFault {
    Fault::status(403, "AccessDenied")
}

async fn start(fault: impl Into<Fault>) -> (FaultServer, Client) {
    let server = FaultServer::start(Script::new().rule(Rule::new("fault").then(fault)));
    let client = Client::connect(&server).await;
    (server, client)
}

#[tokio::test]
async fn an_early_answer_leaves_the_body_unread_and_then_reads_it() {
    let (server, mut client) = start(forbidden().at(Moment::BeforeBody)).await;
    client.send_head("PUT /b/k", &[], 100_000).await;
    assert_eq!(client.reply(false).await.status, 403);
    assert_eq!(server.requests()[0].body_bytes, 0);
    client.stream.write_all(&[0; 100_000]).await.unwrap();
    client.send("PUT /b/k", &[], b"").await;
    assert_eq!(client.reply(false).await.status, 403);
    assert_eq!((server.requests()[0].body_bytes, server.stats().connections_accepted), (100_000, 1));
}

#[tokio::test]
async fn an_answer_comes_after_so_many_bytes() {
    let (server, mut client) = start(forbidden().at(Moment::AfterBytes(1000)).empty()).await;
    client.send_head("PUT /b/k", &[], 5000).await;
    client.stream.write_all(&[0; 1000]).await.unwrap();
    let reply = client.reply(false).await;
    assert_eq!((reply.status, reply.body.len(), server.requests()[0].body_bytes), (403, 0, 1000));
}

#[tokio::test]
async fn a_hasty_close_with_unread_bytes_is_a_reset_by_the_kernel() {
    let (_server, mut client) = start(forbidden().at(Moment::BeforeBody).ending(Ending::Fin)).await;
    let _may_fail_when_the_reset_is_faster = client.stream.write_all(&unread_put()).await;
    assert_eq!(client.until_end().await.1, End::Reset);
}

fn unread_put() -> Vec<u8> {
    let mut bytes = b"PUT /b/k HTTP/1.1\r\ncontent-length: 100000\r\n\r\n".to_vec();
    bytes.resize(90_000, 0);
    bytes
}

#[tokio::test]
async fn fin_and_drain_lets_the_peer_read_the_answer() {
    let (server, mut client) = start(forbidden().at(Moment::BeforeBody).ending(Ending::FinAndDrain)).await;
    client.stream.write_all(&unread_put()).await.unwrap();
    let (text, end) = client.until_end().await;
    assert!(text.starts_with("HTTP/1.1 403 Forbidden\r\n") && text.contains("<Code>AccessDenied</Code>"), "{text}");
    assert_eq!(end, End::Fin);
    let sent = unread_put().len() as u64;
    server.wait_until("the body is drained", |stats| stats.bytes_in == sent).await.unwrap();
    drop(client);
    server.wait_until("the connection ends", |stats| stats.connections_open == 0).await.unwrap();
}

#[tokio::test]
async fn a_reset_comes_at_once_or_later() {
    for ending in [Ending::Reset, Ending::ResetAfter(Duration::from_millis(50))] {
        let (server, mut client) = start(forbidden().at(Moment::BeforeBody).ending(ending)).await;
        client.send_head("PUT /b/k", &[], 10).await;
        if ending != Ending::Reset {
            assert_eq!(client.reply(false).await.status, 403);
        }
        assert_eq!(client.until_end().await.1, End::Reset);
        assert_eq!(server.fired("fault"), 1);
    }
}

#[tokio::test]
async fn a_server_that_never_reads_fills_the_sockets() {
    let (server, mut client) = start(Fault::NeverRead).await;
    client.send_head("PUT /b/k", &[], 1 << 30).await;
    let flood = async { while client.stream.write_all(&[0; 65_536]).await.is_ok() {} };
    assert!(tokio::time::timeout(Duration::from_millis(500), flood).await.is_err(), "somebody reads");
    assert_eq!((server.stats().held, server.requests()[0].body_bytes), (1, 0));
}

#[tokio::test]
async fn a_held_connection_ends_with_its_peer() {
    for fault in [
        Fault::NeverRead,
        Fault::HangBeforeHead,
        forbidden().ending(Ending::HoldUnread).into(),
        Fault::DelayHead(Duration::from_secs(600)),
    ] {
        let (server, mut client) = start(fault).await;
        client.send("GET /b/k", &[], b"").await;
        server.wait_until("the request is there", |stats| stats.requests_in_flight == 1).await.unwrap();
        drop(client);
        server.wait_until("it ends", |stats| stats.connections_open == 0 && stats.held == 0).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_closes_without_a_byte_on_reuse_only() {
    let fault = Fault::CloseUnanswered { moment: Moment::BeforeBody, ending: Ending::Fin };
    let server = FaultServer::start(Script::new().rule(Rule::new("stale").reused_connection().then(fault)));
    let mut client = Client::connect(&server).await;
    assert_eq!(client.ask("HEAD /b", &[], b"").await.status, 404);
    client.send("HEAD /b", &[], b"").await;
    assert_eq!(client.until_end().await, (String::new(), End::Fin));
    assert_eq!((server.fired("stale"), server.requests()[1].served_before), (1, 1));
    assert_eq!(server.requests()[1].status, None);
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let (server, mut client) = start(Fault::CloseIdleAfter(Duration::from_millis(30))).await;
    assert_eq!(client.ask("HEAD /b", &[], b"").await.status, 404);
    assert_eq!(client.until_end().await, (String::new(), End::Fin));
    server.wait_until("the socket is closed", |stats| stats.connections_open == 0).await.unwrap();
}

#[tokio::test]
async fn a_connection_is_refused_before_anything_is_read() {
    let fault = Fault::CloseUnanswered { moment: Moment::BeforeBody, ending: Ending::Reset };
    let rule = Rule::new("refuse").on(Operation::Connect).first(1).then(fault);
    let server = FaultServer::start(Script::new().rule(rule));
    // The reset may be faster than the return from connect.
    if let Ok(mut stream) = tokio::net::TcpStream::connect(server.address()).await {
        assert!(stream.read(&mut [0]).await.is_err());
    }
    server.wait_until("the first one is refused", |stats| stats.fired("refuse") == 1).await.unwrap();
    assert_eq!(Client::connect(&server).await.ask("HEAD /b", &[], b"").await.status, 404);
    assert_eq!(server.fired("refuse"), 1);
}

#[tokio::test]
async fn the_client_waits_for_100_and_gets_it_or_a_status_or_silence() {
    let expect = [("expect", "100-continue")];
    let (server, mut client) = start(Fault::DelayRead(Duration::ZERO)).await;
    server.create_bucket("b");
    client.send_head("PUT /b/k", &expect, 1).await;
    assert_eq!(client.reply(false).await.status, 100);
    client.stream.write_all(b"x").await.unwrap();
    assert_eq!(client.reply(false).await.status, 200);

    let (_server, mut client) = start(Fault::status(417, "ExpectationFailed").at(Moment::BeforeBody)).await;
    client.send_head("PUT /b/k", &expect, 1).await;
    assert_eq!(client.reply(false).await.status, 417);

    let (server, mut client) = start(Fault::IgnoreExpect).await;
    server.create_bucket("b");
    client.send("PUT /b/k", &expect, b"x").await;
    assert_eq!(client.reply(false).await.status, 200);
}

#[tokio::test]
async fn connects_hang_while_accepting_is_paused_and_the_queue_is_full() {
    let server = FaultServer::start(Script::new().backlog(1));
    server.pause_accepting();
    let mut waiting = Vec::new();
    let address = server.address();
    for _ in 0..6 {
        waiting.push(tokio::spawn(tokio::net::TcpStream::connect(address)));
    }
    let slow = server.wait_at_most(Duration::from_millis(200), "six connects", |it| it.connections_accepted == 6).await;
    assert!(slow.unwrap_err().last.connections_accepted <= 1);
    assert!(waiting.iter().any(|task| !task.is_finished()), "no connect hangs");
    server.resume_accepting();
    for task in waiting {
        assert!(task.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn dropping_the_server_closes_every_connection() {
    let (server, mut client) = start(Fault::HangBeforeHead).await;
    client.send("GET /b/k", &[], b"").await;
    server.wait_until("it hangs", |stats| stats.held == 1).await.unwrap();
    let address = server.address();
    drop(server);
    client.until_end().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
