//! An old file survives a disk that fails at any step: afterwards there are the old bytes or the new ones, success means
//! the new ones, and nothing else is left.

use std::fs;
use std::path::Path;

use rustix::io::Errno;

use super::failing;
use super::*;
use crate::disk::{Root, new_file_at};
use crate::error::{Kind, Result};

const OLD: &str = "old";
const NEW: &str = "new, and longer";

/// A way to write the file `folder/file` below a root.
struct Way {
    name: &'static str,
    write: fn(&Path) -> Result<()>,
    /// Steps of it that a disk can fail at, when the file is new and when it replaces another.
    steps: [&'static [Step]; 2],
}

fn at_once(root: &Path, durable: bool) -> Result<()> {
    let root = Root::create(root, durable)?;
    // The first file finds out what the file system can do; the second one goes the short way.
    root.write_file(&"first".into(), &["x"])?;
    root.write_file(&"folder/file".into(), &[&NEW[..4], &NEW[4..]])
}

fn in_pieces(root: &Path, durable: bool) -> Result<()> {
    let new = Root::create(root, durable)?.new_file("folder/file")?;
    finish(new)
}

fn named(root: &Path, durable: bool) -> Result<()> {
    let mut root = Root::create(root, durable)?;
    root.without_unnamed_files();
    finish(root.new_file("folder/file")?)
}

fn finish(new: crate::disk::NewFile) -> Result<()> {
    new.preallocate(NEW.len() as u64)?;
    new.write_all_at(&NEW.as_bytes()[4..], 4)?;
    new.write_all_at(&NEW.as_bytes()[..4], 0)?;
    new.commit()
}

use Step::{Attributes, Close, Create, Link, Make, Rename, Sync, SyncFolder, Write};

const WAYS: [Way; 7] = [
    Way {
        name: "at once",
        write: |root| at_once(root, false),
        steps: [&[Make, Create, Write, Close, Link], &[Create, Write, Attributes, Close, Link, Rename]],
    },
    Way {
        name: "at once, durable",
        write: |root| at_once(root, true),
        steps: [
            &[Make, Create, Write, Sync, Close, Link, SyncFolder],
            &[Create, Write, Attributes, Sync, Close, Link, Rename, SyncFolder],
        ],
    },
    Way {
        name: "in pieces",
        write: |root| in_pieces(root, false),
        steps: [&[Make, Create, Write, Close, Link], &[Create, Write, Attributes, Close, Link, Rename]],
    },
    Way {
        name: "in pieces, durable",
        write: |root| in_pieces(root, true),
        steps: [
            &[Make, Create, Write, Sync, Close, Link, SyncFolder],
            &[Create, Write, Attributes, Sync, Close, Link, Rename, SyncFolder],
        ],
    },
    Way {
        name: "with a temporary name",
        write: |root| named(root, false),
        steps: [&[Make, Create, Write, Close, Rename], &[Create, Write, Attributes, Close, Rename]],
    },
    Way {
        name: "with a temporary name, durable",
        write: |root| named(root, true),
        steps: [
            &[Make, Create, Write, Sync, Close, Rename, SyncFolder],
            &[Create, Write, Attributes, Sync, Close, Rename, SyncFolder],
        ],
    },
    Way {
        name: "at a path, durable",
        write: |root| finish(new_file_at(&root.join("folder/file"), true)?),
        steps: [
            &[Create, Write, Sync, Close, SyncFolder],
            &[Create, Write, Attributes, Sync, Close, Rename, SyncFolder],
        ],
    },
];

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).map_or_else(|_| vec![], |entries| entries.map(|entry| entry.unwrap()).collect());
    let mut names: Vec<_> = entries.iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "first");
    names.sort();
    names
}

/// Rounds until every step has failed. One is enough, unless a test on another file system comes between: what unnamed files
/// can do is remembered for one (`temporary.rs`), and to try it out again takes steps of its own.
const ROUNDS: usize = 20;

/// Fails each step of a way in turn, and gives the number of faults.
fn every_step_fails(way: &Way, replaces: bool, error: Errno) -> usize {
    let mut seen = vec![];
    for _ in 0..ROUNDS {
        let round = (0..).map_while(|passing| one_step_fails(way, replaces, error, passing));
        seen.extend(round);
        let has_all = way.steps[usize::from(replaces)].iter().all(|step| seen.contains(step));
        if has_all || cfg!(any(feature = "portable-disk", not(target_os = "linux"))) {
            return seen.len();
        }
    }
    panic!("{}, replaces: {replaces}: only {seen:?} failed", way.name);
}

/// Fails the step after the first `passing` ones, and says which it was; `None` if there were not so many.
fn one_step_fails(way: &Way, replaces: bool, error: Errno, passing: usize) -> Option<Step> {
    let place = tempfile::tempdir().unwrap();
    let (folder, file) = (place.path().join("folder"), place.path().join("folder/file"));
    if replaces {
        fs::create_dir(&folder).unwrap();
        fs::write(&file, OLD).unwrap();
    }
    let (done, failed) = failing(passing, error.raw_os_error(), || (way.write)(place.path()));
    let about = format!("{}, replaces: {replaces}, {error:?} after {passing} steps: {failed:?}", way.name);
    let content = fs::read_to_string(&file).ok();
    let Some(failed) = failed else {
        done.unwrap();
        assert_eq!(content.as_deref(), Some(NEW), "{about}");
        return None;
    };
    match &done {
        Ok(()) => assert_eq!(content.as_deref(), Some(NEW), "{about}: not written"),
        // The name is there, and may be gone after a power cut: to report that is all that can be done.
        Err(_) if failed == SyncFolder && content.as_deref() == Some(NEW) => {}
        Err(_) => assert_eq!(content.as_deref(), replaces.then_some(OLD), "{about}: not the old file"),
    }
    if let Err(told) = done {
        let number = Some(error.raw_os_error());
        assert!(matches!(told.kind(), Kind::Io(_, told) if *told == number), "{about}: {told}");
        assert!(told.context().path.is_some(), "{about}: {told}");
    }
    let whole: &[&str] = if content.is_some() { &["file"] } else { &[] };
    assert_eq!(names(&folder), whole, "{about}: something is left");
    let above: &[&str] = if folder.exists() { &["folder"] } else { &[] };
    assert_eq!(names(place.path()), above, "{about}: something is left");
    Some(failed)
}

#[test]
fn an_old_file_survives_a_disk_that_fails_at_any_step() {
    let mut faults = 0;
    for way in &WAYS {
        for replaces in [false, true] {
            for error in [Errno::NOSPC, Errno::IO, Errno::DQUOT] {
                faults += every_step_fails(way, replaces, error);
            }
        }
    }
    println!("{faults} faults survived");
    assert!(faults > 200, "{faults}");
}

#[test]
fn a_wait_for_the_disk_that_failed_is_not_repeated() {
    for replaces in [false, true] {
        let steps = (0..ROUNDS).flat_map(|_| {
            let mut passing = 0..;
            std::iter::from_fn(move || {
                let place = tempfile::tempdir().unwrap();
                let file = place.path().join("file");
                if replaces {
                    fs::write(&file, OLD).unwrap();
                }
                let write = || finish(new_file_at(&file, true)?);
                let (done, failed) = failing(passing.next()?, Errno::IO.raw_os_error(), write);
                failed.map(|failed| (failed, done.is_err()))
            })
        });
        // The next wait would have passed: a failed one ends it.
        let waited = steps.into_iter().find(|(step, _)| *step == Sync);
        assert_eq!(waited, Some((Sync, true)), "a wait for the content failed");
    }
}
