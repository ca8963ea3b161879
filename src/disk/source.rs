//! A file opened for sending.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::position::read_at;
use crate::error::{Error, Kind, Result};

/// What tells one state of a file from another. Two equal stamps around a read mean that what was read is no mix, as
/// far as the file system's clock can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub modified: i128,
    /// Last change of content or inode, nanoseconds since 1970. Unlike `modified` no program can set it.
    pub changed: i128,
    /// Inode number.
    pub inode: u64,
    /// Device number.
    pub device: u64,
}

/// A regular file opened for sending.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
    stamp: Stamp,
}

impl Source {
    /// Opens `path`, following links. A FIFO or device neither blocks nor is read.
    ///
    /// # Errors
    /// `NotAFile` when there is no regular file; `Io` for everything else.
    pub fn open(path: &Path) -> Result<Self> {
        let file = match open(path) {
            Ok(file) => file,
            Err(error) if !may_be_a_file(path) => return Err(not_a_file(path).caused_by(error)),
            Err(error) => return Err(Error::io(error, "opening a file", path)),
        };
        let metadata = file.metadata().map_err(|error| Error::io(error, "looking at a file", path))?;
        if !metadata.is_file() {
            return Err(not_a_file(path));
        }
        Ok(Self { file, path: path.to_owned(), stamp: Stamp::of(&metadata) })
    }

    /// Bytes, when it was opened.
    pub fn size(&self) -> u64 {
        self.stamp.size
    }

    /// The state of the file when it was opened.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The state of the file now.
    ///
    /// # Errors
    /// `Io`.
    pub fn stamp_now(&self) -> Result<Stamp> {
        let metadata = self.file.metadata().map_err(|error| Error::io(error, "looking at a file", &self.path))?;
        Ok(Stamp::of(&metadata))
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// `SourceChanged` when the file ends before; `Io`.
    pub fn read_exact_at(&self, into: &mut [u8], offset: u64) -> Result<()> {
        let read = read_at(&self.file, into, offset).map_err(|error| self.unreadable(error))?;
        if read == into.len() { Ok(()) } else { Err(self.changed()) }
    }

    /// Replaces `into` by the whole file. Whether it was rewritten in place meanwhile is for [`Source::stamp_now`] to
    /// tell.
    ///
    /// # Errors
    /// `SourceChanged` when the file is shorter or longer than its size at opening (also files like those of `/proc`,
    /// which lie about it); `Io`.
    pub fn read_whole(&self, into: &mut Vec<u8>) -> Result<()> {
        let size = usize::try_from(self.stamp.size).map_err(|error| {
            Error::new(Kind::Unsupported, "a file larger than the address space").caused_by(error).at_path(&self.path)
        })?;
        self.fill(into, 0, size)?;
        // Where there was room for more and nothing more came, the end was seen; of nothing nothing was read.
        let seen_end = size > 0 && into.capacity() > size;
        let longer = || read_at(&self.file, &mut [0], self.stamp.size).map_err(|error| self.unreadable(error));
        if into.len() != size || (!seen_end && longer()? != 0) { Err(self.changed()) } else { Ok(()) }
    }

    /// Replaces `into` by `length` bytes from `offset` on.
    ///
    /// # Errors
    /// `SourceChanged` when the file ends before; `Io`.
    pub fn read_stretch(&self, into: &mut Vec<u8>, offset: u64, length: usize) -> Result<()> {
        self.fill(into, offset, length)?;
        if into.len() < length {
            return Err(self.changed());
        }
        into.truncate(length);
        Ok(())
    }

    /// Reads `length` bytes, or up to the end of the file, or more where the vector had more capacity. Into spare
    /// capacity: zeroing a buffer that is overwritten at once costs as much as the copy does.
    #[cfg(unix)]
    fn fill(&self, into: &mut Vec<u8>, offset: u64, length: usize) -> Result<()> {
        use rustix::buffer::spare_capacity;
        use rustix::io::{pread, retry_on_intr};

        into.clear();
        into.reserve_exact(length);
        while into.len() < length {
            let at = offset + into.len() as u64;
            match retry_on_intr(|| pread(&self.file, spare_capacity(into), at)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(self.unreadable(error.into())),
            }
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn fill(&self, into: &mut Vec<u8>, offset: u64, length: usize) -> Result<()> {
        into.resize(length, 0);
        let read = read_at(&self.file, into, offset).map_err(|error| self.unreadable(error))?;
        into.truncate(read);
        Ok(())
    }

    fn unreadable(&self, error: io::Error) -> Error {
        Error::io(error, "reading a file", &self.path)
    }

    fn changed(&self) -> Error {
        Error::new(Kind::SourceChanged, "the file changed while it was read").at_path(&self.path)
    }
}

impl Stamp {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        let nanoseconds = |seconds: i64, fraction: i64| i128::from(seconds) * 1_000_000_000 + i128::from(fraction);
        Self {
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// Windows gives no change time and no file index without an extra call; size and write time it has.
    #[cfg(windows)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::windows::fs::MetadataExt;

        let written = i128::from(metadata.last_write_time()) * 100;
        Self { size: metadata.file_size(), modified: written, changed: written, inode: 0, device: 0 }
    }
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    // Without O_NONBLOCK, opening a FIFO waits for a writer. O_CLOEXEC is std's default.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    match OpenOptions::new().read(true).custom_flags(nonblocking).open(path) {
        // Another program holds a lease on the file (fcntl(2), F_SETLEASE): a plain open waits until it is given back.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && fs::metadata(path)?.is_file() => File::open(path),
        result => result,
    }
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

/// Asked after a failed open, which fails in a dozen ways for a socket, a directory or nothing at all.
fn may_be_a_file(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(metadata) => metadata.is_file(),
        #[cfg(unix)]
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => false,
        // InvalidInput without a number: the path holds a NUL.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none() => false,
        Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    }
}

fn not_a_file(path: &Path) -> Error {
    Error::new(Kind::NotAFile, format!("Local file not found: {}", path.display())).at_path(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn the_whole_file_is_read() {
        for size in [0, 1, 4096, 300_000] {
            let content: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let (_folder, path) = file(&content);
            let source = Source::open(&path).unwrap();
            assert_eq!((source.size(), source.path()), (size as u64, path.as_path()));
            let mut read = b"before".to_vec();
            for _ in 0..2 {
                source.read_whole(&mut read).unwrap();
                assert_eq!(read, content);
            }
            assert_eq!(source.stamp_now().unwrap(), *source.stamp());
        }
    }

    #[test]
    fn a_range_is_read_where_it_lies() {
        let (_folder, path) = file(b"0123456789");
        let mut part = [0; 4];
        Source::open(&path).unwrap().read_exact_at(&mut part, 3).unwrap();
        assert_eq!(&part, b"3456");
    }

    #[test]
    fn a_file_that_grew_or_shrank_is_noticed() {
        let (_folder, path) = file(b"0123456789");
        let source = Source::open(&path).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x").unwrap();
        for mut into in [Vec::new(), Vec::with_capacity(100)] {
            assert_eq!(*source.read_whole(&mut into).unwrap_err().kind(), Kind::SourceChanged);
        }
        assert_ne!(source.stamp_now().unwrap(), *source.stamp());
        OpenOptions::new().write(true).open(&path).unwrap().set_len(5).unwrap();
        assert_eq!(*source.read_whole(&mut Vec::new()).unwrap_err().kind(), Kind::SourceChanged);
        assert_eq!(*source.read_exact_at(&mut [0; 6], 0).unwrap_err().kind(), Kind::SourceChanged);
        source.read_exact_at(&mut [0; 5], 0).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_not_found() {
        let (folder, path) = file(b"");
        for wrong in [folder.path().to_owned(), folder.path().join("missing"), path.join("below"), "a\0b".into()] {
            let error = Source::open(&wrong).unwrap_err();
            assert_eq!(*error.kind(), Kind::NotAFile);
            assert_eq!(error.message(), format!("Local file not found: {}", wrong.display()));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn fifos_sockets_and_devices_are_no_files_and_do_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [&fifo, &socket, Path::new("/dev/null")] {
            assert_eq!(*Source::open(path).unwrap_err().kind(), Kind::NotAFile);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_lies_about_its_size_is_refused() {
        let source = Source::open(Path::new("/proc/version")).unwrap();
        assert_eq!(source.size(), 0);
        for mut into in [Vec::new(), Vec::with_capacity(1), Vec::with_capacity(4096)] {
            assert_eq!(*source.read_whole(&mut into).unwrap_err().kind(), Kind::SourceChanged);
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_a_closed_file_is_an_io_error() {
        use crate::disk::unprivileged::{give_away, unprivileged};
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (folder, path) = file(b"x");
        let link = folder.path().join("link");
        symlink("file", &link).unwrap();
        assert_eq!(Source::open(&link).unwrap().size(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        give_away(folder.path());
        give_away(&path);
        let error = unprivileged(|| Source::open(&path)).unwrap_err();
        assert!(matches!(error.kind(), Kind::Io(io::ErrorKind::PermissionDenied, _)), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(unprivileged(|| Source::open(&path)).unwrap().size(), 1, "the mode alone stood in the way");
    }
}
