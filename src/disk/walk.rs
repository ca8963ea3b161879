//! The files of a folder, in the order of Python's `sorted(Path(root).rglob("*"))`.

use std::ffi::OsString;
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use crate::error::{Error, Kind, Result};

/// A regular file below the root of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path below the root, joined with `/`.
    pub relative: String,
    /// Path to open.
    pub path: PathBuf,
}

/// Streams the files of a folder: sorted component by component, depth first. Hidden files are included, links to files
/// followed, links to directories not entered; what is no file (broken links, sockets, FIFOs, devices) is passed over
/// without being opened. Ends after the first error, unless that [is exhaustion](Error::is_exhausted): then the next item
/// is looked for where it was.
///
/// In memory are the names of one directory per depth; no directory stays open between two items.
#[derive(Debug)]
pub struct Walk {
    /// One level per depth: no recursion, so that no depth of folders overflows the stack.
    levels: Vec<Level>,
    /// What could not be looked at for want of descriptors or memory: the next of the last level.
    again: Option<Entry>,
}

#[derive(Debug)]
struct Level {
    directory: PathBuf,
    /// Path below the root with a `/` at its end, or empty. `None` when some part of it is not UTF-8: that is an error
    /// only once a file is found in it.
    prefix: Option<String>,
    entries: IntoIter<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: OsString,
    file_type: FileType,
}

/// What an entry is to a walk.
enum Look {
    Into(Level),
    At(Found),
    Past,
}

impl Walk {
    /// Begins at `root`, which may be a link to a directory.
    ///
    /// # Errors
    /// `NotADirectory` when `root` isn't one; `Io` when it can't be read.
    pub fn new(root: &Path) -> Result<Self> {
        // As `Path.is_dir()` does: whatever stands in the way of looking means no.
        if !fs::metadata(root).is_ok_and(|found| found.is_dir()) {
            let message = format!("local_dir does not exist or is not a directory: {}", root.display());
            return Err(Error::new(Kind::NotADirectory, message));
        }
        Ok(Self { levels: vec![Level::read(root.to_owned(), Some(String::new()))?], again: None })
    }

    fn step(&mut self) -> Result<Option<Found>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(entry) = self.again.take().or_else(|| level.entries.next()) else {
                self.levels.pop();
                continue;
            };
            match level.look(&entry) {
                Ok(Look::Into(below)) => self.levels.push(below),
                Ok(Look::At(found)) => return Ok(Some(found)),
                Ok(Look::Past) => {}
                Err(error) => {
                    self.again = Some(entry).filter(|_| error.is_exhausted());
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}

impl Iterator for Walk {
    type Item = Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) && self.again.is_none() {
            self.levels.clear();
        }
        item
    }
}

impl Level {
    fn read(directory: PathBuf, prefix: Option<String>) -> Result<Self> {
        let failed = |error| Error::io(error, "reading a directory", &directory);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // From the directory itself (`d_type`); a stat only where the file system leaves it out.
            let file_type = entry.file_type().map_err(failed)?;
            entries.push(Entry { name: entry.file_name(), file_type });
        }
        sort(&mut entries);
        Ok(Self { directory, prefix, entries: entries.into_iter() })
    }

    fn look(&self, Entry { name, file_type }: &Entry) -> Result<Look> {
        let path = self.directory.join(name);
        let relative = self.prefix.as_deref().zip(name.to_str()).map(|(prefix, name)| format!("{prefix}{name}"));
        if file_type.is_dir() {
            return Ok(Look::Into(Self::read(path, relative.map(|relative| relative + "/"))?));
        }
        if !(file_type.is_file() || file_type.is_symlink() && leads_to_a_file(&path)?) {
            return Ok(Look::Past);
        }
        match relative {
            Some(relative) => Ok(Look::At(Found { relative, path })),
            None => Err(Error::new(
                Kind::InvalidName,
                format!("a name that is not UTF-8 can't become a key: {path:?}; rename it"),
            )
            .at_path(path)),
        }
    }
}

/// Python compares names by code point, which is the order of the bytes of UTF-8.
#[cfg(not(windows))]
fn sort(entries: &mut [Entry]) {
    entries.sort_unstable_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
}

/// A `WindowsPath` compares in lower case.
#[cfg(windows)]
fn sort(entries: &mut [Entry]) {
    entries.sort_by_cached_key(|entry| entry.name.to_string_lossy().to_lowercase());
}

fn leads_to_a_file(link: &Path) -> Result<bool> {
    match fs::metadata(link) {
        Ok(target) => Ok(target.is_file()),
        Err(error) if leads_nowhere(&error) => Ok(false),
        Err(error) => Err(Error::io(error, "following a link", link)),
    }
}

/// What `Path.is_file()` takes for a no: ENOENT, ENOTDIR, ELOOP. No right to look is an error: the file would be
/// silently missing.
fn leads_nowhere(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        Walk::new(root).unwrap().map(|found| found.unwrap().relative).collect()
    }

    fn write(root: &Path, relative: &str) {
        let path = root.join(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, relative).unwrap();
    }

    #[test]
    fn files_come_sorted_component_by_component() {
        let root = tempfile::tempdir().unwrap();
        // Python: sorted(PurePosixPath(p) for p in ...); "a/x" is ["a", "x"], and "a" < "a!b" < "a.txt".
        let order = [".hidden", "B", "a/x", "a/y/deep", "a/z", "a!b/x", "a.txt", "b", "é", "\u{ff5e}", "\u{1f600}"];
        for name in order.iter().rev() {
            write(root.path(), name);
        }
        assert_eq!(names(root.path()), order);
    }

    #[test]
    fn an_empty_folder_gives_nothing() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b/c")).unwrap();
        assert!(names(root.path()).is_empty());
    }

    #[test]
    fn a_root_that_is_no_directory_is_named() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "file");
        for name in ["file", "missing"] {
            let error = Walk::new(&root.path().join(name)).unwrap_err();
            assert_eq!(*error.kind(), Kind::NotADirectory);
            let path = root.path().join(name);
            assert_eq!(error.message(), format!("local_dir does not exist or is not a directory: {}", path.display()));
        }
    }

    #[test]
    fn a_directory_that_vanishes_while_walking_is_an_error_and_the_end() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b/c", "d"] {
            write(root.path(), name);
        }
        let mut walk = Walk::new(root.path()).unwrap();
        assert_eq!(walk.next().unwrap().unwrap().relative, "a");
        fs::remove_dir_all(root.path().join("b")).unwrap();
        assert!(matches!(walk.next().unwrap().unwrap_err().kind(), Kind::Io(io::ErrorKind::NotFound, _)));
        assert!(walk.next().is_none());
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;

        use super::*;

        #[test]
        fn links_to_files_are_followed_and_links_to_directories_not_entered() {
            let root = tempfile::tempdir().unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            write(elsewhere.path(), "target");
            write(root.path(), "folder/file");
            symlink(elsewhere.path().join("target"), root.path().join("link")).unwrap();
            symlink("folder", root.path().join("linked folder")).unwrap();
            symlink("missing", root.path().join("broken")).unwrap();
            symlink("file/below", root.path().join("folder/through a file")).unwrap();
            symlink("loop", root.path().join("loop")).unwrap();
            symlink("link", root.path().join("second link")).unwrap();
            assert_eq!(names(root.path()), ["folder/file", "link", "second link"]);
            let linked_root = elsewhere.path().join("root");
            symlink(root.path(), &linked_root).unwrap();
            assert_eq!(names(&linked_root), ["folder/file", "link", "second link"]);
        }

        #[test]
        #[cfg(target_os = "linux")]
        fn sockets_and_fifos_are_passed_over_without_being_opened() {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "file");
            let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
            let fifo = root.path().join("fifo");
            rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
            symlink("fifo", root.path().join("link to fifo")).unwrap();
            assert_eq!(names(root.path()), ["file"]);
        }

        #[test]
        fn a_name_that_is_not_utf8_is_an_error_that_names_the_file() {
            let root = tempfile::tempdir().unwrap();
            let bad = std::ffi::OsStr::from_bytes(b"bad\xff");
            let folder = root.path().join(bad);
            if fs::create_dir(&folder).is_err() {
                return; // APFS takes UTF-8 only.
            }
            assert!(names(root.path()).is_empty(), "a folder without files is passed over whatever its name");
            fs::write(folder.join("file"), "").unwrap();
            fs::write(root.path().join("z"), "").unwrap();
            let mut walk = Walk::new(root.path()).unwrap();
            let error = walk.next().unwrap().unwrap_err();
            assert_eq!(*error.kind(), Kind::InvalidName);
            assert!(error.message().contains("bad\\xFF/file"), "{error}");
            assert_eq!(error.context().path.as_deref(), Some(folder.join("file").as_path()));
            assert!(walk.next().is_none());
        }

        #[test]
        fn hundreds_of_levels_are_no_trouble() {
            let root = tempfile::tempdir().unwrap();
            let relative = "d/".repeat(900) + "file";
            write(root.path(), &relative);
            assert_eq!(names(root.path()), [relative]);
        }

        #[test]
        fn an_unreadable_directory_is_an_error() {
            use crate::disk::unprivileged::{give_away, unprivileged};
            use std::os::unix::fs::PermissionsExt;
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "closed/file");
            let closed = root.path().join("closed");
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
            give_away(root.path());
            give_away(&closed);
            let first = || unprivileged(|| Walk::new(root.path()).unwrap().next().unwrap());
            let error = first().unwrap_err();
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
            assert!(matches!(error.kind(), Kind::Io(io::ErrorKind::PermissionDenied, _)), "{error}");
            assert!(first().is_ok(), "the mode alone stood in the way");
        }
    }
}
