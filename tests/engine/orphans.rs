//! Uploads that were left: found page by page as the flag says, aborted when told so, never guessed at.

use std::time::Duration;

use s3bulk::error::{Error, Kind};
use s3bulk::flow::Cancel;
use s3bulk::transfer::IncompleteUpload;

use crate::fault_server::{Fault, Operation, Rule, Script};
use crate::rig::{Rig, watched};

const LONG_AGO: &str = "2020-01-01T00:00:00.000Z";

async fn abort(rig: &Rig, prefix: &str, dry_run: bool) -> Result<Vec<IncompleteUpload>, Error> {
    let hour = Duration::from_secs(3600);
    watched(rig.engine.abort_incomplete_uploads("bucket", prefix, hour, dry_run, &Cancel::new())).await
}

fn page(uploads: &str, truncated: &str) -> String {
    format!(
        "<ListMultipartUploadsResult><Bucket>bucket</Bucket>\
         <IsTruncated>{truncated}</IsTruncated>{uploads}</ListMultipartUploadsResult>"
    )
}

fn upload(key: &str, id: &str, initiated: &str) -> String {
    let initiated = if initiated.is_empty() { String::new() } else { format!("<Initiated>{initiated}</Initiated>") };
    format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId>{initiated}</Upload>")
}

/// A page of a script: asked for in the order in which the pages are written down.
fn answers(id: &str, document: &str) -> Rule {
    let length = document.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\r\n");
    let whole = Fault::Garbage([head.as_bytes(), document.as_bytes()].concat());
    Rule::new(id).on(Operation::ListMultipartUploads).first(1).then(whole)
}

fn next(key: &str, id: &str) -> String {
    format!("<NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>{id}</NextUploadIdMarker>")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_asked_for_and_what_is_old_is_aborted_when_told_so() {
    for dry_run in [true, false] {
        let first = upload("p/a b+c", "1", LONG_AGO) + &upload("p/new", "2", "2999-01-01T00:00:00.000Z");
        let second = upload("p/no-time", "3", "") + &upload("pq/other", "4", LONG_AGO) + &upload("p", "5", LONG_AGO);
        let script = Script::new()
            .rule(answers("first", &page(&(first + &next("p/a b+c", "1")), "true")))
            .rule(answers("empty", &page(&next("p/m", ""), "true")))
            // Markers without a flag that there is more are no reason to ask for more.
            .rule(answers("last", &page(&(second + &next("p/z", "9")), "false")));
        let rig = Rig::new(script);
        let found = abort(&rig, "/p/", dry_run).await.unwrap();
        assert_eq!(["first", "empty", "last"].map(|id| rig.server.fired(id)), [1, 1, 1]);
        let named: Vec<_> = found.iter().map(|upload| (upload.key.as_str(), upload.id.as_str())).collect();
        assert_eq!(named, [("p/a b+c", "1"), ("p", "5")]);
        let lists = rig.server.requests_of(Operation::ListMultipartUploads);
        assert!(lists[0].target.contains("prefix=p&") || lists[0].target.ends_with("prefix=p"), "{}", lists[0].target);
        assert!(lists[1].target.contains("key-marker=p%2Fa%20b%2Bc"), "{}", lists[1].target);
        assert!(lists[1].target.contains("upload-id-marker=1"), "{}", lists[1].target);
        let mut aborted: Vec<_> = rig
            .server
            .requests_of(Operation::AbortMultipartUpload)
            .into_iter()
            .filter_map(|request| request.key)
            .collect();
        aborted.sort();
        assert_eq!(aborted, if dry_run { vec![] } else { vec!["p", "p/a b+c"] });
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_contradicts_itself_is_an_error_and_nothing_is_aborted() {
    let old = upload("p/a", "1", LONG_AGO);
    let no_marker = page(&old, "true");
    let empty_marker = page(&(old.clone() + &next("", "")), "true");
    let repeated = page(&(old + &next("p/a", "1")), "true");
    for pages in [vec![no_marker], vec![empty_marker], vec![repeated.clone(), repeated]] {
        let script = pages.iter().fold(Script::new(), |script, page| script.rule(answers("fault", page)));
        let rig = Rig::new(script);
        let error = abort(&rig, "p", false).await.unwrap_err();
        assert_eq!(rig.server.fired("fault"), pages.len());
        assert_eq!(error.kind(), &Kind::BadResponse, "{error}");
        assert!(error.message().ends_with("the listing is incomplete"), "{error}");
        assert_eq!(error.context().operation, Some("ListMultipartUploads"), "{error}");
        assert!(rig.server.requests_of(Operation::AbortMultipartUpload).is_empty());
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_that_is_refused_keeps_none_of_the_others() {
    let uploads = ["a", "b", "c", "d"].map(|key| upload(&format!("p/{key}"), key, LONG_AGO)).concat();
    let on_abort = |id: &str, key: &str| Rule::new(id).on(Operation::AbortMultipartUpload).key(key);
    let denied = on_abort("denied", "p/b").then(Fault::status(403, "AccessDenied"));
    let later = on_abort("later", "p/c").then(Fault::status(400, "InvalidRequest"));
    let rig = Rig::new(Script::new().rule(answers("list", &page(&uploads, "false"))).rule(denied).rule(later));
    let error = abort(&rig, "p", false).await.unwrap_err();
    assert_eq!((rig.server.fired("denied"), rig.server.fired("later")), (1, 1));
    assert_eq!((error.code(), error.context().key.as_deref()), (Some("AccessDenied"), Some("p/b")));
    assert!(error.to_string().contains("2 of 4 uploads were aborted"), "{error}");
    let asked = rig.server.requests_of(Operation::AbortMultipartUpload).into_iter().filter_map(|request| request.key);
    assert_eq!(asked.collect::<Vec<_>>(), ["p/a", "p/b", "p/c", "p/d"]);
    rig.assert_clean().await;
}
