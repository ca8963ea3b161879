//! Files that change while they are sent: what is stored is the file at one instant, or nothing is.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use s3bulk::config::TransferOptions;
use s3bulk::error::Kind;
use s3bulk::flow::Cancel;

use crate::fault_server::{Fault, Operation, Rule, Script};
use crate::rig::{LARGE, MIDDLING, Rig, WATCHDOG, content, options};

/// Slow enough that the file can change while it is under way.
fn slowly(operation: Operation) -> Rule {
    let pace = Fault::SlowRead { bytes: 64 << 10, interval: Duration::from_millis(2) };
    Rule::new("fault").on(operation).first(1).then(pace)
}

/// A busy machine may be slower than the server that plays a slow one.
fn patient() -> TransferOptions {
    TransferOptions { read_timeout: WATCHDOG, ..options() }
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

/// The same, with the time stamp put back: it shows in the change time alone.
fn rewrite_secretly(path: &Path) {
    let before = std::fs::metadata(path).unwrap().modified().unwrap();
    rewrite(path);
    File::options().append(true).open(path).unwrap().set_modified(before).unwrap();
}

fn close_to_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// As editors and package managers do it: the old file goes on for who has it open.
fn replace(path: &Path) {
    let new = path.with_extension("new");
    std::fs::write(&new, vec![9; 500_000]).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn vanish(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

/// What is stored after `change` came in the middle of the first request.
async fn stored_after(size: usize, change: fn(&Path)) -> (Rig, Vec<u8>, Vec<u8>) {
    let operation = if size == LARGE { Operation::UploadPart } else { Operation::PutObject };
    let rig = Rig::with(Script::new().rule(slowly(operation)), patient());
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
        for change in [rewrite, rewrite_secretly, shrink] {
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
async fn a_new_time_stamp_mode_or_file_of_that_name_changes_no_bytes() {
    for size in [MIDDLING, LARGE] {
        for change in [touch, close_to_others, replace, vanish] {
            let (rig, before, stored) = stored_after(size, change).await;
            assert!(stored == before, "{size}");
            let requests = rig.server.requests_of(Operation::CreateMultipartUpload).len();
            assert_eq!(requests, usize::from(size == LARGE), "sent twice for nothing");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_holds_still_is_an_error_that_says_so() {
    // One request, and more than the sockets' buffers take: a reading lasts long enough for a busy machine to change
    // something meanwhile.
    const ONE_REQUEST: usize = 7 << 20;
    for size in [ONE_REQUEST, LARGE] {
        let operation = if size == LARGE { Operation::UploadPart } else { Operation::PutObject };
        let pace = Fault::SlowRead { bytes: 64 << 10, interval: Duration::from_millis(5) };
        let options = TransferOptions { multipart_threshold: ONE_REQUEST as u64 + 1, ..patient() };
        let rig = Rig::with(Script::new().rule(Rule::new("fault").on(operation).then(pace)), options);
        std::fs::write(rig.source(), content(size)).unwrap();
        rig.server.put("bucket", "key", b"old".to_vec());
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
        assert!(error.to_string().contains("it was read three times"), "{error}");
        assert_eq!(rig.server.object("bucket", "key").unwrap().bytes, b"old".as_slice(), "a mix is stored");
        rig.assert_clean().await;
    }
}

/// A small file is read at once; but one that waits for memory is open all that time.
#[cfg(target_os = "linux")]
async fn small_stored_after(change: fn(&Path)) -> (Vec<u8>, Vec<u8>) {
    const SIZE: usize = 1_000_000;
    const NAMES: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
    let pace = Fault::SlowRead { bytes: 64 << 10, interval: Duration::from_millis(20) };
    let options = TransferOptions { memory_limit: 4 << 20, ..patient() };
    let rig = Rig::with(Script::new().rule(Rule::new("fault").on(Operation::PutObject).then(pace)), options);
    std::fs::create_dir(rig.source()).unwrap();
    for name in NAMES {
        std::fs::write(rig.source().join(name), content(SIZE)).unwrap();
    }
    let waiting = async {
        let mut look = tokio::time::interval(Duration::from_millis(1));
        loop {
            look.tick().await;
            let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            let found = open
                .filter_map(|entry| std::fs::read_link(entry.path()).ok())
                .find(|path| path.parent() == Some(&rig.source()) && rig.server.fired("fault") >= 4);
            // The first four fill the memory; whoever is open still is waiting.
            if let Some(path) = found {
                change(&path);
                return path;
            }
        }
    };
    let cancel = Cancel::new();
    let ((report, error), path) = tokio::join!(rig.upload_folder(&cancel), waiting);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.done.len(), NAMES.len());
    assert_eq!(rig.server.requests_of(Operation::PutObject).len(), NAMES.len(), "sent twice for nothing");
    let key = format!("p/{}", path.file_name().unwrap().to_str().unwrap());
    let stored = rig.server.object("bucket", &key).unwrap().bytes.to_vec();
    let after = std::fs::read(&path).unwrap_or_default();
    rig.assert_clean().await;
    (stored, after)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_that_changes_while_it_waits_is_sent_as_it_is_afterwards() {
    for change in [rewrite, rewrite_secretly, grow] {
        let (stored, after) = small_stored_after(change).await;
        assert!(stored == after, "a mix is stored");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_with_a_new_time_stamp_mode_or_file_of_that_name_is_sent_as_it_was() {
    for change in [touch, close_to_others, replace, vanish] {
        assert!(small_stored_after(change).await.0 == content(1_000_000), "other bytes are stored");
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
