//! Servers that follow other rules than AWS: their objects come through, their answers are not read into more than they say.

use s3bulk::error::Kind;
use s3bulk::flow::Cancel;

use crate::download_setup::{arrives, fails, on};
use crate::fault_server::{Algorithm, Fault, Moment, Operation, Rule, Script, StoredChecksum};
use crate::rig::{LARGE, MIDDLING, Rig, SMALL, content};

#[tokio::test(flavor = "multi_thread")]
async fn parts_have_one_size_where_a_server_wants_that() {
    let rig = Rig::new(Script::new().equal_parts());
    for size in [LARGE, 15 << 20] {
        rig.upload(&content(size)).await.unwrap();
        assert!(rig.server.object("bucket", "key").unwrap().bytes == content(size));
    }
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_that_is_no_md5_is_only_compared() {
    for size in [SMALL, MIDDLING, LARGE] {
        let rig = Rig::new(Script::new());
        rig.server.put("bucket", "key", content(size));
        rig.server.change("bucket", "key", |object| object.etag = "\"ab-cd/ef+opaque\"".into());
        rig.download().await.unwrap();
        assert!(std::fs::read(rig.target()).unwrap() == content(size));
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_of_checksums_is_not_compared_with_the_bytes() {
    for size in [SMALL, MIDDLING, LARGE] {
        for (value, composite, etag) in [
            (format!("{}-3", Algorithm::Crc32.base64(b"of parts")), true, None),
            // moto: a composite value that does not say so; the ETag does.
            (Algorithm::Crc32.base64(b"of parts"), false, Some("\"0123456789abcdef0123456789abcdef-3\"")),
        ] {
            let without_type = || Fault::RemoveHeader("x-amz-checksum-type".into());
            let bare = on(Operation::GetObject).on(Operation::HeadObject).then(without_type());
            let rig = Rig::new(Script::new().rule(bare));
            rig.server.put("bucket", "key", content(size));
            rig.server.change("bucket", "key", |object| {
                object.checksum = Some(StoredChecksum { algorithm: Algorithm::Crc32, value: value.clone(), composite });
                object.etag = etag.map_or(object.etag.clone(), str::to_owned);
            });
            rig.download().await.unwrap();
            assert!(rig.server.fired("fault") >= 2 && std::fs::read(rig.target()).unwrap() == content(size));
            rig.assert_clean().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_answer_is_counted_whatever_length_it_declares() {
    for size in [SMALL, MIDDLING] {
        arrives(size, on(Operation::GetObject).first(1).then(Fault::ChunkedWithLength)).await;
    }
    let short = on(Operation::GetObject).first(1).then(Fault::ChunkedWithLength).then(Fault::ContentLengthOff(5));
    arrives(SMALL, short).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_smallest_chunks_arrives() {
    // Whole in memory, streamed, in ranges; the last with pieces of every length beside each other.
    for (size, chunk) in [(20 << 10, 1), (MIDDLING, 100), (LARGE, 5_000)] {
        arrives(size, on(Operation::GetObject).then(Fault::ChunksOf(chunk))).await;
    }
    let listed = on(Operation::ListObjectsV2).then(Fault::ChunksOf(1));
    let rig = crate::download_setup::filled(Script::new().rule(listed), &["p/a", "p/b"]);
    let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
    assert_eq!((rig.server.fired("fault"), report.done.len(), error.is_none()), (1, 2, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_called_impossible_begins_the_object_again() {
    // Some servers answer so where others say 412: the object has become shorter.
    let fault = on(Operation::GetObject).range_start(5 << 20).first(2).then(Fault::status(416, "InvalidRange"));
    let rig = arrives(LARGE, fault).await;
    assert_eq!(rig.server.fired("fault"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_head_says_that_the_key_may_be_missing_and_is_sent_once() {
    let denied = on(Operation::HeadObject).then(Fault::status(403, "403").empty());
    let rig =
        fails(SMALL, denied, |error| error.status() == Some(403) && error.message().contains("for a missing key too"));
    assert_eq!(rig.await.server.fired("fault"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_that_leaves_parts_behind_is_repeated() {
    let denied = on(Operation::CompleteMultipartUpload).then(Fault::status(403, "AccessDenied"));
    // Answered, but parts that were under way are still there.
    let lazy = Rule::new("abort").on(Operation::AbortMultipartUpload).first(2);
    let rig = Rig::new(Script::new().rule(denied).rule(lazy.then(Fault::status(204, "").empty())));
    let error = rig.upload(&content(LARGE)).await.unwrap_err();
    assert_eq!((error.code(), rig.server.fired("abort")), (Some("AccessDenied"), 2), "{error}");
    assert_eq!(rig.server.stats().count(Operation::AbortMultipartUpload), 3);
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_after_which_no_part_is_listed_is_done() {
    let denied = on(Operation::CompleteMultipartUpload).then(Fault::status(403, "AccessDenied"));
    // The upload without its parts is still known to a server that takes its time.
    let empty = b"HTTP/1.1 200 OK\r\ncontent-length: 69\r\n\r\n\
        <ListPartsResult><UploadId>upload-000001</UploadId></ListPartsResult>";
    let list = Rule::new("list").on(Operation::ListParts).then(Fault::Garbage(empty.to_vec()));
    let rig = Rig::new(Script::new().rule(denied).rule(list));
    let error = rig.upload(&content(LARGE)).await.unwrap_err();
    assert_eq!((error.code(), rig.server.fired("list")), (Some("AccessDenied"), 1), "{error}");
    assert!(!error.to_string().contains("could not be aborted"), "{error}");
    assert_eq!(rig.server.stats().count(Operation::AbortMultipartUpload), 1);
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_is_repeated_where_parts_may_not_be_listed() {
    for (status, code) in [(403, "AccessDenied"), (501, "NotImplemented")] {
        let denied = on(Operation::CompleteMultipartUpload).then(Fault::status(403, "AccessDenied"));
        let lazy = Rule::new("abort").on(Operation::AbortMultipartUpload).first(1);
        let list = Rule::new("list").on(Operation::ListParts).then(Fault::status(status, code));
        let lazy = lazy.then(Fault::status(204, "").empty());
        let rig = Rig::new(Script::new().rule(denied).rule(lazy).rule(list));
        let error = rig.upload(&content(LARGE)).await.unwrap_err();
        let fired = ["abort", "list"].map(|id| rig.server.fired(id));
        assert_eq!((error.code(), fired), (Some("AccessDenied"), [1, 2]), "{error}");
        assert!(!error.to_string().contains("could not be aborted"), "{error}");
        assert_eq!(rig.server.stats().count(Operation::AbortMultipartUpload), 2);
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_that_never_helps_is_named_in_the_error() {
    let denied = on(Operation::CompleteMultipartUpload).then(Fault::status(403, "AccessDenied"));
    let lazy = Rule::new("abort").on(Operation::AbortMultipartUpload);
    let rig = Rig::new(Script::new().rule(denied).rule(lazy.then(Fault::status(204, "").empty())));
    let error = rig.upload(&content(LARGE)).await.unwrap_err();
    assert_eq!((error.code(), rig.server.fired("abort")), (Some("AccessDenied"), 3), "{error}");
    assert!(error.message().contains("lifecycle rule") && error.message().contains("upload-000001"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_complete_that_is_answered_again_is_a_success() {
    let lost = on(Operation::CompleteMultipartUpload)
        .first(1)
        .then(Fault::CloseUnanswered { moment: Moment::AfterBody, ending: crate::fault_server::Ending::Reset });
    let rig = Rig::new(Script::new().repeat_complete().rule(lost));
    rig.upload(&content(LARGE)).await.unwrap();
    assert_eq!(rig.server.fired("fault"), 1);
    assert!(rig.server.object("bucket", "key").unwrap().bytes == content(LARGE));
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_the_control_plane_are_counted_once() {
    let broken = on(Operation::ListObjectsV2).then(Fault::status(500, "InternalError"));
    let rig = Rig::new(Script::new().rule(broken));
    let (_, _, error) = crate::download_setup::take(&rig).await;
    let error = error.expect("an error");
    assert_eq!((error.context().attempts, rig.server.stats().requests()), (4, 4), "{error}");
    assert!(!matches!(error.kind(), Kind::Internal));
}
