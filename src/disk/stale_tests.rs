use std::fs::{self, File};

use super::*;

const OWNERS_ONLY: Stale = Stale { unwritten_for: None };
const DAY: Duration = Duration::from_secs(86_400);

/// A process that has ended and was waited for.
fn gone() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

fn stale_name() -> String {
    Owner::made_up(Some(gone()), Some(1), None).name(1)
}

fn write(folder: &Path, name: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(name), "part of a file").unwrap();
    folder.join(name)
}

#[cfg(target_os = "linux")]
#[test]
fn files_of_gone_processes_are_found_in_order_and_removed_only_when_told_so() {
    let root = tempfile::tempdir().unwrap();
    let name = stale_name();
    let deep = root.path().join("b").join("d/".repeat(100));
    let stale = [write(root.path(), &name), write(&root.path().join("a"), &name), write(&deep, &name)];
    let kept = write(root.path(), "file");
    assert_eq!(remove_stale(root.path(), OWNERS_ONLY, false).unwrap(), stale);
    assert!(stale.iter().all(|path| path.exists()), "a dry run");
    assert_eq!(remove_stale(root.path(), OWNERS_ONLY, true).unwrap(), stale);
    assert!(stale.iter().all(|path| !path.exists()) && kept.exists());
    assert_eq!(remove_stale(root.path(), OWNERS_ONLY, true).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn a_file_of_a_living_process_is_never_touched_however_old_it_is() {
    let root = tempfile::tempdir().unwrap();
    let path = write(root.path(), &super::super::temporary::temporary_name().unwrap());
    File::options().append(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let any_age = Stale { unwritten_for: Some(Duration::ZERO) };
    let found = remove_stale(root.path(), any_age, true).unwrap();
    assert!(found.is_empty() && path.exists());
}

#[test]
fn of_elsewhere_only_what_nobody_writes_to_any_more_is_stale() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = Owner::made_up(Some(gone()), Some(1), Some(7));
    let nowhere = Owner::made_up(Some(gone()), Some(0), Some(0));
    let (old, new) = (write(root.path(), &elsewhere.name(1)), write(root.path(), &elsewhere.name(2)));
    let ahead = write(root.path(), &nowhere.name(3));
    let now = SystemTime::now();
    for (path, time) in [(&old, now - 2 * DAY), (&ahead, now + DAY)] {
        File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    }
    assert!(remove_stale(root.path(), OWNERS_ONLY, true).unwrap().is_empty());
    assert_eq!(remove_stale(root.path(), Stale { unwritten_for: Some(DAY) }, true).unwrap(), [old]);
    assert!(new.exists() && ahead.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn no_link_is_followed_and_nothing_but_a_file_is_removed() {
    use std::os::unix::fs::symlink;

    let place = tempfile::tempdir().unwrap();
    let (root, outside) = (place.path().join("root"), place.path().join("outside"));
    let name = stale_name();
    let theirs = write(&outside, &name);
    fs::create_dir(&root).unwrap();
    symlink(&outside, root.join("folder")).unwrap();
    symlink(&theirs, root.join(Owner::made_up(Some(gone()), Some(1), None).name(2))).unwrap();
    fs::create_dir(root.join(&name)).unwrap();
    assert!(remove_stale(&root, OWNERS_ONLY, true).unwrap().is_empty());
    assert!(theirs.exists() && root.join(&name).is_dir());
    // The folder itself may be a link, as for a download.
    assert_eq!(remove_stale(&root.join("folder"), OWNERS_ONLY, true).unwrap(), [root.join("folder").join(&name)]);
    assert!(!theirs.exists());
}

#[test]
fn what_is_no_directory_is_named() {
    let root = tempfile::tempdir().unwrap();
    for path in [write(root.path(), "file"), root.path().join("missing")] {
        let error = remove_stale(&path, OWNERS_ONLY, false).unwrap_err();
        assert_eq!(*error.kind(), Kind::NotADirectory, "{error}");
        assert!(error.message().ends_with(path.to_str().unwrap()), "{error}");
    }
}
