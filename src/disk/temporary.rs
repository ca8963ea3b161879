//! Files that have no name yet, or a temporary one.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use ring::rand::{SecureRandom, SystemRandom};

use super::folder::Folder;
use super::owner::Owner;

/// Where a file is until it is committed.
#[derive(Debug)]
pub(super) enum Temporary {
    /// Nowhere: nothing is left of it even after a kill.
    Unnamed,
    /// Beside its target, under this name.
    Named(String),
}

/// Whether unnamed files can be had under a root, found out with the first file.
#[derive(Debug, Default)]
pub(super) struct UnnamedFiles(AtomicU8);

const UNKNOWN: u8 = 0;
const WORK: u8 = 1;
const REFUSED: u8 = 2;

/// The device (plus one) on which the last try showed that unnamed files can be linked in: single files, each with a
/// folder of its own, need no try each.
static WORKED_ON: AtomicU64 = AtomicU64::new(0);

impl UnnamedFiles {
    /// For tests of the other way.
    #[cfg(test)]
    pub(super) fn refused() -> Self {
        Self(AtomicU8::new(REFUSED))
    }

    /// Whether the first file has shown that they work.
    pub(super) fn are_known_to_work(&self) -> bool {
        self.0.load(Ordering::Relaxed) == WORK
    }

    /// A new file for `folder`. `private`: until the commit nobody else may open it.
    pub(super) fn create(&self, folder: &Folder, private: bool) -> io::Result<(File, Temporary)> {
        if self.0.load(Ordering::Relaxed) == UNKNOWN {
            let state = if unnamed_files_work(folder)? { WORK } else { REFUSED };
            self.0.store(state, Ordering::Relaxed);
        }
        if self.are_known_to_work() {
            match folder.create_unnamed() {
                // Another file system is mounted below the root.
                Err(error) if is_unsupported(&error) => {}
                result => return Ok((result?, Temporary::Unnamed)),
            }
        }
        let name = temporary_name()?;
        Ok((folder.create(OsStr::new(&name), private)?, Temporary::Named(name)))
    }
}

/// Makes an unnamed file and links it in: some file systems and sandboxes allow the first and not the second, and
/// without `/proc` an older kernel can't do the second, which must not show only after gigabytes were written.
fn unnamed_files_work(folder: &Folder) -> io::Result<bool> {
    let device = folder.device().map_or(0, |device| device.wrapping_add(1));
    if device != 0 && WORKED_ON.load(Ordering::Relaxed) == device {
        return Ok(true);
    }
    let file = match folder.create_unnamed() {
        Err(error) if is_unsupported(&error) => return Ok(false),
        result => result?,
    };
    let name = temporary_name()?;
    let linked = folder.link(&file, OsStr::new(&name)).is_ok();
    if linked {
        folder.remove(OsStr::new(&name))?;
        WORKED_ON.store(device, Ordering::Relaxed);
    }
    Ok(linked)
}

/// EOPNOTSUPP: NFS, FUSE, CephFS, older overlayfs. EISDIR, ENOENT, EINVAL: kernels and layers that don't know the flag
/// (open(2), O_TMPFILE).
fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let unsupported = [Errno::OPNOTSUPP, Errno::ISDIR, Errno::NOENT, Errno::INVAL];
        if unsupported.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
            return true;
        }
    }
    error.kind() == io::ErrorKind::Unsupported
}

/// `.s3bulk-<process id>-<its start time>-<place>-<random>`. The first three tell a stale one from one in use; the random
/// part is the kernel's, so that forked children, which share every state in memory, differ.
pub(super) fn temporary_name() -> io::Result<String> {
    let mut random = [0; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no random bytes from the system"))?;
    Ok(Owner::this_process().name(u64::from_ne_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_are_short_and_name_their_process() {
        let (one, two) = (temporary_name().unwrap(), temporary_name().unwrap());
        assert_ne!(one, two);
        assert!(one.len() < 64, "{one}");
        assert_eq!(Owner::of_name(OsStr::new(&one)), Some(Owner::this_process()));
    }
}
