//! A directory known by its canonical path, with nothing but what the standard library has everywhere.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::disk::fault::{self, Step};
use crate::disk::standing::{Identity, Shape, Standing, identity_of};

/// A directory, by its canonical path.
#[derive(Debug)]
pub(in crate::disk) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens a directory by path, links followed.
    pub(in crate::disk) fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path })?;
        if fs::metadata(&path)?.is_dir() { Ok(Self { path }) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// Opens a directory in this one; `NotADirectory` for a link.
    pub(in crate::disk) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        if name == "." {
            return Ok(Self { path: self.path.clone() });
        }
        let path = self.path.join(name);
        if fs::symlink_metadata(&path)?.is_dir() { Ok(Self { path }) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// Opens what a link in this directory says, links followed.
    pub(in crate::disk) fn follow(&self, text: &Path) -> io::Result<Self> {
        Self::open(&self.path.join(text))
    }

    /// Makes a directory in this one.
    pub(in crate::disk) fn make(&self, name: &OsStr) -> io::Result<()> {
        fault::at(Step::Make)?;
        fs::create_dir(self.path.join(name))
    }

    /// Whether this directory is `root` or below it. Both paths are canonical.
    pub(in crate::disk) fn is_within(&self, root: &Self) -> io::Result<bool> {
        Ok(self.path.starts_with(&root.path))
    }

    /// Whether the directory was removed since it was opened, or is a link by now.
    pub(in crate::disk) fn is_gone(&self) -> bool {
        !fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_dir())
    }

    /// What tells its file system from others: not known, and not asked without unnamed files.
    pub(in crate::disk) fn device(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What tells it from other directories, whichever way led to it.
    pub(in crate::disk) fn identity(&self) -> io::Result<Identity> {
        let by_path = || (0, BuildHasherDefault::<DefaultHasher>::default().hash_one(&self.path));
        Ok(identity_of(&fs::metadata(&self.path)?).unwrap_or_else(by_path))
    }

    /// What stands at a name, not followed.
    pub(in crate::disk) fn look(&self, name: &OsStr) -> io::Result<Option<Standing>> {
        match fs::symlink_metadata(self.path.join(name)) {
            Ok(metadata) => Ok(Some(Standing::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When what stands at a name was last written to; not followed.
    pub(in crate::disk) fn modified(&self, name: &OsStr) -> io::Result<SystemTime> {
        fs::symlink_metadata(self.path.join(name))?.modified()
    }

    /// Whether nothing is in this directory.
    pub(in crate::disk) fn is_empty(&self) -> io::Result<bool> {
        Ok(fs::read_dir(&self.path)?.next().is_none())
    }

    /// What is in this directory, by name, links not followed.
    pub(in crate::disk) fn entries(&self) -> io::Result<Vec<(OsString, Shape)>> {
        let entry = |entry: fs::DirEntry| Ok((entry.file_name(), Shape::of(entry.file_type()?)));
        fs::read_dir(&self.path)?.map(|found| found.and_then(entry)).collect()
    }

    /// The text of a link.
    pub(in crate::disk) fn read_link(&self, name: &OsStr) -> io::Result<PathBuf> {
        fs::read_link(self.path.join(name))
    }

    /// Makes a file; an error when the name is taken, were it by a link. `private` keeps others out.
    pub(in crate::disk) fn create(&self, name: &OsStr, private: bool) -> io::Result<File> {
        fault::at(Step::Create)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o666 });
        #[cfg(not(unix))]
        let _ = private;
        options.open(self.path.join(name))
    }

    /// Files without a name are Linux's own.
    pub(in crate::disk) fn create_unnamed(&self) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Files without a name are Linux's own.
    pub(in crate::disk) fn link(&self, _file: &File, _name: &OsStr) -> io::Result<()> {
        fault::at(Step::Link)?;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Renames within this directory, over what stands there.
    pub(in crate::disk) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        fault::at(Step::Rename)?;
        fs::rename(self.path.join(from), self.path.join(to))
    }

    /// Removes a file.
    pub(in crate::disk) fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Opens what stands at a name for writing, without cutting it. A FIFO waits for its reader.
    pub(in crate::disk) fn open_standing(&self, name: &OsStr) -> io::Result<File> {
        if self.look(name)?.is_some_and(|standing| standing.shape == Shape::Link) {
            return Err(io::Error::other("a link was put here meanwhile"));
        }
        OpenOptions::new().write(true).open(self.path.join(name))
    }

    /// Opens a file for reading.
    pub(in crate::disk) fn open_file(&self, name: &OsStr) -> io::Result<File> {
        File::open(self.path.join(name))
    }

    /// Waits until the names in this directory are on the disk. Windows has no such call.
    pub(in crate::disk) fn sync(&self) -> io::Result<()> {
        fault::at(Step::SyncFolder)?;
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}
