//! An old file survives a disk that fails at any step: afterwards there are the old bytes or the new ones, success means
//! the new ones, and nothing else is left.

use std::fs;
use std::path::Path;

use rustix::io::Errno;

use super::script::failing;
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
    root.write_file("first", &["x"])?;
    root.write_file("folder/file", &[&NEW[..4], &NEW[4..]])
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

/// Fails each step of each way in turn, and gives the number of faults.
fn every_step_fails(way: &Way, replaces: bool, error: Errno) -> usize {
    let mut seen = vec![];
    for passing in 0.. {
        let place = tempfile::tempdir().unwrap();
        let (folder, file) = (place.path().join("folder"), place.path().join("folder/file"));
        if replaces {
            fs::create_dir(&folder).unwrap();
            fs::write(&file, OLD).unwrap();
        }
        let (done, failed) = failing(passing, error.raw_os_error(), || (way.write)(place.path()));
        let about = format!("{}, replaces: {replaces}, {error:?} after {passing} steps: {failed:?}", way.name);
        let Some(failed) = failed else {
            done.unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), NEW, "{about}");
            let expected = &way.steps[usize::from(replaces)];
            if cfg!(not(any(feature = "portable-disk", not(target_os = "linux")))) {
                assert!(expected.iter().all(|step| seen.contains(step)), "{about}: only {seen:?} failed");
            }
            return passing;
        };
        seen.push(failed);
        let content = fs::read_to_string(&file).ok();
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
    }
    unreachable!("a way has an end")
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
        let mut waits = 0;
        for passing in 0.. {
            let place = tempfile::tempdir().unwrap();
            let file = place.path().join("file");
            if replaces {
                fs::write(&file, OLD).unwrap();
            }
            let (done, failed) = failing(passing, Errno::IO.raw_os_error(), || finish(new_file_at(&file, true)?));
            match failed {
                // The next wait would have passed: a failed one ends it.
                Some(Sync) => assert!(done.is_err()),
                Some(_) => continue,
                None => break,
            }
            waits += 1;
        }
        assert_eq!(waits, 1, "there is one wait for the content, and it failed");
    }
}
