//! A local file that appears whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::arrivals::Arrival;
use super::checked_close;
use super::directories::make_directories;
use super::fault::{self, Step};
use super::folder::Folder;
use super::links::end_of_links;
use super::owner::Owner;
use super::position;
use super::standing::{Shape, Standing};
use super::temporary::{Temporary, UnnamedFiles, temporary_name};
use crate::error::{Error, Kind, Result};

/// TMPFS_MAGIC (statfs(2)).
#[cfg(target_os = "linux")]
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// A file that is being written. It gets its name with [`NewFile::commit`]; dropped before, nothing is left of it.
///
/// What stands at the path stays until then, and is replaced at once. A device or FIFO is written straight: nothing can
/// stand in for it.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    target: Target,
    writing: Writing,
    /// Whether it counts as written only when it is on the disk.
    durable: bool,
}

#[derive(Debug)]
enum Writing {
    /// Into a file that takes the target's place. `replaces` is what stood there at the beginning.
    Beside { temporary: Temporary, replaces: Option<Standing> },
    /// Into what stands there, in order; so much was written.
    Straight(AtomicU64),
    /// Committed.
    Done,
}

/// Where a file goes.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) folder: Arc<Folder>,
    pub(super) name: OsString,
    /// For messages.
    pub(super) path: PathBuf,
}

/// Begins a file at `path`, with no root to stay under: missing parents are made, links are followed (the last one stays
/// and its target is replaced). `durable`: its commit waits until content and names are on the disk.
///
/// # Errors
/// `Io`, IsADirectory for a directory.
pub fn new_file_at(path: &Path, durable: bool) -> Result<NewFile> {
    // Devices and FIFOs may hide behind links that only the kernel can follow, such as /dev/stdout.
    if let Ok(found) = fs::metadata(path)
        && !found.is_file()
        && !found.is_dir()
    {
        let opened = fs::OpenOptions::new().write(true).open(path);
        let file = opened.map_err(|error| Error::io(error, "opening for writing", path))?;
        let folder = Folder::open(Path::new(".")).map_err(|error| Error::io(error, "opening a directory", "."))?;
        let target = Target { folder: Arc::new(folder), name: OsString::new(), path: path.to_owned() };
        return NewFile::straight(file, target, durable);
    }
    let Some(name) = path.file_name() else {
        return Err(Error::io(is_a_directory(), "writing a file", path));
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = match Folder::open(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directories(parent, durable).map_err(|error| Error::io(error, "making a directory", parent))?;
            Folder::open(parent)
        }
        result => result,
    };
    let folder = folder.map_err(|error| Error::io(error, "opening a directory", parent))?;
    let target = Target { folder: Arc::new(folder), name: name.to_owned(), path: path.to_owned() };
    NewFile::begin(target, &UnnamedFiles::default(), durable, |_| Ok(()))
}

impl NewFile {
    /// Begins a file at `target`. When a link stands there, `may_leave_for` is asked about the folder it leads to.
    pub(super) fn begin(
        mut target: Target,
        unnamed: &UnnamedFiles,
        durable: bool,
        may_leave_for: impl FnOnce(&Folder) -> Result<()>,
    ) -> Result<Self> {
        let mut standing = target.look()?;
        if standing.is_some_and(|standing| standing.shape == Shape::Link) {
            let (folder, name) = end_of_links(&target.folder, &target.name)
                .map_err(|error| Error::io(error, "following a link", &target.path))?;
            may_leave_for(&folder)?;
            (target.folder, target.name) = (folder, name);
            standing = target.look()?;
        }
        match standing.map(|standing| standing.shape) {
            Some(Shape::Directory) => Err(Error::io(is_a_directory(), "writing a file", &target.path)),
            Some(Shape::Other) => {
                let opened = target.folder.open_standing(&target.name);
                let file = opened.map_err(|error| Error::io(error, "opening for writing", &target.path))?;
                Self::straight(file, target, durable)
            }
            Some(Shape::File | Shape::Link) | None => {
                let (file, temporary) = unnamed
                    .create(&target.folder, standing.is_some())
                    .map_err(|error| Error::io(error, "making a temporary file beside the target", &target.path))?;
                Ok(Self { file, target, writing: Writing::Beside { temporary, replaces: standing }, durable })
            }
        }
    }

    /// A file without a name, written already, whose name turned out to be taken. Not for a durable one.
    pub(super) fn written(file: File, target: Target, replaces: Standing) -> Self {
        let writing = Writing::Beside { temporary: Temporary::Unnamed, replaces: Some(replaces) };
        Self { file, target, writing, durable: false }
    }

    fn straight(file: File, target: Target, durable: bool) -> Result<Self> {
        // Between the look and the open a file may have come here, which must not be written in place.
        let metadata = file.metadata().map_err(|error| Error::io(error, "opening for writing", &target.path))?;
        if metadata.is_file() {
            let error = io::Error::other("a file took the place of a device or FIFO");
            return Err(Error::io(error, "opening for writing", &target.path));
        }
        Ok(Self { file, target, writing: Writing::Straight(AtomicU64::new(0)), durable })
    }

    /// Whether this is a device or FIFO, which takes bytes in order and from the beginning only.
    pub fn is_sequential(&self) -> bool {
        matches!(self.writing, Writing::Straight(_))
    }

    /// Whether bytes went to a device or FIFO, which can't be taken back.
    pub fn is_begun(&self) -> bool {
        matches!(&self.writing, Writing::Straight(position) if position.load(Ordering::Acquire) > 0)
    }

    /// Where the file will be.
    pub fn path(&self) -> &Path {
        &self.target.path
    }

    /// The open file, for writing past this type. Not for a sequential one.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Takes room for `size` bytes, so that a full disk shows now and not after hours. Does nothing where the file system
    /// can't, nor in memory (tmpfs): there it takes as long as writing does, and a quick write shows soon enough.
    ///
    /// # Errors
    /// `Io`: no room (ENOSPC, EDQUOT), too large for the file system (EFBIG).
    pub fn preallocate(&self, size: u64) -> Result<()> {
        if size == 0 || self.is_sequential() {
            return Ok(());
        }
        // The raw call: glibc's posix_fallocate writes to every block where the file system can't do it.
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{FallocateFlags, fallocate, fstatfs};
            use rustix::io::{Errno, retry_on_intr};

            if fstatfs(&self.file).is_ok_and(|system| system.f_type == TMPFS) {
                return Ok(());
            }
            fault::at(Step::Reserve).map_err(|error| self.failed(error, "reserving room for a file"))?;
            match retry_on_intr(|| fallocate(&self.file, FallocateFlags::empty(), 0, size)) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {}
                Err(error) => return Err(self.failed(error.into(), "reserving room for a file")),
            }
        }
        Ok(())
    }

    /// Sets the length.
    ///
    /// # Errors
    /// `Io`.
    pub fn set_len(&self, size: u64) -> Result<()> {
        if self.is_sequential() {
            return Ok(());
        }
        self.file.set_len(size).map_err(|error| self.failed(error, "setting the length of a file"))
    }

    /// Writes all of `bytes` at `offset`. Ranges may come in any order and from several threads, except for a sequential
    /// file.
    ///
    /// # Errors
    /// `Io`; `Internal` when a sequential file is written out of order.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let Writing::Straight(position) = &self.writing else {
            let written = position::write_all_at(&self.file, bytes, offset);
            return written.map_err(|error| self.failed(error, "writing a file"));
        };
        if position.load(Ordering::Acquire) != offset {
            let message = "a device or FIFO must be written in order";
            return Err(Error::new(Kind::Internal, message).at_path(self.path()));
        }
        if let Err(error) = (&self.file).write_all(bytes) {
            // Without its source: a lack of memory is nothing to wait for, since nobody knows how much was written.
            let text = format!("writing to a device or FIFO: {error}");
            return Err(Error::new(Kind::Io(error.kind(), error.raw_os_error()), text).at_path(self.path()));
        }
        position.store(offset + bytes.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Gives the file its name: from here on it is there, whole. What it replaces hands on its permission bits and,
    /// where allowed, its owner; a new one has `0666 & ~umask`. A durable one waits until content and name are on the
    /// disk. A wait that failed is not repeated: what the kernel could not write it may have thrown away, and the next
    /// fsync would know nothing of it (fsync(2), "EIO").
    ///
    /// # Errors
    /// `Io`: what stood there stays as it was, and nothing of the new file is left. When only the last step of a durable
    /// one fails, the wait for the name, the file has its name already.
    pub fn commit(self) -> Result<()> {
        self.commit_as(None)
    }

    /// The same for one of the files of a transfer.
    ///
    /// # Errors
    /// `KeyCollision` too: another one of them has the place.
    pub(super) fn commit_as(mut self, arrival: Option<Arrival<'_>>) -> Result<()> {
        match std::mem::replace(&mut self.writing, Writing::Done) {
            Writing::Done => Ok(()),
            Writing::Straight(_) => self.finish_straight(),
            Writing::Beside { temporary, replaces } => {
                // Back, so that whatever fails below is cleaned away by the drop.
                self.writing = Writing::Beside { temporary, replaces };
                self.settle(replaces)?;
                self.take_place(replaces, arrival)?;
                self.writing = Writing::Done;
                if self.durable {
                    self.target.folder.sync().map_err(|error| self.failed(error, "waiting for the disk"))?;
                }
                Ok(())
            }
        }
    }

    fn finish_straight(&self) -> Result<()> {
        if self.durable {
            checked_close::sync_if_any(&self.file).map_err(|error| self.failed(error, "waiting for the disk"))?;
        }
        checked_close::flush(&self.file).map_err(|error| self.failed(error, "closing a device or FIFO"))
    }

    /// Content and attributes, before the file has its name.
    fn settle(&self, replaces: Option<Standing>) -> Result<()> {
        if replaces.is_some() {
            // Anew: hours may have gone by. If it was removed since, its bits are still what its owner wanted here.
            let standing = self.target.look()?.or(replaces);
            self.hand_on(standing)?;
        }
        if self.durable {
            checked_close::sync(&self.file).map_err(|error| self.failed(error, "waiting for the disk"))?;
        }
        checked_close::flush(&self.file).map_err(|error| self.failed(error, "closing a file"))
    }

    fn hand_on(&self, standing: Option<Standing>) -> Result<()> {
        match standing {
            Some(standing) if standing.shape == Shape::Directory => {
                Err(self.failed(is_a_directory(), "writing a file"))
            }
            Some(standing) if standing.shape == Shape::File => standing
                .hand_on(&self.file)
                .map_err(|error| self.failed(error, "keeping the permissions of a replaced file")),
            _ => Ok(()),
        }
    }

    fn take_place(&mut self, replaces: Option<Standing>, arrival: Option<Arrival<'_>>) -> Result<()> {
        let Target { folder, name, .. } = &self.target;
        let is_unnamed = matches!(self.writing, Writing::Beside { temporary: Temporary::Unnamed, .. });
        let announced = arrival.map_or(Ok(()), |arrival| arrival.announce(&self.file));
        announced.map_err(|error| self.failed(error, "looking at a new file"))?;
        let was_free = is_unnamed && replaces.is_none();
        if was_free {
            match folder.link(&self.file, name) {
                // Something was put here meanwhile.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result.map_err(|error| self.failed(error, "naming a new file")),
            }
        }
        // From the look to the rename no other file of the transfer may come here.
        let turn = arrival.map(|arrival| arrival.turn(folder)).transpose();
        let _turn = turn.map_err(|error| self.failed(error, "looking at a directory"))?;
        if was_free || arrival.is_some() {
            let standing = self.target.look()?;
            if let (Some(arrival), Some(standing)) = (arrival, &standing) {
                arrival.admit(&self.file, folder, name, standing)?;
            }
            if was_free {
                self.hand_on(standing)?;
            }
        }
        if is_unnamed {
            // A link can't replace; a rename can, but takes a name to start from.
            let linked = temporary_name().and_then(|name| folder.link(&self.file, OsStr::new(&name)).map(|()| name));
            let temporary = Temporary::Named(linked.map_err(|error| self.failed(error, "naming a temporary file"))?);
            self.writing = Writing::Beside { temporary, replaces };
        }
        let Writing::Beside { temporary: Temporary::Named(temporary), .. } = &self.writing else {
            return Ok(());
        };
        let renamed = self.target.folder.rename(OsStr::new(temporary), &self.target.name);
        renamed.map_err(|error| self.failed(error, "moving a finished file to its place"))
    }

    fn failed(&self, error: io::Error, doing: &str) -> Error {
        Error::io(error, doing, self.path())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Writing::Beside { temporary: Temporary::Named(name), .. } = &self.writing
            // A forked child has it too, and it is its parent's.
            && Owner::of_name(OsStr::new(name)).is_some_and(Owner::is_this_process)
        {
            // Nobody is left to tell.
            let _ = self.target.folder.remove(OsStr::new(name));
        }
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for NewFile {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Target {
    fn look(&self) -> Result<Option<Standing>> {
        self.folder.look(&self.name).map_err(|error| Error::io(error, "looking at the target", &self.path))
    }
}

/// Writes all chunks, one after the other, in as few calls as the system allows.
pub(super) fn write_chunks<C: AsRef<[u8]>>(file: &mut File, chunks: &[C]) -> io::Result<()> {
    fault::at(Step::Write)?;
    if let [chunk] = chunks {
        return file.write_all(chunk.as_ref());
    }
    let mut slices: Vec<_> = chunks.iter().map(|chunk| IoSlice::new(chunk.as_ref())).collect();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0); // empty chunks at the front would look like a write of nothing
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// With the system's number where it has one, so that Python makes it an `IsADirectoryError`.
fn is_a_directory() -> io::Error {
    #[cfg(unix)]
    return rustix::io::Errno::ISDIR.into();
    #[cfg(not(unix))]
    io::ErrorKind::IsADirectory.into()
}

#[cfg(test)]
#[path = "new_file_tests.rs"]
mod tests;
