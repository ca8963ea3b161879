//! One budget of bytes for all buffers of a client's transfers.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in blocks of 1 KiB, so that a budget of many gigabytes fits a semaphore.
const BLOCK: u64 = 1 << 10;

/// Bytes that buffers may take, handed out before the work starts and given back on drop.
#[derive(Clone, Debug)]
pub struct Budget {
    blocks: Arc<Semaphore>,
    total: u32,
}

/// A part of the budget; given back on drop.
#[derive(Debug)]
pub struct Reserved {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).max(1);
        Self { blocks: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits for so many bytes. More than there are in all becomes all of them, so that one large buffer is late
    /// instead of impossible.
    pub async fn reserve(&self, bytes: u64) -> Reserved {
        let wanted = self.blocks_for(bytes);
        match self.blocks.clone().acquire_many_owned(wanted).await {
            Ok(permit) => Reserved { _permit: permit },
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// So many bytes if they are free now.
    pub fn try_reserve(&self, bytes: u64) -> Option<Reserved> {
        let permit = self.blocks.clone().try_acquire_many_owned(self.blocks_for(bytes)).ok()?;
        Some(Reserved { _permit: permit })
    }

    /// Bytes that are handed out now. Zero when nothing is under way.
    pub fn in_use(&self) -> u64 {
        (u64::from(self.total) - self.blocks.available_permits() as u64) * BLOCK
    }

    fn blocks_for(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).clamp(1, self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_dropped_comes_back() {
        let budget = Budget::new(10 << 10);
        let one = budget.reserve(4 << 10).await;
        let two = budget.reserve(1).await;
        assert_eq!(budget.in_use(), 5 << 10);
        drop((one, two));
        assert_eq!(budget.in_use(), 0);
    }

    #[tokio::test]
    async fn more_than_all_is_all() {
        let budget = Budget::new(8 << 10);
        let all = budget.reserve(1 << 40).await;
        assert_eq!(budget.in_use(), 8 << 10);
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(1).await }
        });
        drop(all);
        drop(waiting.await.unwrap());
        assert_eq!(budget.in_use(), 0);
    }
}
