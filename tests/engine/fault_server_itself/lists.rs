//! ListObjectsV2, whole and broken.

use super::raw_client::{Client, Reply};
use crate::fault_server::{FaultServer, ListFault, Operation, Rule, Script};

async fn start(fault: Option<ListFault>) -> (FaultServer, Client) {
    let mut script = Script::new().page_size(2);
    if let Some(fault) = fault {
        script = script.rule(Rule::new("list").on(Operation::ListObjectsV2).then(fault));
    }
    let server = FaultServer::start(script);
    for key in ["a b", "a+b", "a/1", "a\u{1}", "z"] {
        server.put("b", key, "x");
    }
    let client = Client::connect(&server).await;
    (server, client)
}

fn keys(reply: &Reply) -> Vec<String> {
    let text = reply.text();
    text.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
}

async fn page(client: &mut Client, more: &str) -> Reply {
    client.ask(&format!("GET /b?list-type=2&encoding-type=url{more}"), &[], b"").await
}

#[tokio::test]
async fn pages_follow_one_another_in_byte_order() {
    let (_server, mut client) = start(None).await;
    let (mut all, mut more) = (Vec::new(), String::from("&prefix=a"));
    loop {
        let reply = page(&mut client, &more).await;
        all.extend(keys(&reply));
        if reply.element("IsTruncated") == "false" {
            break;
        }
        more = format!("&prefix=a&continuation-token={}", reply.element("NextContinuationToken"));
    }
    assert_eq!(all, ["a%01", "a+b", "a%2Bb", "a/1"]);
    assert_eq!(keys(&page(&mut client, "&start-after=a/1").await), ["z"]);
}

#[tokio::test]
async fn bad_tokens_are_missing_empty_or_the_same_again() {
    for (fault, token) in [(ListFault::TokenMissing, None), (ListFault::TokenEmpty, Some(""))] {
        let (server, mut client) = start(Some(fault)).await;
        let reply = page(&mut client, "").await;
        assert_eq!(reply.element("IsTruncated"), "true");
        let found = reply.text().contains("<NextContinuationToken>").then(|| reply.element("NextContinuationToken"));
        assert_eq!((found.as_deref(), server.fired("list")), (token, 1));
    }
    let (_server, mut client) = start(Some(ListFault::TokenRepeated)).await;
    let first = page(&mut client, "").await;
    let more = format!("&continuation-token={}", first.element("NextContinuationToken"));
    let second = page(&mut client, &more).await;
    assert_eq!(keys(&first), keys(&second));
    assert_eq!(first.element("NextContinuationToken"), second.element("NextContinuationToken"));
}

#[tokio::test]
async fn an_empty_page_goes_on_where_it_stood() {
    let (server, mut client) = start(Some(ListFault::EmptyPage)).await;
    let empty = page(&mut client, "").await;
    assert_eq!((keys(&empty).len(), empty.element("IsTruncated").as_str()), (0, "true"));
    server.clear_rules();
    let more = format!("&continuation-token={}", empty.element("NextContinuationToken"));
    assert_eq!(keys(&page(&mut client, &more).await), ["a%01", "a+b"]);
}

#[tokio::test]
async fn other_list_faults() {
    let (_server, mut client) = start(Some(ListFault::BrokenXml)).await;
    assert!(page(&mut client, "").await.text().ends_with("</ListB"));
    let (_server, mut client) = start(Some(ListFault::IgnoreEncodingType)).await;
    let reply = page(&mut client, "").await;
    assert_eq!((keys(&reply)[0].as_str(), reply.text().contains("EncodingType")), ("a&#x1;", false));
    let (_server, mut client) = start(Some(ListFault::Unsorted)).await;
    let first = page(&mut client, "").await;
    let more = format!("&continuation-token={}", first.element("NextContinuationToken"));
    let mut all = keys(&first);
    all.extend(keys(&page(&mut client, &more).await));
    assert_eq!(all, ["a%01", "a/1", "a+b", "a%2Bb"]);
}
