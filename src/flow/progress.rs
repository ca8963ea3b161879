//! Counters of a transfer: written by its tasks, read as a snapshot by the thread that waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a transfer has done so far.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    files: AtomicU64,
}

impl Progress {
    /// Counts a file that is whole and verified.
    pub fn file_done(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.files.fetch_add(1, Relaxed);
    }

    /// Bytes of finished files.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Finished files.
    pub fn files(&self) -> u64 {
        self.files.load(Relaxed)
    }
}
