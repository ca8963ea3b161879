//! Somebody who plants links while files arrive: they lead nowhere. By path this can't be promised.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use s3bulk::error::Kind;

use crate::download_setup::{filled, take};
use crate::fault_server::Script;

const KEYS: usize = 150;
/// A link stands for so long, and so does the folder: long enough for some files, much less than a download takes.
const STANDS: Duration = Duration::from_micros(300);

/// Ends the planting, however the test ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn stand() {
    let since = Instant::now();
    while since.elapsed() < STANDS {
        std::hint::spin_loop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_planted_while_files_arrive_lead_nowhere() {
    let keys: Vec<String> = (0..KEYS).map(|number| format!("p/folder/{}/{number}", number % 10)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let rig = filled(Script::new().page_size(20), &keys);
    let outside = tempfile::tempdir().unwrap();
    // Of the folders that the keys need, so that a file could be written there.
    for number in 0..10 {
        fs::create_dir(outside.path().join(number.to_string())).unwrap();
    }
    fs::create_dir(rig.target()).unwrap();
    let (folder, moved) = (rig.target().join("folder"), rig.target().join("moved"));
    let (stop, planted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut arrived, mut refused, mut rounds) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                stand();
                if fs::rename(&folder, &moved).is_err() {
                    continue; // it is not there yet
                }
                if symlink(outside.path(), &folder).is_ok() {
                    planted.fetch_add(1, Relaxed);
                    stand();
                    fs::remove_file(&folder).unwrap();
                }
                // Where the folder was made anew meanwhile, this one has to go.
                if fs::rename(&moved, &folder).is_err() {
                    while moved.exists() {
                        let _files_still_arrive = fs::remove_dir_all(&moved);
                    }
                }
            }
        });
        let _stop = Stop(&stop);
        let until = Instant::now() + Duration::from_secs(20);
        let work = async {
            while rounds < 10 || (refused == 0 && Instant::now() < until) {
                let (done, _, error) = take(&rig).await;
                rounds += 1;
                arrived += done.len();
                match error.as_ref().map(s3bulk::error::Error::kind) {
                    None => assert_eq!(done.len(), KEYS),
                    Some(Kind::SuspiciousKey) => refused += 1,
                    Some(Kind::Io(..)) => {}
                    Some(_) => panic!("{error:?}"),
                }
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work));
    });
    let planted = planted.into_inner();
    println!("{planted} links were planted in {rounds} downloads, {arrived} files arrived, {refused} were refused");
    assert!(planted > 10 && arrived > 0 && refused > 0, "{planted} {arrived} {refused}: no fault happened");
    for number in 0..10 {
        let entries = fs::read_dir(outside.path().join(number.to_string())).unwrap();
        assert_eq!(entries.count(), 0, "a file was written outside");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 10, "something was made outside");
}
