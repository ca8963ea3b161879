//! A faulty disk for tests: every step of writing a file can be made to fail. Outside tests of this crate it is nothing.

use std::io;

/// A step that a disk can fail at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "not every system has all of them"))]
pub(super) enum Step {
    /// A directory is made.
    Make,
    /// A file is made, with a temporary name or without one.
    Create,
    /// Room is reserved.
    Reserve,
    /// Bytes are written.
    Write,
    /// Owner and permission bits are handed on.
    Attributes,
    /// Content is waited for (fsync).
    Sync,
    /// A descriptor is closed.
    Close,
    /// A file without a name gets one.
    Link,
    /// A file takes the place of another.
    Rename,
    /// Names in a directory are waited for (fsync).
    SyncFolder,
}

/// Fails where a test wants it.
#[cfg(not(test))]
#[inline(always)]
pub(super) fn at(_step: Step) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use script::{at, failing};

#[cfg(test)]
mod script {
    use std::cell::RefCell;

    use super::*;

    /// The steps of this thread: how many still pass, what the next one fails with, and which one failed.
    struct Script {
        left: usize,
        error: i32,
        failed: Option<Step>,
    }

    thread_local! {
        static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) };
    }

    pub(in crate::disk) fn at(step: Step) -> io::Result<()> {
        SCRIPT.with_borrow_mut(|script| {
            let Some(script) = script.as_mut().filter(|script| script.failed.is_none()) else { return Ok(()) };
            if script.left > 0 {
                script.left -= 1;
                return Ok(());
            }
            script.failed = Some(step);
            Err(io::Error::from_raw_os_error(script.error))
        })
    }

    /// Does `work` on this thread while the step after the first `passing` ones fails with the system's `error`. Says
    /// which one that was; `None`: there were not so many.
    pub(in crate::disk) fn failing<T>(passing: usize, error: i32, work: impl FnOnce() -> T) -> (T, Option<Step>) {
        let script = Script { left: passing, error, failed: None };
        SCRIPT.set(Some(script));
        let done = work();
        let failed = SCRIPT.take().and_then(|script| script.failed);
        (done, failed)
    }
}

#[cfg(all(test, unix))]
#[path = "fault_tests.rs"]
mod tests;
