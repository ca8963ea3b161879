use super::*;

fn content(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[cfg(unix)]
fn put(path: &Path, bytes: &str) -> Result<()> {
    let new = new_file_at(path, false)?;
    new.write_all_at(bytes.as_bytes(), 0)?;
    new.commit()
}

/// Begins a file the other way: with a temporary name.
fn new_named(path: &Path) -> NewFile {
    let folder = Arc::new(Folder::open(path.parent().unwrap()).unwrap());
    let target = Target { folder, name: path.file_name().unwrap().to_owned(), path: path.to_owned() };
    NewFile::begin(target, &UnnamedFiles::refused(), false, |_| Ok(())).unwrap()
}

#[test]
fn a_new_file_appears_whole_with_its_parents() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/c");
    let new = new_file_at(&path, false).unwrap();
    assert!(!new.is_sequential());
    assert_eq!(new.path(), path);
    new.preallocate(6).unwrap();
    new.write_all_at(b"def", 3).unwrap();
    new.write_all_at(b"abc", 0).unwrap();
    assert!(!path.exists());
    new.commit().unwrap();
    assert_eq!(content(&path), "abcdef");
    assert_eq!(names(path.parent().unwrap()), ["c"]);
}

#[test]
fn a_named_temporary_file_does_the_same() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    for text in ["first", "second"] {
        let new = new_named(&path);
        new.write_all_at(text.as_bytes(), 0).unwrap();
        let there = names(root.path());
        assert!(there[0].starts_with(&format!(".s3bulk-{}-", std::process::id())), "{there:?}");
        new.commit().unwrap();
        assert_eq!((content(&path).as_str(), names(root.path())), (text, vec!["file".to_owned()]));
    }
}

#[test]
fn dropped_before_commit_nothing_is_left_and_the_old_file_stays() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::write(&path, "old").unwrap();
    for new in [new_file_at(&path, false).unwrap(), new_named(&path)] {
        new.write_all_at(b"new and longer", 0).unwrap();
    }
    assert_eq!((content(&path).as_str(), names(root.path())), ("old", vec!["file".to_owned()]));
}

#[test]
fn a_file_that_came_meanwhile_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    let new = new_file_at(&path, true).unwrap();
    new.write_all_at(b"new", 0).unwrap();
    fs::write(&path, "meanwhile").unwrap();
    new.commit().unwrap();
    assert_eq!((content(&path).as_str(), names(root.path())), ("new", vec!["file".to_owned()]));
}

#[test]
fn a_directory_is_never_replaced() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("folder");
    let early = new_file_at(&path, false).unwrap();
    let named = new_named(&path);
    fs::create_dir(&path).unwrap();
    for error in [early.commit().unwrap_err(), named.commit().unwrap_err(), new_file_at(&path, false).unwrap_err()] {
        assert!(matches!(error.kind(), Kind::Io(io::ErrorKind::IsADirectory, _)), "{error}");
        assert_eq!(error.context().path.as_ref(), Some(&path));
    }
    assert_eq!(names(root.path()), ["folder"]);
}

#[test]
fn a_commit_into_a_folder_that_is_gone_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let new = new_file_at(&root.path().join("folder/file"), false).unwrap();
    if fs::remove_dir(root.path().join("folder")).is_err() {
        return; // the file has a temporary name in it
    }
    assert!(matches!(new.commit().unwrap_err().kind(), Kind::Io(io::ErrorKind::NotFound, _)));
}

#[test]
fn the_length_is_what_was_set() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    let new = new_file_at(&path, false).unwrap();
    new.preallocate(100_000).unwrap();
    new.write_all_at(b"abc", 0).unwrap();
    new.set_len(2).unwrap();
    new.commit().unwrap();
    assert_eq!(content(&path), "ab");
}

#[test]
fn a_path_without_a_name_is_a_directory() {
    for path in ["/", "..", "."] {
        let error = new_file_at(Path::new(path), false).unwrap_err();
        assert!(matches!(error.kind(), Kind::Io(io::ErrorKind::IsADirectory, _)), "{error}");
    }
}

#[test]
fn chunks_are_written_in_order_and_empty_ones_skipped() {
    for chunks in [vec![], vec![""], vec!["abc"], vec!["", "a", "", "bc", ""], vec!["x"; 3000], vec![""; 3000]] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write_chunks(file.as_file_mut(), &chunks).unwrap();
        assert_eq!(content(file.path()), chunks.concat());
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};

    use super::*;
    use crate::disk::unprivileged::{give_away, unprivileged};

    fn bits(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_file_has_the_bits_that_the_umask_leaves() {
        let root = tempfile::tempdir().unwrap();
        // Made by the kernel from 0666 and this process's umask.
        let plain = root.path().join("plain");
        fs::write(&plain, "").unwrap();
        put(&root.path().join("unnamed"), "").unwrap();
        new_named(&root.path().join("named")).commit().unwrap();
        for name in ["unnamed", "named"] {
            assert_eq!(bits(&root.path().join(name)), bits(&plain), "{name}");
        }
    }

    #[test]
    fn another_umask_gives_other_bits() {
        // The umask belongs to the process, so it is changed in another one: this test program, run again.
        let root = tempfile::tempdir().unwrap();
        if let Some(path) = std::env::var_os("S3BULK_TEST_UMASK_PATH") {
            put(&Path::new(&path).join("unnamed"), "").unwrap();
            new_named(&Path::new(&path).join("named")).commit().unwrap();
            return;
        }
        let status = std::process::Command::new("sh")
            .args(["-c", "umask 027; exec \"$0\" another_umask_gives_other_bits >/dev/null"])
            .arg(std::env::current_exe().unwrap())
            .env("S3BULK_TEST_UMASK_PATH", root.path())
            .status();
        assert!(status.unwrap().success());
        for name in ["unnamed", "named"] {
            assert_eq!(bits(&root.path().join(name)), 0o640, "{name}");
        }
    }

    #[test]
    fn a_replaced_file_keeps_its_bits_and_a_hard_link_its_content() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        for mode in [0o600, 0o755, 0o444, 0o6711, 0o000] {
            for named in [false, true] {
                let _ = fs::remove_file(&path);
                let _ = fs::remove_file(root.path().join("hard"));
                fs::write(&path, "old").unwrap();
                fs::hard_link(&path, root.path().join("hard")).unwrap();
                fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
                let new = if named { new_named(&path) } else { new_file_at(&path, false).unwrap() };
                if named {
                    assert_eq!(new.file().metadata().unwrap().mode() & 0o077, 0, "nobody else may look before");
                }
                new.write_all_at(b"new", 0).unwrap();
                new.commit().unwrap();
                assert_eq!(bits(&path), mode, "{mode:o} {named}");
                fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
                fs::set_permissions(root.path().join("hard"), PermissionsExt::from_mode(0o600)).unwrap();
                assert_eq!((content(&path), content(root.path().join("hard"))), ("new".into(), "old".into()));
            }
        }
    }

    /// Another group of this user's, to which it may give a file; the same one where it has no other.
    fn another_group(group: u32) -> u32 {
        let groups = rustix::process::getgroups().unwrap();
        groups.iter().map(|each| each.as_raw()).find(|each| *each != group).unwrap_or(group)
    }

    #[test]
    fn a_replaced_file_keeps_its_owner_where_that_is_allowed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, "old").unwrap();
        let before = fs::metadata(&path).unwrap();
        // Only root may give a file to somebody else.
        let owner =
            if rustix::process::geteuid().is_root() { (12, 34) } else { (before.uid(), another_group(before.gid())) };
        chown(&path, Some(owner.0), Some(owner.1)).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o4750)).unwrap();
        put(&path, "new").unwrap();
        let now = fs::metadata(&path).unwrap();
        assert_eq!((now.uid(), now.gid(), now.mode() & 0o7777), (owner.0, owner.1, 0o4750));
    }

    #[test]
    fn links_stay_links_and_their_targets_are_replaced() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("target");
        symlink(elsewhere.path(), root.path().join("folder")).unwrap();
        symlink("folder/target", root.path().join("relative")).unwrap();
        symlink(root.path().join("relative"), root.path().join("absolute")).unwrap();
        for (link, text) in [("relative", "dangling"), ("absolute", "there"), ("folder/target", "no link")] {
            put(&root.path().join(link), text).unwrap();
            assert_eq!(content(&target), text);
        }
        assert!(root.path().join("relative").is_symlink() && root.path().join("absolute").is_symlink());
        assert_eq!(names(elsewhere.path()), ["target"]);
    }

    #[test]
    fn links_in_a_circle_or_into_nothing_are_errors() {
        let root = tempfile::tempdir().unwrap();
        symlink("circle", root.path().join("circle")).unwrap();
        symlink("missing/file", root.path().join("nowhere")).unwrap();
        for name in ["circle", "nowhere"] {
            assert!(matches!(new_file_at(&root.path().join(name), false).unwrap_err().kind(), Kind::Io(..)));
        }
    }

    #[test]
    fn a_device_stays_a_device() {
        let path = Path::new("/dev/null");
        let new = new_file_at(path, true).unwrap();
        assert!(new.is_sequential());
        new.preallocate(1 << 40).unwrap();
        new.write_all_at(b"abc", 0).unwrap();
        assert_eq!(*new.write_all_at(b"abc", 0).unwrap_err().kind(), Kind::Internal, "out of order");
        new.write_all_at(b"abc", 3).unwrap();
        new.set_len(3).unwrap();
        new.commit().unwrap();
        assert!(fs::metadata(path).unwrap().file_type().is_char_device());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_fifo_is_written_straight_also_behind_a_link() {
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        symlink("fifo", root.path().join("link")).unwrap();
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        for name in ["fifo", "link"] {
            // Open before the writer comes: a process that another test starts may hold the reader before for a moment, and
            // the writer would not wait for this one.
            let mut reader = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(&fifo).unwrap();
            rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::empty()).unwrap();
            let new = new_file_at(&root.path().join(name), false).unwrap();
            assert!(new.is_sequential());
            new.write_all_at(b"through ", 0).unwrap();
            new.write_all_at(b"the pipe", 8).unwrap();
            new.commit().unwrap();
            let mut text = String::new();
            io::Read::read_to_string(&mut reader, &mut text).unwrap();
            assert_eq!(text, "through the pipe");
        }
        assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    }

    #[test]
    fn a_socket_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(new_file_at(&path, false).unwrap_err().kind(), Kind::Io(..)));
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    }

    #[test]
    fn a_file_may_have_the_longest_name_and_no_longer_one() {
        let root = tempfile::tempdir().unwrap();
        let longest = "n".repeat(255);
        put(&root.path().join(&longest), "1").unwrap();
        put(&root.path().join(&longest), "2").unwrap();
        new_named(&root.path().join(&longest)).commit().unwrap();
        let error = new_file_at(&root.path().join("n".repeat(256)), false).unwrap_err();
        let too_long = rustix::io::Errno::NAMETOOLONG.raw_os_error();
        assert!(matches!(error.kind(), Kind::Io(_, Some(number)) if *number == too_long), "{error}");
        assert_eq!(names(root.path()), [longest]);
    }

    #[test]
    fn a_folder_that_takes_no_temporary_file_is_an_error_and_the_old_bytes_stay() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, "old").unwrap();
        give_away(root.path());
        give_away(&path);
        fs::set_permissions(root.path(), PermissionsExt::from_mode(0o500)).unwrap();
        let error = unprivileged(|| put(&path, "new")).unwrap_err();
        fs::set_permissions(root.path(), PermissionsExt::from_mode(0o700)).unwrap();
        assert!(matches!(error.kind(), Kind::Io(io::ErrorKind::PermissionDenied, _)), "{error}");
        assert_eq!(content(&path), "old");
        unprivileged(|| put(&path, "new")).unwrap();
        assert_eq!(content(&path), "new", "the mode alone stood in the way");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_is_a_mount_point_is_not_replaced_and_keeps_its_bytes() {
        if let Some(path) = std::env::var_os("S3BULK_TEST_MOUNTED_PATH") {
            let path = PathBuf::from(path);
            let number = rustix::io::Errno::BUSY.raw_os_error();
            let named = new_named(&path).commit();
            for error in [put(&path, "new").unwrap_err(), named.unwrap_err()] {
                assert!(matches!(error.kind(), Kind::Io(_, Some(found)) if *found == number), "{error}");
            }
            assert_eq!((content(&path).as_str(), names(path.parent().unwrap()).len()), ("old", 2));
            return;
        }
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        fs::write(root.path().join("mounted"), "old").unwrap();
        let command = "cd \"$1\" && mount --bind mounted file 2>/dev/null || exit 77; \
                       exec \"$0\" a_file_that_is_a_mount_point >/dev/null";
        let status = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", command])
            .arg(std::env::current_exe().unwrap())
            .arg(root.path())
            .env("S3BULK_TEST_MOUNTED_PATH", root.path().join("file"))
            .stderr(std::process::Stdio::null())
            .status();
        // Mounting is for root only, and not in every container.
        if status.is_ok_and(|status| status.code() == Some(101)) {
            panic!("see the other process");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_shows_when_room_is_reserved() {
        // Not where temporary files go: that may be memory.
        let root = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = root.path().join("file");
        let new = new_file_at(&path, false).unwrap();
        assert!(matches!(new.preallocate(1 << 50).unwrap_err().kind(), Kind::Io(..)));
        drop(new);
        assert!(names(root.path()).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_reserved_in_memory() {
        use std::os::unix::fs::MetadataExt;
        let root = tempfile::tempdir_in("/dev/shm").unwrap();
        let new = new_file_at(&root.path().join("file"), false).unwrap();
        new.preallocate(1 << 20).unwrap();
        assert_eq!(new.file().metadata().unwrap().blocks(), 0);
    }
}
