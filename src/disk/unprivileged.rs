//! For tests of file permissions, all of which root passes by.

use std::os::unix::fs::chown;
use std::path::Path;

use rustix::process::geteuid;

/// The user and group `nobody` of most systems; nothing of theirs is there to be reached.
const NOBODY: u32 = 65534;

/// Lets the user of [`unprivileged`] own a file or folder.
pub fn give_away(path: &Path) {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// Runs `work` without root's powers: right here, or, where the process is root's, on a thread that has given them up.
pub fn unprivileged<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if !geteuid().is_root() {
        return work();
    }
    let begin = || {
        give_up_root();
        assert!(!geteuid().is_root());
        work()
    };
    std::thread::scope(|scope| scope.spawn(begin).join().unwrap())
}

/// To the kernel of Linux a user belongs to a thread; that it belongs to the process is the C library's doing.
#[cfg(target_os = "linux")]
fn give_up_root() {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
    set_thread_groups(&[]).unwrap();
    set_thread_gid(Gid::from_raw(NOBODY)).unwrap();
    set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
}

#[cfg(not(target_os = "linux"))]
fn give_up_root() {
    panic!("no thread can give root's powers up here: run the tests as another user");
}
