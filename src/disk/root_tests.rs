use std::fs;

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

/// Writes by both ways, and says what the second said.
fn put(root: &Root, relative: &str, text: &str) -> Result<()> {
    let new = root.new_file(relative).and_then(|new| {
        new.write_all_at(text.as_bytes(), 0)?;
        new.commit()
    });
    let (start, rest) = text.split_at(text.len() / 2);
    let written = root.write_file(&relative.into(), &[start, rest]);
    assert_eq!(new.is_ok(), written.is_ok(), "{new:?} {written:?}");
    written
}

fn create() -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::create(&folder.path().join("made/here"), false).unwrap();
    assert_eq!(root.path(), folder.path().join("made/here"));
    (folder, root)
}

#[test]
fn files_are_written_below_the_root_and_replaced() {
    let (_folder, root) = create();
    for text in ["first", "second, longer", "3"] {
        for name in ["a", "b/c", "b/d/e/f", "b/g", "B", " ", "\\", "ü"] {
            put(&root, name, text).unwrap();
            assert_eq!(content(root.path().join(name)), text);
        }
    }
    assert_eq!(names(&root.path().join("b")), ["c", "d", "g"]);
}

#[test]
fn many_files_in_many_folders_come_out_right() {
    let (_folder, root) = create();
    for round in 0..2 {
        for index in 0..3 * FOLDERS_REMEMBERED {
            let name = format!("{}/{index}/{index}", index % 7);
            root.write_file(&name.as_str().into(), &[format!("{round} {index}")]).unwrap();
            assert_eq!(content(root.path().join(name)), format!("{round} {index}"));
        }
    }
    assert!(root.lock().len() <= FOLDERS_REMEMBERED);
}

#[test]
fn threads_may_make_the_same_folders_at_once() {
    let (_folder, root) = create();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let root = &root;
            scope.spawn(move || {
                for index in 0..50 {
                    root.write_file(&format!("a/b{index}/c/{thread}").into(), &["x"]).unwrap();
                }
            });
        }
    });
    assert_eq!(names(&root.path().join("a/b49/c")).len(), 8);
}

#[test]
fn empty_and_dot_components_fold_and_what_is_left_of_the_rest_is_refused() {
    for (relative, folded) in [
        ("a", Some("a")),
        ("a/b.c/..d", Some("a/b.c/..d")),
        ("a//b", Some("a/b")),
        ("./a/./b", Some("a/b")),
        ("a/", Some("a")),
        ("", None),
        (".", None),
        ("./", None),
        ("/a", None),
        ("..", None),
        ("a/../b", None),
        ("a/..", None),
    ] {
        assert_eq!(fold(relative).as_deref(), folded, "{relative:?}");
    }
    let (_folder, root) = create();
    put(&root, "x//./y", "text").unwrap();
    assert_eq!(content(root.path().join("x/y")), "text");
    let error = put(&root, "../x", "").unwrap_err();
    assert_eq!(*error.kind(), Kind::SuspiciousKey);
    assert_eq!(error.message(), "Refusing to write outside local_dir; suspicious S3 key: ../x");
}

#[test]
fn a_file_where_a_folder_is_needed_is_named_with_the_file_that_needs_it() {
    let (_folder, root) = create();
    put(&root, "a/b", "file").unwrap();
    let error = put(&root, "a/b/c/d", "").unwrap_err();
    assert!(matches!(error.kind(), Kind::Io(io::ErrorKind::NotADirectory, _)), "{error}");
    assert!(error.message().contains("\"a/b/c/d\"") && error.message().contains("\"a/b\" is a file"), "{error}");
    assert_eq!(error.context().path.as_deref(), Some(root.path().join("a/b").as_path()));
}

#[test]
fn a_folder_where_the_file_should_be_is_an_error() {
    let (_folder, root) = create();
    put(&root, "a/b", "file").unwrap();
    let error = put(&root, "a", "").unwrap_err();
    assert!(matches!(error.kind(), Kind::Io(io::ErrorKind::IsADirectory, _)), "{error}");
}

#[test]
fn a_root_that_is_a_file_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(Root::create(file.path(), false).unwrap_err().kind(), Kind::Io(io::ErrorKind::AlreadyExists, _)));
}

#[test]
fn folders_removed_meanwhile_are_made_anew() {
    let (_folder, root) = create();
    put(&root, "a/b/c", "1").unwrap();
    fs::remove_dir_all(root.path().join("a")).unwrap();
    put(&root, "a/b/c", "2").unwrap();
    fs::remove_dir_all(root.path().join("a")).unwrap();
    root.write_file(&"a/b/d".into(), &["3"]).unwrap();
    fs::remove_dir_all(root.path().join("a")).unwrap();
    root.write_file(&"a/b/new/d".into(), &["4"]).unwrap();
    assert_eq!(content(root.path().join("a/b/new/d")), "4");
}

#[test]
fn nothing_is_left_of_what_was_not_committed() {
    let (_folder, root) = create();
    let mut other = Root::create(root.path(), false).unwrap();
    other.without_unnamed_files();
    for root in [&root, &other] {
        drop(root.new_file("a").unwrap());
        root.write_file(&"n".into(), &[""; 0]).unwrap();
    }
    assert_eq!(names(root.path()), ["n"]);
    assert_eq!(content(root.path().join("n")), "");
}

#[test]
fn a_root_can_be_shared_among_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Root>();
    shared::<NewFile>();
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        _folder: tempfile::TempDir,
        root: Root,
        outside: PathBuf,
    }

    fn place() -> Place {
        let (folder, root) = create();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "old").unwrap();
        Place { _folder: folder, root, outside }
    }

    fn assert_refused(place: &Place, relative: &str) {
        let error = put(&place.root, relative, "new").unwrap_err();
        assert_eq!(*error.kind(), Kind::SuspiciousKey, "{error}");
        let expected = format!("Refusing to write outside local_dir; suspicious S3 key: {relative}");
        assert_eq!(error.message(), expected);
        assert_eq!((names(&place.outside), content(place.outside.join("file"))), (vec!["file".into()], "old".into()));
    }

    #[test]
    fn links_to_folders_outside_are_refused() {
        let place = place();
        let path = place.root.path();
        symlink(&place.outside, path.join("absolute")).unwrap();
        symlink("../../outside", path.join("relative")).unwrap();
        symlink("relative", path.join("second")).unwrap();
        symlink("/", path.join("top")).unwrap();
        symlink("..", path.join("up")).unwrap();
        symlink("../../outside/new", path.join("dangling")).unwrap();
        for name in ["absolute", "relative", "second", "top", "up", "dangling"] {
            assert_refused(&place, &format!("{name}/file"));
            assert_refused(&place, &format!("{name}/deeper/file"));
        }
    }

    #[test]
    fn links_to_files_outside_are_refused() {
        let place = place();
        let path = place.root.path();
        symlink(place.outside.join("file"), path.join("absolute")).unwrap();
        symlink("../../outside/file", path.join("relative")).unwrap();
        symlink("../../outside/new", path.join("dangling")).unwrap();
        symlink("/dev/null", path.join("device")).unwrap();
        for name in ["absolute", "relative", "dangling", "device"] {
            assert_refused(&place, name);
        }
    }

    #[test]
    fn links_that_end_inside_are_followed() {
        let place = place();
        let path = place.root.path();
        fs::create_dir(path.join("inside")).unwrap();
        symlink("inside", path.join("relative")).unwrap();
        symlink(path.join("inside"), path.join("absolute")).unwrap();
        symlink("../../made/here/inside", path.join("out and back")).unwrap();
        symlink(path.join("relative"), path.join("twice")).unwrap();
        symlink("new", path.join("dangling")).unwrap();
        symlink(place.root.path(), place.outside.join("back")).unwrap();
        symlink("../../outside/back/inside", path.join("through outside")).unwrap();
        for name in ["relative", "absolute", "out and back", "twice", "through outside"] {
            put(&place.root, &format!("{name}/{name}"), name).unwrap();
            assert_eq!(content(path.join("inside").join(name)), name);
            assert!(path.join(name).is_symlink());
        }
        put(&place.root, "dangling/file", "x").unwrap();
        assert_eq!(content(path.join("new/file")), "x");
        symlink("..", path.join("inside/up")).unwrap();
        put(&place.root, "inside/up/top", "x").unwrap();
        symlink(path, path.join("inside/root")).unwrap();
        put(&place.root, "inside/root/top", "y").unwrap();
        assert_eq!(content(path.join("top")), "y");
    }

    #[test]
    fn a_link_to_a_file_inside_stays_and_its_target_is_replaced_or_made() {
        let place = place();
        let path = place.root.path();
        put(&place.root, "folder/target", "old").unwrap();
        symlink("folder/target", path.join("link")).unwrap();
        symlink(path.join("folder/new"), path.join("dangling")).unwrap();
        symlink("folder", path.join("to folder")).unwrap();
        put(&place.root, "link", "new").unwrap();
        put(&place.root, "dangling", "made").unwrap();
        assert!(path.join("link").is_symlink() && path.join("dangling").is_symlink());
        assert_eq!(content(path.join("folder/target")), "new");
        assert_eq!(content(path.join("folder/new")), "made");
        let error = put(&place.root, "to folder", "").unwrap_err();
        assert!(matches!(error.kind(), Kind::Io(io::ErrorKind::IsADirectory, _)), "{error}");
    }

    #[test]
    fn a_root_may_be_a_link() {
        let place = place();
        let link = place.outside.join("root");
        symlink(place.root.path(), &link).unwrap();
        let root = Root::create(&link, false).unwrap();
        symlink(link.join("inside"), link.join("by the link's own path")).unwrap();
        put(&root, "by the link's own path/file", "x").unwrap();
        assert_eq!(content(place.root.path().join("inside/file")), "x");
    }

    #[test]
    fn a_link_planted_after_the_check_leads_nowhere() {
        let place = place();
        let path = place.root.path();
        let new = place.root.new_file("a/file").unwrap();
        new.write_all_at(b"x", 0).unwrap();
        if fs::rename(path.join("a"), path.join("moved")).is_err() || cfg!(feature = "portable-disk") {
            return; // by path, this can't be promised
        }
        symlink(&place.outside, path.join("a")).unwrap();
        new.commit().unwrap();
        assert_eq!(content(path.join("moved/file")), "x");
        assert_eq!(names(&place.outside), ["file"]);
    }
}

/// `TMPDIR=/dev/shm cargo test --profile daily --lib disk::root -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_a_small_file_costs() {
    let (_folder, root) = create();
    let body = [0u8; 4096];
    let names = (0..20_000).map(|index| format!("folder{}/{index}", index / 1000).into());
    let names: Vec<Arc<str>> = names.collect();
    for what in ["new", "replaced", "new, the long way", "replaced, the long way"] {
        if what == "new, the long way" {
            fs::remove_dir_all(root.path()).unwrap();
            fs::create_dir(root.path()).unwrap();
        }
        let root = Root::create(root.path(), false).unwrap();
        let begin = std::time::Instant::now();
        for name in &names {
            if what.ends_with("way") {
                let new = root.new_file(name).unwrap();
                new.write_all_at(&body, 0).unwrap();
                new.commit().unwrap();
            } else {
                root.write_file(name, &[body]).unwrap();
            }
        }
        println!("{what}: {:?} each", begin.elapsed() / 20_000);
    }
    let begin = std::time::Instant::now();
    let found = crate::disk::Walk::new(root.path()).unwrap().map(Result::unwrap).count();
    println!("walk: {:?} for {found}", begin.elapsed());
    let mut into = Vec::new();
    let begin = std::time::Instant::now();
    for name in &names {
        let source = crate::disk::Source::open(&root.path().join(&**name)).unwrap();
        source.read_whole(&mut into).unwrap();
        assert_eq!(source.stamp_now().unwrap(), *source.stamp());
    }
    println!("read: {:?} each", begin.elapsed() / 20_000);
}

#[test]
fn a_path_that_a_link_leads_outside_is_refused_before_anything_is_made() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir_all(root.join("inside")).unwrap();
    fs::create_dir_all(place.path().join("outside")).unwrap();
    for (link, target) in [("in", "inside"), ("out", "../outside"), ("file", "../outside/f"), ("self", "inside/new")] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    let checked = Root::create(&root, false).unwrap();
    assert!(!checked.was_empty());
    for (path, fine) in [
        ("in/a", true),
        ("new/a", true),
        ("self", true),
        ("a", true),
        ("out/a", false),
        ("out/deep/a", false),
        ("file", false),
    ] {
        assert_eq!(checked.check(path).is_ok(), fine, "{path}");
    }
    assert_eq!(checked.check("out/a").unwrap_err().kind(), &Kind::SuspiciousKey);
    assert_eq!(fs::read_dir(place.path().join("outside")).unwrap().count(), 0);
    assert!(!root.join("new").exists());
}
