//! Lanes: the right to have a unit in flight, so many of them as a limit says that moves meanwhile.
//!
//! Every order in which this may happen is gone through in `tests/loom`.

#[cfg(loom)]
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The lanes of a window.
#[derive(Debug)]
pub struct Lanes {
    free: Arc<Semaphore>,
    /// Lanes to be taken away as they come free, after the limit shrank.
    debt: AtomicUsize,
}

impl Lanes {
    /// So many.
    pub fn new(limit: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(limit)), debt: AtomicUsize::new(0) }
    }

    /// One that is free now.
    pub fn try_enter(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_owned().ok()
    }

    /// Waits for one. First come, first served.
    pub async fn enter(&self) -> OwnedSemaphorePermit {
        match self.free.clone().acquire_owned().await {
            Ok(permit) => permit,
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives one back, or pays a lane of the debt with it.
    pub fn leave(&self, permit: OwnedSemaphorePermit) {
        if self.debt.load(Relaxed) > 0 && self.settle_one() {
            permit.forget();
        }
    }

    /// Adds lanes, or lets some be taken away as they come free.
    pub fn resize(&self, old: usize, new: usize) {
        if new > old {
            // Lanes owed from an earlier shrinking are forgiven first.
            let mut add = new - old;
            while add > 0 && self.settle_one() {
                add -= 1;
            }
            self.free.add_permits(add);
        } else {
            self.debt.fetch_add(old - new, Relaxed);
        }
    }

    /// Lanes that nobody is in.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Lanes that are owed.
    pub fn debt(&self) -> usize {
        self.debt.load(Relaxed)
    }

    /// Pays one lane of the debt, if there is any.
    fn settle_one(&self) -> bool {
        self.debt.fetch_update(Relaxed, Relaxed, |debt| debt.checked_sub(1)).is_ok()
    }
}
