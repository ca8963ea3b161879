//! A directory that nothing is written outside of.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arrivals::{Arrival, Arrivals};
use super::checked_close;
use super::directories::make_directories;
use super::folder::Folder;
use super::links::end_of_links;
use super::new_file::{NewFile, Target, write_chunks};
use super::standing::{Identity, Shape};
use super::temporary::UnnamedFiles;
use crate::error::{Error, Kind, Result};

/// Folders remembered with an open handle each. Listings are sorted, so that neighbours share a folder; the rest is for
/// as many files in flight. More would be taken from the sockets' descriptors (RLIMIT_NOFILE is 1,024 by default).
const FOLDERS_REMEMBERED: usize = 64;

/// A local directory under which files are written, whatever their keys and whatever links are planted meanwhile.
///
/// A folder that was opened below the root is remembered. If it is renamed away, files go on being written in it
/// wherever it is then, as with every handle: who can do that may write there anyway. If it is removed, it is made anew.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    folder: Arc<Folder>,
    /// Path below the root and folder, the last used at the end.
    remembered: Mutex<Vec<(Box<str>, Arc<Folder>)>>,
    unnamed: UnnamedFiles,
    arrivals: Arrivals,
    was_empty: bool,
    durable: bool,
}

impl Root {
    /// Makes `directory` with its parents, unless it is there (it may be a link), and opens it. `durable`: what is
    /// written below counts as written only when it is on the disk, with its name and the folders made for it.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(directory: &Path, durable: bool) -> Result<Self> {
        let open = || {
            make_directories(directory, durable)?;
            let folder = Folder::open(directory)?;
            // Not by the standard library's `ReadDir`, which panics when the disk fails at its close.
            let was_empty = folder.is_empty().unwrap_or(false);
            Ok((folder, was_empty))
        };
        let (folder, was_empty) = open().map_err(|error| Error::io(error, "making the directory", directory))?;
        Ok(Self {
            path: directory.to_owned(),
            folder: Arc::new(folder),
            remembered: Mutex::default(),
            unnamed: UnnamedFiles::default(),
            arrivals: Arrivals::new(String::new()),
            was_empty,
            durable,
        })
    }

    /// For one transfer of keys that begin with `listing` and go on with the names of files.
    #[must_use]
    pub fn for_keys(self, listing: String) -> Self {
        Self { arrivals: Arrivals::new(listing), ..self }
    }

    pub(super) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// The directory, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a path that a link leads outside, before anything is made or written. What is planted later is found when
    /// the file is written.
    ///
    /// # Errors
    /// `SuspiciousKey`. Anything else that is wrong is left to the writing of this one file.
    pub fn check(&self, relative: &str) -> Result<()> {
        let folded = fold(relative).ok_or_else(|| suspicious(relative))?;
        let (directory, name) = split(&folded);
        let Some(folder) = self.existing(directory, relative)? else { return Ok(()) };
        let is_link = folder.look(OsStr::new(name)).ok().flatten().is_some_and(|found| found.shape == Shape::Link);
        match is_link.then(|| end_of_links(&folder, OsStr::new(name))) {
            Some(Ok((at, _))) => self.admit(&at, &self.path.join(&*folded), relative),
            Some(Err(_)) | None => Ok(()),
        }
    }

    /// The folder `directory` (folded) if it is there.
    fn existing(&self, directory: &str, relative: &str) -> Result<Option<Arc<Folder>>> {
        if let Some(known) = self.recall(directory) {
            return Ok(Some(known));
        }
        let mut folder = Arc::clone(&self.folder);
        let mut start = 0;
        while start < directory.len() {
            let end = directory[start..].find('/').map_or(directory.len(), |length| start + length);
            let (name, so_far) = (OsStr::new(&directory[start..end]), &directory[..end]);
            folder = match (self.recall(so_far), folder.enter(name)) {
                (Some(known), _) => known,
                (None, Ok(entered)) => Arc::new(entered),
                (None, Err(_)) => {
                    let is_link = folder.look(name).ok().flatten().is_some_and(|found| found.shape == Shape::Link);
                    let Some(Ok((at, name))) = is_link.then(|| end_of_links(&folder, name)) else { return Ok(None) };
                    let path = self.path.join(so_far);
                    // What counts is where the link ends: a link to the root itself ends inside, its parent is outside.
                    let Ok(entered) = at.enter(&name) else {
                        self.admit(&at, &path, relative)?;
                        return Ok(None);
                    };
                    self.admit(&entered, &path, relative)?;
                    Arc::new(entered)
                }
            };
            self.remember(so_far, &folder);
            start = end + 1;
        }
        Ok(Some(folder))
    }

    /// What stands at a path, links followed; `None` also where that can't be found out.
    pub(super) fn identity_at(&self, relative: &str) -> Option<Identity> {
        let folded = fold(relative)?;
        let (directory, name) = split(&folded);
        let folder = self.existing(directory, relative).ok()??;
        let (folder, name) = end_of_links(&folder, OsStr::new(name)).ok()?;
        folder.look(&name).ok()??.identity
    }

    /// Whether there was nothing in the directory when it was opened: then no link can lead outside, and
    /// [`Root::check`] is not needed.
    pub fn was_empty(&self) -> bool {
        self.was_empty
    }

    /// Begins the file at `relative`, joined with `/`; empty and `.` components fold. Missing folders are made. Links
    /// that end inside the root are followed, and the last one stays a link.
    ///
    /// # Errors
    /// `SuspiciousKey` when it would be outside the root; `Io`: NotADirectory when a file stands where a folder is
    /// needed, IsADirectory when a folder stands where the file should be.
    pub fn new_file(&self, relative: &str) -> Result<NewFile> {
        let folded = fold(relative).ok_or_else(|| suspicious(relative))?;
        let (directory, name) = split(&folded);
        let (mut folder, remembered) = self.folder(directory, relative)?;
        if remembered && folder.is_gone() {
            self.lock().clear();
            folder = self.folder(directory, relative)?.0;
        }
        self.begin(folder, name, &folded, relative)
    }

    /// Gives a file of [`Root::new_file`] its name, unless that would replace what came by this root under another one.
    ///
    /// # Errors
    /// `KeyCollision`, and as [`NewFile::commit`].
    pub fn commit(&self, file: NewFile, name: &Arc<str>) -> Result<()> {
        file.commit_as(Some(Arrival { root: self, name }))
    }

    /// Writes the whole file `name`, a path as in [`Root::new_file`], from `chunks`, with the fewest system calls: when the
    /// name is free, five and the flush.
    ///
    /// # Errors
    /// As [`Root::new_file`] and [`Root::commit`].
    pub fn write_file<C: AsRef<[u8]>>(&self, name: &Arc<str>, chunks: &[C]) -> Result<()> {
        // One that waits for the disk has no use for the shorter way.
        if !self.durable && self.unnamed.are_known_to_work() && self.write_unnamed(name, chunks)? {
            return Ok(());
        }
        let new = self.new_file(name)?;
        let mut offset = 0;
        for chunk in chunks {
            new.write_all_at(chunk.as_ref(), offset)?;
            offset += chunk.as_ref().len() as u64;
        }
        self.commit(new, name)
    }

    /// Whether it was done; if not, nothing was.
    fn write_unnamed<C: AsRef<[u8]>>(&self, relative: &Arc<str>, chunks: &[C]) -> Result<bool> {
        let folded = fold(relative).ok_or_else(|| suspicious(relative))?;
        let (directory, name) = split(&folded);
        let (folder, remembered) = self.folder(directory, relative)?;
        let failed = |error, doing| Error::io(error, doing, self.path.join(&*folded));
        // What can't be done here gets its chance, or its error, in the long way.
        let Ok(mut file) = folder.create_unnamed() else { return Ok(false) };
        write_chunks(&mut file, chunks).map_err(|error| failed(error, "writing a file"))?;
        checked_close::flush(&file).map_err(|error| failed(error, "closing a file"))?;
        let arrival = Arrival { root: self, name: relative };
        arrival.announce(&file).map_err(|error| failed(error, "looking at a new file"))?;
        match folder.link(&file, OsStr::new(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let standing = folder.look(OsStr::new(name)).map_err(|error| failed(error, "looking at the target"))?;
                let Some(standing) = standing.filter(|standing| standing.shape == Shape::File) else {
                    return Ok(false);
                };
                let target = Target { folder, name: name.into(), path: self.path.join(&*folded) };
                NewFile::written(file, target, standing).commit_as(Some(arrival))?;
                Ok(true)
            }
            // A remembered folder was removed.
            Err(error) if remembered && error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(error, "naming a new file")),
        }
    }

    fn begin(&self, folder: Arc<Folder>, name: &str, folded: &str, relative: &str) -> Result<NewFile> {
        let target = Target { folder, name: name.into(), path: self.path.join(folded) };
        let path = target.path.clone();
        NewFile::begin(target, &self.unnamed, self.durable, |folder| self.admit(folder, &path, relative))
    }

    /// The folder `directory` (folded), made where it is missing, and whether it or a parent was remembered.
    fn folder(&self, directory: &str, relative: &str) -> Result<(Arc<Folder>, bool)> {
        if let Some(folder) = self.recall(directory) {
            return Ok((folder, true));
        }
        match self.walk_to(directory, relative, true) {
            // A remembered parent was removed: from the root, then.
            Err(error) if matches!(error.kind(), Kind::Io(io::ErrorKind::NotFound, _)) => {
                self.lock().clear();
                Ok((self.walk_to(directory, relative, false)?, false))
            }
            result => Ok((result?, false)),
        }
    }

    fn walk_to(&self, directory: &str, relative: &str, from_memory: bool) -> Result<Arc<Folder>> {
        let mut folder = Arc::clone(&self.folder);
        let mut start = 0;
        if from_memory {
            let parents = directory.rmatch_indices('/').map(|(end, _)| end);
            if let Some((end, known)) = parents.filter_map(|end| Some((end, self.recall(&directory[..end])?))).next() {
                (folder, start) = (known, end + 1);
            }
        }
        while start < directory.len() {
            let end = directory[start..].find('/').map_or(directory.len(), |length| start + length);
            folder = Arc::new(self.step(&folder, &directory[start..end], &directory[..end], relative)?);
            self.remember(&directory[..end], &folder);
            start = end + 1;
        }
        Ok(folder)
    }

    /// The folder `name` in `folder`, made if it is missing. A link is followed if it ends inside the root.
    fn step(&self, folder: &Arc<Folder>, name: &str, so_far: &str, relative: &str) -> Result<Folder> {
        let path = || self.path.join(so_far);
        let name = OsStr::new(name);
        let error = match enter_or_make(folder, name, self.durable, || Ok(())) {
            Ok(entered) => return Ok(entered),
            Err(error) => error,
        };
        // Whatever kept us out, see whether it was a link.
        let standing = folder.look(name).ok().flatten();
        match standing.map(|standing| standing.shape) {
            Some(Shape::Link) => {}
            Some(Shape::File | Shape::Other) => {
                let doing = format!("making the folder of {relative:?}: {so_far:?} is a file");
                return Err(Error::io(not_a_directory(), &doing, path()));
            }
            Some(Shape::Directory) | None => return Err(error.into_error("opening a directory", path())),
        }
        let (at, name) = end_of_links(folder, name).map_err(|error| Error::io(error, "following a link", path()))?;
        let entered = match enter_or_make(&at, &name, self.durable, || self.admit(&at, &path(), relative)) {
            Ok(entered) => entered,
            Err(error) => return Err(error.into_error("opening the directory that a link leads to", path())),
        };
        self.admit(&entered, &path(), relative)?;
        Ok(entered)
    }

    fn admit(&self, folder: &Folder, path: &Path, relative: &str) -> Result<()> {
        match folder.is_within(&self.folder) {
            Ok(true) => Ok(()),
            Ok(false) => Err(suspicious(relative).at_path(path)),
            Err(error) => Err(Error::io(error, "finding out where a link leads", path)),
        }
    }

    fn recall(&self, directory: &str) -> Option<Arc<Folder>> {
        if directory.is_empty() {
            return Some(Arc::clone(&self.folder));
        }
        let mut remembered = self.lock();
        let index = remembered.iter().rposition(|(known, _)| **known == *directory)?;
        let found = Arc::clone(&remembered[index].1);
        remembered[index..].rotate_left(1);
        Some(found)
    }

    fn remember(&self, directory: &str, folder: &Arc<Folder>) {
        let mut remembered = self.lock();
        if remembered.len() >= FOLDERS_REMEMBERED {
            remembered.remove(0);
        }
        remembered.push((directory.into(), Arc::clone(folder)));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Box<str>, Arc<Folder>)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Root {
    /// As on a file system that has no unnamed files.
    pub(super) fn without_unnamed_files(&mut self) {
        self.unnamed = UnnamedFiles::refused();
    }
}

/// Why a folder could not be entered.
enum NotEntered {
    Io(io::Error),
    Refused(Error),
}

impl NotEntered {
    fn into_error(self, doing: &str, path: PathBuf) -> Error {
        match self {
            Self::Io(error) => Error::io(error, doing, path),
            Self::Refused(error) => error,
        }
    }
}

fn enter_or_make(
    folder: &Folder,
    name: &OsStr,
    durable: bool,
    may_make: impl FnOnce() -> Result<()>,
) -> Result<Folder, NotEntered> {
    match folder.enter(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result.map_err(NotEntered::Io),
    }
    may_make().map_err(NotEntered::Refused)?;
    match folder.make(name) {
        // Another thread was faster.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(NotEntered::Io(error)),
        _ if durable => folder.sync().map_err(NotEntered::Io)?,
        _ => {}
    }
    folder.enter(name).map_err(NotEntered::Io)
}

/// Drops empty and `.` components. `None` for what `keys` should have refused: the last line of defence.
fn fold(relative: &str) -> Option<Cow<'_, str>> {
    if relative.starts_with('/') || relative.split('/').any(|component| component == "..") {
        return None;
    }
    let is_plain = |component: &str| !component.is_empty() && component != ".";
    if relative.split('/').all(is_plain) {
        return Some(Cow::Borrowed(relative));
    }
    let folded: Vec<_> = relative.split('/').filter(|component| is_plain(component)).collect();
    if folded.is_empty() { None } else { Some(Cow::Owned(folded.join("/"))) }
}

/// Directory and name.
fn split(folded: &str) -> (&str, &str) {
    folded.rsplit_once('/').unwrap_or(("", folded))
}

fn suspicious(relative: &str) -> Error {
    let message = format!("Refusing to write outside local_dir; suspicious S3 key: {relative}");
    Error::new(Kind::SuspiciousKey, message)
}

fn not_a_directory() -> io::Error {
    #[cfg(unix)]
    return rustix::io::Errno::NOTDIR.into();
    #[cfg(not(unix))]
    io::ErrorKind::NotADirectory.into()
}

#[cfg(test)]
#[path = "root_tests.rs"]
mod tests;
