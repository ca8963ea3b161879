//! Files that change while they are sent: what is stored is the file at one instant, or nothing is.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use s3bulk::error::Kind;
use s3bulk::flow::Cancel;

use crate::fault_server::{Fault, Operation, Rule, Script};
use crate::rig::{LARGE, MIDDLING, Rig, content};

/// Slow enough that the file can change while it is under way.
fn slowly(operation: Operation) -> Rule {
    let pace = Fault::SlowRead { bytes: 64 << 10, interval: Duration::from_millis(2) };
    Rule::new("fault").on(operation).first(1).then(pace)
}

fn grow(path: &Path) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
}

fn shrink(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(size - 1_000_000).unwrap();
}

fn rewrite(path: &Path) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len() as usize;
    // From the end: there it is sure not to have been sent yet.
    file.seek(SeekFrom::Start(size as u64 / 2)).unwrap();
    file.write_all(&vec![7; size - size / 2]).unwrap();
}

fn touch(path: &Path) {
    File::options().append(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
}

fn vanish(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

/// What is stored after `change` came in the middle of the first request.
async fn stored_after(size: usize, change: fn(&Path)) -> (Rig, Vec<u8>, Vec<u8>) {
    let operation = if size == LARGE { Operation::UploadPart } else { Operation::PutObject };
    let rig = Rig::new(Script::new().rule(slowly(operation)));
    let before = content(size);
    std::fs::write(rig.source(), &before).unwrap();
    let meanwhile = async {
        rig.server
            .wait_until("a body under way", |stats| stats.fired("fault") > 0 && stats.bytes_in > 200_000)
            .await
            .unwrap();
        change(&rig.source());
    };
    let cancel = Cancel::new();
    let (sent, ()) = tokio::join!(rig.upload_source(&cancel), meanwhile);
    sent.unwrap();
    assert!(rig.server.fired("fault") >= 1);
    let stored = rig.server.object("bucket", "key").unwrap().bytes.to_vec();
    rig.assert_clean().await;
    (rig, before, stored)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_rewritten_or_shortened_is_sent_as_it_is_afterwards() {
    for size in [MIDDLING, LARGE] {
        for change in [rewrite, shrink] {
            let (rig, before, stored) = stored_after(size, change).await;
            let after = std::fs::read(rig.source()).unwrap();
            // The sockets' buffers may have taken all of a smaller file before it changed.
            let in_time = size != LARGE && stored == before;
            assert!(in_time || stored == after, "{size}: a mix is stored");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_is_sent_as_it_was_or_as_it_is() {
    for size in [MIDDLING, LARGE] {
        let (rig, before, stored) = stored_after(size, grow).await;
        let after = std::fs::read(rig.source()).unwrap();
        assert!(stored == before || stored == after, "{size}: a mix is stored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_time_stamp_or_a_name_that_is_gone_changes_no_bytes() {
    for size in [MIDDLING, LARGE] {
        for change in [touch, vanish] {
            let (rig, before, stored) = stored_after(size, change).await;
            assert!(stored == before, "{size}");
            let requests = rig.server.requests_of(Operation::CreateMultipartUpload).len();
            assert_eq!(requests, usize::from(size == LARGE), "sent twice for nothing");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_holds_still_is_an_error_that_says_so() {
    for size in [MIDDLING, LARGE] {
        let operation = if size == LARGE { Operation::UploadPart } else { Operation::PutObject };
        let pace = Fault::SlowRead { bytes: 64 << 10, interval: Duration::from_millis(1) };
        let rig = Rig::new(Script::new().rule(Rule::new("fault").on(operation).then(pace)));
        std::fs::write(rig.source(), content(size)).unwrap();
        let (cancel, mut number) = (Cancel::new(), 0_u8);
        let mut writing = tokio::time::interval(Duration::from_millis(3));
        let mut upload = std::pin::pin!(rig.upload_source(&cancel));
        let error = loop {
            tokio::select! {
                sent = &mut upload => break sent.unwrap_err(),
                _ = writing.tick() => {
                    number = number.wrapping_add(1);
                    let mut file = OpenOptions::new().write(true).open(rig.source()).unwrap();
                    for part in 0..4 {
                        file.seek(SeekFrom::Start(size as u64 * part / 4)).unwrap();
                        file.write_all(&[number; 100]).unwrap();
                    }
                }
            }
        };
        assert_eq!(error.kind(), &Kind::SourceChanged, "{error}");
        assert_eq!(error.context().path, Some(rig.source()));
        assert!(rig.server.object("bucket", "key").is_none(), "a mix is stored");
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_there_makes_no_request() {
    let rig = Rig::new(Script::new());
    let error = rig.upload_source(&Cancel::new()).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::NotAFile, "{error}");
    assert_eq!(rig.server.stats().requests(), 0);
    rig.assert_clean().await;
}
