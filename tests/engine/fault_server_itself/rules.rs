//! Which requests a rule takes, in Rust and as text.

use super::raw_client::Client;
use crate::fault_server::{Fault, FaultServer, Operation, Rule, Script, rule_text};

fn busy(id: &str) -> Rule {
    Rule::new(id).then(Fault::status(503, "SlowDown"))
}

/// Statuses of so many HEADs of a key that exists.
async fn statuses(script: Script, count: usize) -> Vec<u16> {
    let server = FaultServer::start(script);
    server.put("b", "k", "x");
    let mut client = Client::connect(&server).await;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(client.ask("HEAD /b/k", &[], b"").await.status);
    }
    all
}

#[tokio::test]
async fn occurrences_count_from_one() {
    let taken = |rule: Rule| statuses(Script::new().rule(rule), 6);
    assert_eq!(taken(busy("r").nth(2)).await, [200, 503, 200, 200, 200, 200]);
    assert_eq!(taken(busy("r").first(2)).await, [503, 503, 200, 200, 200, 200]);
    assert_eq!(taken(busy("r").from(5)).await, [200, 200, 200, 200, 503, 503]);
    assert_eq!(taken(busy("r").every(3)).await, [200, 200, 503, 200, 200, 503]);
}

#[tokio::test]
async fn a_seed_repeats_its_choice() {
    let script = || Script::new().rule(busy("r").probability(0.3, 7));
    let first = statuses(script(), 200).await;
    let share = first.iter().filter(|status| **status == 503).count();
    assert!((30..90).contains(&share), "{share} of 200");
    assert_eq!(first, statuses(script(), 200).await);
    assert_ne!(first, statuses(Script::new().rule(busy("r").probability(0.3, 8)), 200).await);
}

#[tokio::test]
async fn rules_act_one_after_the_other_unless_shared() {
    let second = Rule::new("second").first(1).then(Fault::status(500, "InternalError"));
    let script = Script::new().rule(busy("first").first(1)).rule(second.clone());
    assert_eq!(statuses(script, 3).await, [503, 500, 200]);
    let shared = Rule::new("shared").shared().then(Fault::set_header("x-seen", "1"));
    assert_eq!(statuses(Script::new().rule(shared).rule(second), 2).await, [500, 200]);
}

#[tokio::test]
async fn matchers_narrow_by_bucket_key_part_range_and_header() {
    let script = Script::new()
        .rule(busy("bucket").bucket("other"))
        .rule(busy("key").on(Operation::GetObject).key_where(|key| key.starts_with("a/")))
        .rule(busy("part").part_number(2))
        .rule(busy("range").range_start(4))
        .refuse_header("header", "x-amz-checksum-crc64nvme", 501, "NotImplemented");
    let server = FaultServer::start(script);
    server.put("b", "k", "0123456789");
    let mut client = Client::connect(&server).await;
    for (line, header, status, rule) in [
        ("GET /other/k", ("x", "y"), 503, Some("bucket")),
        ("GET /b/a/1", ("x", "y"), 503, Some("key")),
        ("HEAD /b/a/1", ("x", "y"), 404, None),
        ("PUT /b/k?partNumber=2&uploadId=u", ("x", "y"), 503, Some("part")),
        ("GET /b/k", ("Range", "bytes=4-5"), 503, Some("range")),
        ("GET /b/k", ("Range", "bytes=0-3"), 206, None),
        ("PUT /b/k", ("X-Amz-Checksum-CRC64NVME", "AAAAAAAAAAA="), 501, Some("header")),
    ] {
        assert_eq!(client.ask(line, &[header], b"").await.status, status, "{line}");
        let record = server.requests().pop().unwrap();
        assert_eq!(record.rules.first().map(String::as_str), rule, "{line}");
        assert_eq!(record.status, Some(status));
    }
    assert_eq!(server.requests()[3].part_number, Some(2));
}

#[tokio::test]
async fn text_says_the_same_as_rust() {
    let rule = rule_text::parse(
        "id=busy on=HeadObject,GetObject key=k* first=2 status=503:SlowDown body=empty header=Retry-After:1",
    );
    assert_eq!(statuses(Script::new().rule(rule.unwrap()), 3).await, [503, 503, 200]);
    for wrong in ["on=Nothing", "status=x", "delay-head=5", "never", "list=x", "moment=x", "ending=x", "trickle=1"] {
        assert!(rule_text::parse(wrong).is_err(), "{wrong}");
    }
    for right in [
        "status=403:AccessDenied moment=before-body ending=reset-after:20ms",
        "on=Connect close-unanswered moment=before-body ending=reset",
        "on=GetObject cut-body=1000 ending=reset probability=0.1:42 shared",
        "on=ListObjectsV2 list=token-missing nth=2",
        "on=CompleteMultipartUpload error-inside-200=InternalError blanks=2s",
        "trickle=1:10ms reused set-header=ETag:W/%22a%20b%22",
    ] {
        assert!(rule_text::parse(right).is_ok(), "{right}");
    }
}

#[tokio::test]
async fn another_process_reads_counters_and_adds_rules() {
    let server = FaultServer::start(Script::new());
    let mut client = Client::connect(&server).await;
    assert_eq!(client.ask("POST /_rules", &[], b"id=busy status=503:SlowDown\n").await.status, 204);
    assert_eq!(client.ask("POST /_rules", &[], b"nonsense").await.status, 400);
    assert_eq!(client.ask("GET /b/a%22b", &[], b"").await.status, 503);
    let stats = client.ask("GET /_stats", &[], b"").await.text();
    assert!(stats.contains("{\"name\":\"operations.GetObject\",\"value\":1}\n"), "{stats}");
    assert!(stats.contains("{\"name\":\"fired.busy\",\"value\":1}\n"), "{stats}");
    let requests = client.ask("GET /_requests", &[], b"").await.text();
    assert_eq!(requests.lines().count(), 1);
    assert!(requests.contains("\"key\":\"a\\\"b\"") && requests.contains("\"status\":503"), "{requests}");
    assert_eq!(client.ask("DELETE /_rules", &[], b"").await.status, 204);
    assert_eq!(client.ask("GET /b/k", &[], b"").await.status, 404);
}
