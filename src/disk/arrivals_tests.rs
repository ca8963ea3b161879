use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::*;
use crate::error::Kind;

/// A root with a folder `v1`, a link `latest` to it, a file `v1/old` and a link `other` to that; and each way to write
/// below it.
fn roots() -> Vec<(tempfile::TempDir, Root)> {
    let rooted = |unnamed: bool, durable| {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("v1")).unwrap();
        fs::write(place.path().join("v1/old"), "old").unwrap();
        symlink("v1", place.path().join("latest")).unwrap();
        symlink("v1/old", place.path().join("other")).unwrap();
        let mut root = Root::create(place.path(), durable).unwrap().for_keys("p/".into());
        if !unnamed {
            root.without_unnamed_files();
        }
        // The short way is open from the second file on.
        put(&root, "first").unwrap();
        (place, root)
    };
    vec![rooted(true, false), rooted(true, true), rooted(false, false), rooted(false, true)]
}

/// Each name holds itself.
fn put(root: &Root, name: &str) -> Result<()> {
    root.write_file(&name.into(), &[name])
}

fn put_in_pieces(root: &Root, name: &str) -> Result<()> {
    let new = root.new_file(name)?;
    new.write_all_at(name.as_bytes(), 0)?;
    root.commit(new, &name.into())
}

fn content(root: &Root, name: &str) -> String {
    fs::read_to_string(root.path().join(name)).unwrap()
}

fn assert_refused(result: Result<()>, one: &str, other: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), &Kind::KeyCollision, "{error:?}");
    let keys = format!("Two S3 keys need the same place on disk: \"p/{one}\" and \"p/{other}\"; ");
    assert!(error.message().starts_with(&keys), "{error}");
}

fn temporary_names(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".s3bulk-")).count()
}

#[test]
fn what_arrived_under_another_name_is_not_replaced() {
    for (_place, root) in roots() {
        for (put, pairs) in [
            (put as fn(&Root, &str) -> Result<()>, [("latest/a", "v1/a"), ("v1/b", "latest/b"), ("v1/old", "other")]),
            (put_in_pieces, [("latest/c", "v1/c"), ("v1/d", "latest/d"), ("latest/e", "v1/e")]),
        ] {
            for (one, other) in pairs {
                put(&root, one).unwrap();
                assert_refused(put(&root, other), one, other);
                assert_eq!((content(&root, one), content(&root, other)), (one.into(), one.into()));
            }
        }
        assert_eq!(temporary_names(&root.path().join("v1")), 0);
        assert!(root.path().join("other").is_symlink());
    }
}

/// As where `A` and `a` are one name: a file that came under the one is found under the other.
#[test]
fn one_file_under_two_names_is_one_place() {
    for (_place, root) in roots() {
        put(&root, "A").unwrap();
        fs::hard_link(root.path().join("A"), root.path().join("a")).unwrap();
        assert_refused(put(&root, "a"), "A", "a");
        assert_eq!(content(&root, "a"), "A");
    }
}

#[test]
fn what_holds_the_same_bytes_may_come_under_two_names() {
    let long = vec![7; 2 * COMPARED + 1];
    for content in [&b""[..], b"x", &long[..COMPARED], &long] {
        for (_place, root) in roots() {
            for name in ["latest/a", "v1/a", "other", "v1/old"] {
                root.write_file(&name.into(), &[content]).unwrap();
            }
            // As many bytes and another one at the end, and one more.
            let other_end = content.split_last().map(|(_, all_but_one)| [all_but_one, &[8]].concat());
            for other in other_end.into_iter().chain([[content, &[7]].concat()]) {
                let error = root.write_file(&"latest/a".into(), &[&other]).unwrap_err();
                assert_eq!(error.kind(), &Kind::KeyCollision);
            }
            assert!(fs::read(root.path().join("v1/a")).unwrap() == content);
            assert_eq!(temporary_names(&root.path().join("v1")), 0);
        }
    }
}

#[test]
fn the_same_name_may_come_again() {
    for (_place, root) in roots() {
        for name in ["a", "a", "latest/a", "latest/a", "other", "other"] {
            put(&root, name).unwrap();
            put_in_pieces(&root, name).unwrap();
            assert_eq!(content(&root, name), name);
        }
    }
}

#[test]
fn what_others_have_put_there_is_replaced() {
    for (_place, root) in roots() {
        let second = Root::create(root.path(), false).unwrap();
        for (one, other) in [("v1/old", "v1/linked"), ("v1/a", "latest/a"), ("latest/b", "v1/b")] {
            if one == "v1/old" {
                fs::hard_link(root.path().join(one), root.path().join(other)).unwrap();
                put(&root, one).unwrap();
                put(&root, other).unwrap();
                assert_eq!((content(&root, one), content(&root, other)), (one.into(), other.into()));
            } else {
                put(&root, one).unwrap();
                put(&second, other).unwrap();
                put(&root, one).unwrap();
                assert_eq!(content(&root, other), one);
            }
        }
    }
}

/// Numbers of files that are gone are used again. A rename does it for sure: what stands there has the number of another.
#[test]
fn a_number_that_is_used_again_is_no_collision() {
    for (_place, root) in roots() {
        let path = |name: &str| root.path().join(name);
        for (another_came, [from, to]) in [(false, ["a", "b"]), (true, ["c", "d"])] {
            put(&root, from).unwrap();
            let number = fs::metadata(path(from)).unwrap().ino();
            fs::rename(path(from), path(to)).unwrap();
            if another_came {
                fs::write(path(from), "another").unwrap();
            }
            assert_eq!(fs::metadata(path(to)).unwrap().ino(), number);
            put(&root, to).unwrap();
            assert_eq!(content(&root, to), to);
        }
    }
}

#[test]
fn of_many_that_need_one_place_at_once_one_arrives() {
    const LINKS: usize = 4;
    for (_place, root) in roots() {
        for link in 0..LINKS {
            symlink("v1", root.path().join(format!("link{link}"))).unwrap();
        }
        for round in 0..50 {
            if round % 2 == 0 {
                fs::write(root.path().join(format!("v1/{round}")), "old").unwrap();
            }
            let start = std::sync::Barrier::new(LINKS);
            let attempts = std::thread::scope(|scope| {
                let (root, start) = (&root, &start);
                let attempt = |link| {
                    let name = format!("link{link}/{round}");
                    scope.spawn(move || {
                        start.wait();
                        (put(root, &name), name)
                    })
                };
                let threads: Vec<_> = (0..LINKS).map(attempt).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            let there = content(&root, &format!("v1/{round}"));
            for (result, name) in attempts {
                if name == there {
                    result.unwrap();
                } else {
                    assert_refused(result, &there, &name);
                }
            }
        }
        assert_eq!(temporary_names(&root.path().join("v1")), 0);
    }
}
