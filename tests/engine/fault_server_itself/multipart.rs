//! S3's rules for multipart uploads, and the ways in which Complete fails.

use super::raw_client::{Client, Reply};
use crate::fault_server::{Algorithm, Ending, Fault, FaultServer, Operation, Rule, Script};

async fn start(script: Script) -> (FaultServer, Client) {
    let server = FaultServer::start(script.minimum_part_size(4));
    server.create_bucket("b");
    let client = Client::connect(&server).await;
    (server, client)
}

async fn upload(client: &mut Client, headers: &[(&str, &str)], parts: &[&str]) -> (String, String) {
    let id = client.ask("POST /b/k?uploads", headers, b"").await.element("UploadId");
    let mut document = String::from("<CompleteMultipartUpload>");
    for (number, part) in (1..).zip(parts) {
        let line = format!("PUT /b/k?partNumber={number}&uploadId={id}");
        let etag = client.ask(&line, &[], part.as_bytes()).await.header("etag").unwrap().to_owned();
        document += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    (id, document + "</CompleteMultipartUpload>")
}

async fn complete(client: &mut Client, id: &str, headers: &[(&str, &str)], document: &str) -> Reply {
    client.ask(&format!("POST /b/k?uploadId={id}"), headers, document.as_bytes()).await
}

#[tokio::test]
async fn parts_become_an_object_and_the_upload_is_gone() {
    let (server, mut client) = start(Script::new()).await;
    let (id, document) = upload(&mut client, &[("content-type", "text/x")], &["aaaa", "bb"]).await;
    assert_eq!(server.stats().uploads_open, 1);
    let parts = client.ask(&format!("GET /b/k?uploadId={id}"), &[], b"").await;
    assert_eq!(parts.text().matches("<Part>").count(), 2);
    assert!(client.ask("GET /b?uploads", &[], b"").await.text().contains(&id));
    let reply = complete(&mut client, &id, &[], &document).await;
    // MD5 of the two MD5s, computed with hashlib.
    assert_eq!((reply.status, reply.element("ETag").as_str()), (200, "&quot;916ccfa147126d73152e43c57d51ea0d-2&quot;"));
    let object = server.object("b", "k").unwrap();
    assert_eq!((&object.bytes[..], object.content_type.as_deref()), (&b"aaaabb"[..], Some("text/x")));
    assert_eq!(server.stats().uploads_open, 0);
    assert_eq!(complete(&mut client, &id, &[], &document).await.code(), "NoSuchUpload");
}

#[tokio::test]
async fn complete_checks_what_was_taken_on_trust() {
    let (server, mut client) = start(Script::new()).await;
    let (id, document) = upload(&mut client, &[], &["a", "bb"]).await;
    assert_eq!(complete(&mut client, &id, &[], &document).await.code(), "EntityTooSmall");
    let (id, document) = upload(&mut client, &[], &["aaaa", "bb"]).await;
    let wrong = [("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")];
    assert_eq!(complete(&mut client, &id, &wrong, &document).await.code(), "BadDigest");
    let other = document.replacen("<ETag>\"", "<ETag>\"0", 1);
    assert_eq!(complete(&mut client, &id, &[], &other).await.code(), "InvalidPart");
    assert_eq!(complete(&mut client, &id, &[], "<CompleteMultipartUpload/>").await.code(), "MalformedXML");
    let sum = Algorithm::Crc64Nvme.base64(b"aaaabb");
    assert_eq!(complete(&mut client, &id, &[("x-amz-checksum-crc64nvme", &sum)], &document).await.status, 200);
    assert_eq!(server.object("b", "k").unwrap().bytes, "aaaabb");
}

#[tokio::test]
async fn unequal_parts_are_refused_where_the_rule_is_on() {
    let (_server, mut client) = start(Script::new().equal_parts()).await;
    let (id, document) = upload(&mut client, &[], &["aaaa", "bbbbb", "c"]).await;
    assert_eq!(complete(&mut client, &id, &[], &document).await.code(), "InvalidPart");
    let (id, document) = upload(&mut client, &[], &["aaaa", "bbbb", "c"]).await;
    assert_eq!(complete(&mut client, &id, &[], &document).await.status, 200);
}

#[tokio::test]
async fn part_numbers_and_uploads_must_exist() {
    let (server, mut client) = start(Script::new()).await;
    let (id, _) = upload(&mut client, &[], &[]).await;
    for number in [0, 10_001] {
        let line = format!("PUT /b/k?partNumber={number}&uploadId={id}");
        assert_eq!(client.ask(&line, &[], b"x").await.code(), "InvalidArgument");
    }
    assert_eq!(client.ask(&format!("DELETE /b/k?uploadId={id}"), &[], b"").await.status, 204);
    let line = format!("PUT /b/k?partNumber=1&uploadId={id}");
    assert_eq!(client.ask(&line, &[], b"x").await.code(), "NoSuchUpload");
    assert_eq!(server.stats().uploads_open, 0);
}

#[tokio::test]
async fn composite_checksums_carry_their_count_and_a_missing_part_sum_is_refused() {
    let (server, mut client) = start(Script::new()).await;
    let reply = client.ask("POST /b/k?uploads", &[("x-amz-checksum-algorithm", "CRC32")], b"").await;
    assert_eq!(reply.header("x-amz-checksum-type"), Some("COMPOSITE"));
    let id = reply.element("UploadId");
    let line = format!("PUT /b/k?partNumber=1&uploadId={id}");
    assert_eq!(client.ask(&line, &[], b"x").await.code(), "InvalidRequest");
    let sum = Algorithm::Crc32.base64(b"x");
    let part = client.ask(&line, &[("x-amz-checksum-crc32", &sum)], b"x").await;
    let etag = part.header("etag").unwrap();
    let document = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    assert_eq!(complete(&mut client, &id, &[], &document).await.status, 200);
    let checksum = server.object("b", "k").unwrap().checksum.unwrap();
    assert!(checksum.composite && checksum.value.ends_with("-1"), "{checksum:?}");
}

#[tokio::test]
async fn complete_answers_200_with_an_error_after_white_space() {
    use std::time::Duration;
    let rule = Rule::new("late")
        .on(Operation::CompleteMultipartUpload)
        .first(1)
        .then(Fault::ErrorInside200 { code: "InternalError".to_owned() })
        .then(Fault::WhiteSpaceFirst(Duration::from_millis(100)))
        .then(Fault::EndWith(Ending::Fin));
    let (server, mut client) = start(Script::new().rule(rule)).await;
    let (id, document) = upload(&mut client, &[], &["aaaa"]).await;
    client.send(&format!("POST /b/k?uploadId={id}"), &[], document.as_bytes()).await;
    let (text, _) = client.until_end().await;
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("chunked") && text.contains("InternalError"), "{text}");
    assert!(text.matches("1\r\n \r\n").count() >= 2 && text.ends_with("0\r\n\r\n"), "{text}");
    assert_eq!((server.stats().uploads_open, server.object("b", "k").is_none()), (1, true));
}

#[tokio::test]
async fn complete_answers_200_with_nothing_or_half_a_document() {
    for to in [0, 60] {
        let rule = Rule::new("cut").on(Operation::CompleteMultipartUpload).then(Fault::TruncateBody { to });
        let (server, mut client) = start(Script::new().rule(rule)).await;
        let (id, document) = upload(&mut client, &[], &["aaaa"]).await;
        let reply = complete(&mut client, &id, &[], &document).await;
        assert_eq!((reply.status, reply.body.len()), (200, to));
        assert!(server.object("b", "k").is_some());
    }
}

#[tokio::test]
async fn an_operation_is_done_and_its_answer_lost() {
    let rule = |id, operation| Rule::new(id).on(operation).first(1).then(Fault::DropAnswer(Ending::Reset));
    let script = Script::new()
        .rule(rule("complete", Operation::CompleteMultipartUpload))
        .rule(rule("put", Operation::PutObject));
    let (server, mut client) = start(script).await;
    let (id, document) = upload(&mut client, &[], &["aaaa"]).await;
    client.send(&format!("POST /b/k?uploadId={id}"), &[], document.as_bytes()).await;
    assert_eq!(client.until_end().await.0, "");
    assert_eq!(server.object("b", "k").unwrap().bytes, "aaaa");
    let mut client = Client::connect(&server).await;
    assert_eq!(complete(&mut client, &id, &[], &document).await.code(), "NoSuchUpload");
    client.send("PUT /b/p", &[], b"x").await;
    assert_eq!(client.until_end().await.0, "");
    assert!(server.object("b", "p").is_some());
    assert_eq!((server.fired("complete"), server.fired("put")), (1, 1));
}
