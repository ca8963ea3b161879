//! Without faults it is an S3: PutObject, GetObject, HeadObject, buckets, credentials, clock.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::raw_client::Client;
use crate::fault_server::{Algorithm, FaultServer, Operation, Script};

async fn start(script: Script) -> (FaultServer, Client) {
    let server = FaultServer::start(script);
    server.create_bucket("b");
    let client = Client::connect(&server).await;
    (server, client)
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let (server, mut client) = start(Script::new()).await;
    let put = client.ask("PUT /b/k", &[("Content-Type", "text/x"), ("x-amz-meta-a", "1")], b"hello").await;
    assert_eq!((put.status, put.header("etag")), (200, Some("\"5d41402abc4b2a76b9719d911017c592\"")));
    let get = client.ask("GET /b/k", &[], b"").await;
    assert_eq!((get.status, get.text().as_str()), (200, "hello"));
    assert_eq!((get.header("content-type"), get.header("x-amz-meta-a")), (Some("text/x"), Some("1")));
    let head = client.ask("HEAD /b/k", &[], b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    let stats = server.stats();
    assert_eq!((stats.count(Operation::PutObject), stats.connections_accepted, stats.requests()), (1, 1, 3));
    assert_eq!(server.requests()[0].body_bytes, 5);
}

#[tokio::test]
async fn keys_are_decoded_and_never_normalised() {
    let (server, mut client) = start(Script::new()).await;
    for target in ["/b//a", "/b/x/../y", "/b/./z", "/b/a+b", "/b/a%20b", "/b/%C3%A9", "/b/dir/"] {
        assert_eq!(client.ask(&format!("PUT {target}"), &[], b"").await.status, 200);
    }
    assert_eq!(server.keys("b"), ["./z", "/a", "a b", "a+b", "dir/", "x/../y", "é"]);
}

#[tokio::test]
async fn a_wrong_digest_is_refused_and_nothing_is_stored() {
    let (server, mut client) = start(Script::new()).await;
    let zeros = "0".repeat(64);
    for (name, value, code) in [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
        ("content-md5", "short", "InvalidDigest"),
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=", "BadDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-crc32c", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-sha256", "AAAA", "BadDigest"),
        ("x-amz-content-sha256", zeros.as_str(), "XAmzContentSHA256Mismatch"),
    ] {
        let reply = client.ask("PUT /b/k", &[(name, value)], b"hello").await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{name}");
    }
    assert!(server.keys("b").is_empty());
}

#[test]
fn checksums_are_those_of_their_catalogue() {
    // Check values of "123456789": the CRC catalogue of reveng, and FIPS 180-4 for SHA-256.
    let hex = |algorithm: Algorithm| {
        algorithm.digest(b"123456789").iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(hex(Algorithm::Crc64Nvme), "ae8b14860a799888");
    assert_eq!(hex(Algorithm::Crc32), "cbf43926");
    assert_eq!(hex(Algorithm::Crc32C), "e3069283");
    assert!(hex(Algorithm::Sha256).starts_with("15e2b0d3c33891eb"));
}

#[tokio::test]
async fn a_stored_checksum_is_given_only_when_asked_and_never_with_a_range() {
    let (server, mut client) = start(Script::new()).await;
    server.put("b", "k", "123456789");
    let asked = client.ask("HEAD /b/k", &[("x-amz-checksum-mode", "ENABLED")], b"").await;
    let expected = BASE64_STANDARD.encode(0xae8b_1486_0a79_9888_u64.to_be_bytes());
    assert_eq!(asked.header("x-amz-checksum-crc64nvme"), Some(expected.as_str()));
    assert_eq!(asked.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    let ranged = [("x-amz-checksum-mode", "ENABLED"), ("range", "bytes=0-3")];
    for headers in [&ranged[..], &[]] {
        assert!(!client.ask("GET /b/k", headers, b"").await.head.contains("x-amz-checksum"));
    }
}

#[tokio::test]
async fn ranges_and_conditions_follow_the_rfc() {
    let (server, mut client) = start(Script::new()).await;
    server.put("b", "k", "0123456789");
    server.put("b", "empty", "");
    for (range, status, body) in [
        ("bytes=2-4", 206, "234"),
        ("bytes=8-99", 206, "89"),
        ("bytes=-3", 206, "789"),
        ("bytes=5-2", 200, "0123456789"),
    ] {
        let reply = client.ask("GET /b/k", &[("Range", range)], b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (status, body), "{range}");
    }
    let middle = client.ask("GET /b/k", &[("range", "bytes=2-4")], b"").await;
    assert_eq!(middle.header("content-range"), Some("bytes 2-4/10"));
    for (key, range) in [("k", "bytes=10-"), ("empty", "bytes=0-0")] {
        let reply = client.ask(&format!("GET /b/{key}"), &[("range", range)], b"").await;
        assert_eq!((reply.status, reply.code().as_str()), (416, "InvalidRange"));
    }
    assert_eq!(client.ask("GET /b/k", &[("if-match", "\"other\"")], b"").await.status, 412);
    assert_eq!(client.ask("PUT /b/k", &[("if-none-match", "*")], b"x").await.status, 412);
    assert_eq!(server.requests_of(Operation::GetObject)[1].range.as_deref(), Some("bytes=8-99"));
}

#[tokio::test]
async fn what_does_not_exist_is_named_and_a_head_has_no_body() {
    let (_server, mut client) = start(Script::new()).await;
    for (line, status, code) in [
        ("GET /b/none", 404, "NoSuchKey"),
        ("GET /none/k", 404, "NoSuchBucket"),
        ("HEAD /none", 404, ""),
        ("PUT /new", 200, ""),
        ("PUT /new", 409, "BucketAlreadyOwnedByYou"),
        ("HEAD /new", 200, ""),
    ] {
        let reply = client.ask(line, &[], b"").await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{line}");
    }
}

#[tokio::test]
async fn credentials_expire_and_must_be_known() {
    let (server, mut client) = start(Script::new().require_access_key("KEY")).await;
    let signed = |key: &str| {
        format!("AWS4-HMAC-SHA256 Credential={key}/20260101/r/s3/aws4_request, SignedHeaders=host, Signature=0")
    };
    let (known, unknown) = (signed("KEY"), signed("OTHER"));
    let unsigned_payload = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    assert_eq!(client.ask("GET /b/k", &[], b"").await.code(), "AccessDenied");
    let reply = client.ask("GET /b/k", &[("authorization", &unknown), unsigned_payload], b"").await;
    assert_eq!(reply.code(), "InvalidAccessKeyId");
    let reply = client.ask("GET /b/k", &[("authorization", &known), unsigned_payload], b"").await;
    assert_eq!(reply.code(), "NoSuchKey");
    server.expire("KEY");
    let reply = client.ask("GET /b/k", &[("authorization", &known), unsigned_payload], b"").await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "ExpiredToken"));
}

#[tokio::test]
async fn a_shifted_clock_shows_in_the_date_and_refuses_the_true_time() {
    let (_server, mut client) = start(Script::new().clock_shift(-86_400)).await;
    let first = client.ask("GET /b/k", &[("x-amz-date", "20260101T000000Z")], b"").await;
    assert_eq!((first.status, first.code().as_str()), (403, "RequestTimeTooSkewed"));
    let date = httpdate::parse_http_date(first.header("date").unwrap()).unwrap();
    let behind = std::time::SystemTime::now().duration_since(date).unwrap().as_secs();
    assert!((86_400..86_460).contains(&behind), "{behind}");
}

#[tokio::test]
async fn a_body_without_a_length_is_refused_as_s3_does() {
    use tokio::io::AsyncWriteExt as _;
    for (header, status) in [("x: y", 411), ("transfer-encoding: chunked", 501)] {
        let (_server, mut client) = start(Script::new()).await;
        let head = format!("PUT /b/k HTTP/1.1\r\nhost: h\r\n{header}\r\n\r\n");
        client.stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(client.reply(false).await.status, status);
    }
}

#[tokio::test]
async fn an_aws_chunked_body_is_unpacked_and_its_trailer_checked() {
    let (server, mut client) = start(Script::new()).await;
    let streaming = [("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")];
    let body = |sum: &str| format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n");
    let bad = client.ask("PUT /b/k", &streaming, body("AAAAAA==").as_bytes()).await;
    assert_eq!(bad.code(), "BadDigest");
    let good = body(&Algorithm::Crc32.base64(b"hello"));
    assert_eq!(client.ask("PUT /b/k", &streaming, good.as_bytes()).await.status, 200);
    assert_eq!(server.object("b", "k").unwrap().bytes, "hello");
}

#[tokio::test]
async fn virtual_hosted_style_names_the_same_object() {
    use tokio::io::AsyncWriteExt as _;
    let (server, mut client) = start(Script::new().virtual_hosts("s3.test")).await;
    server.put("b", "k", "x");
    client.stream.write_all(b"GET /k HTTP/1.1\r\nHost: b.s3.test:9000\r\n\r\n").await.unwrap();
    assert_eq!(client.reply(false).await.text(), "x");
}
