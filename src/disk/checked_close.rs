//! Closing with a look at the result, which `File`'s drop throws away. NFS and FUSE, and file systems with quotas and
//! delayed allocation, report a failed write only here (close(2), "Dealing with error returns from close()").

use std::fs::File;
use std::io;

use super::fault::{self, Step};

/// Asks the file system for errors it has held back, and leaves `file` open: closing a duplicate flushes the file the
/// same as closing the last descriptor does, so the answer is known before the file gets its name. 0.3 us.
pub(super) fn flush(file: &File) -> io::Result<()> {
    flush_by(file, File::try_clone)
}

fn flush_by(file: &File, duplicate: impl Fn(&File) -> io::Result<File>) -> io::Result<()> {
    loop {
        // Without a descriptor to spare the disk itself is waited for: dearer by far, and it says the same.
        let Ok(duplicate) = duplicate(file) else { return sync_if_any(file) };
        match close(duplicate) {
            // The duplicate is gone whatever close said (close(2)), so the next try needs another one.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Waits until the content is on the disk.
pub(super) fn sync(file: &File) -> io::Result<()> {
    fault::at(Step::Sync)?;
    file.sync_all()
}

/// The same where there is a disk: FIFOs have nothing to sync (fsync(2)).
pub(super) fn sync_if_any(file: &File) -> io::Result<()> {
    match sync(file) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Closes `file` and says how that went.
#[cfg(unix)]
pub(super) fn close(file: File) -> io::Result<()> {
    use std::os::fd::IntoRawFd;

    fault::at(Step::Close)?; // the drop closes it all the same, as a close that fails does
    let descriptor = file.into_raw_fd();
    // SAFETY: `into_raw_fd` gave up the only owner, so the descriptor is open, ours, and closed nowhere else.
    #[allow(unsafe_code)]
    let closed = unsafe { rustix::io::try_close(descriptor) };
    Ok(closed?)
}

/// Windows reports write errors when they are written.
#[cfg(not(unix))]
pub(super) fn close(file: File) -> io::Result<()> {
    drop(file);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flushed_file_stays_open() {
        let file = tempfile::tempfile().unwrap();
        flush(&file).unwrap();
        file.set_len(1).unwrap();
        close(file).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn without_a_descriptor_to_spare_the_disk_is_waited_for() {
        let file = tempfile::tempfile().unwrap();
        let duplicate = |_: &File| Err(rustix::io::Errno::MFILE.into());
        let (flushed, failed) = fault::failing(0, 5, || flush_by(&file, duplicate));
        assert_eq!((flushed.unwrap_err().raw_os_error(), failed), (Some(5), Some(Step::Sync)));
        flush_by(&file, duplicate).unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        flush_by(&File::from(std::os::fd::OwnedFd::from(writer)), duplicate).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn flushing_leaks_no_descriptor() {
        use std::os::fd::AsRawFd;
        let file = tempfile::tempfile().unwrap();
        let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        (0..10).for_each(|_| flush(&file).unwrap());
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        assert_eq!(open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to == path)).count(), 1);
    }
}
