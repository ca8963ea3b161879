//! One budget of bytes for all buffers of a client's transfers.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in blocks of 1 KiB, so that a budget of many gigabytes fits a semaphore.
const BLOCK: u64 = 1 << 10;

/// Never spare, nor is an eighth of the whole: more than a unit of any kind takes (a small object 2 MiB and 8 KiB).
const KEPT: u64 = 3 << 20;

/// Bytes that buffers may take, handed out before the work starts and given back on drop.
#[derive(Clone, Debug)]
pub struct Budget {
    blocks: Arc<Semaphore>,
    total: u32,
    /// A part may be used as spare memory. The rest suffices for any one unit that needs memory: those hold lanes, for
    /// which the holders of spare memory may wait.
    spare: Arc<Semaphore>,
    spare_total: u32,
    /// How often spare memory was given back.
    returned: Arc<AtomicU64>,
}

/// A part of the budget; given back on drop.
#[derive(Debug)]
pub struct Reserved {
    _permit: OwnedSemaphorePermit,
    spare: Option<(OwnedSemaphorePermit, Arc<AtomicU64>)>,
}

impl Reserved {
    fn of_spare(mut self, permit: OwnedSemaphorePermit, returned: Arc<AtomicU64>) -> Self {
        self.spare = Some((permit, returned));
        self
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some((_, returned)) = &self.spare {
            returned.fetch_add(1, Relaxed);
        }
    }
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).max(1);
        let kept = (total / 8).max((KEPT / BLOCK) as u32);
        let spare_total = total.saturating_sub(kept);
        Self {
            blocks: Arc::new(Semaphore::new(total as usize)),
            total,
            spare: Arc::new(Semaphore::new(spare_total as usize)),
            spare_total,
            returned: Arc::default(),
        }
    }

    /// Waits for so many bytes. More than there are in all becomes all of them, so that one large buffer is late
    /// instead of impossible.
    pub async fn reserve(&self, bytes: u64) -> Reserved {
        let wanted = self.blocks_for(bytes);
        match self.blocks.clone().acquire_many_owned(wanted).await {
            Ok(permit) => Reserved { _permit: permit, spare: None },
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// So many bytes if they are free now.
    pub fn try_reserve(&self, bytes: u64) -> Option<Reserved> {
        let permit = self.blocks.clone().try_acquire_many_owned(self.blocks_for(bytes)).ok()?;
        Some(Reserved { _permit: permit, spare: None })
    }

    /// So many bytes of the spare part, for what is faster with the memory and works without.
    pub fn try_reserve_spare(&self, bytes: u64) -> Option<Reserved> {
        let spare = self.spare.clone().try_acquire_many_owned(self.blocks_for(bytes)).ok()?;
        Some(self.try_reserve(bytes)?.of_spare(spare, self.returned.clone()))
    }

    /// The same, waiting as long as spare memory keeps coming back. `None` when nobody returned any for `patience`:
    /// those who have it are waiting for something slower than memory, and nobody should wait for them.
    pub async fn reserve_spare(&self, bytes: u64, patience: Duration) -> Option<Reserved> {
        if self.blocks_for(bytes) > self.spare_total {
            return None;
        }
        let mut reserve = std::pin::pin!(async {
            let spare = self.spare.clone().acquire_many_owned(self.blocks_for(bytes)).await.ok()?;
            Some(self.reserve(bytes).await.of_spare(spare, self.returned.clone()))
        });
        loop {
            let returned = self.returned.load(Relaxed);
            match tokio::time::timeout(patience, &mut reserve).await {
                Ok(reserved) => return reserved,
                Err(_) if self.returned.load(Relaxed) == returned => return None,
                Err(_) => {}
            }
        }
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
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each number is somebody who does something: wants memory, looks whether it has come, or goes away.
        #[test]
        fn memory_comes_back_whole_whoever_waits_and_gives_up(steps in prop::collection::vec((0_u8..6, any::<u16>()), 0..200)) {
            let budget = Budget::new(16 << 20);
            let mut context = Context::from_waker(Waker::noop());
            let mut waiting: Vec<Pin<Box<dyn Future<Output = Reserved> + '_>>> = vec![];
            let mut held: Vec<Reserved> = vec![];
            for (what, number) in steps {
                let (bytes, which) = (u64::from(number) << 8, usize::from(number));
                match what {
                    0 => waiting.push(Box::pin(budget.reserve(bytes))),
                    1 => held.extend(budget.try_reserve(bytes)),
                    2 => held.extend(budget.try_reserve_spare(bytes)),
                    3 if !waiting.is_empty() => {
                        let which = which % waiting.len();
                        if let Poll::Ready(reserved) = waiting[which].as_mut().poll(&mut context) {
                            held.push(reserved);
                            drop(waiting.swap_remove(which));
                        }
                    }
                    4 if !waiting.is_empty() => drop(waiting.swap_remove(which % waiting.len())),
                    5 if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                    _ => {}
                }
                prop_assert!(budget.in_use() <= 16 << 20);
            }
            drop(waiting);
            prop_assert_eq!(budget.in_use() == 0, held.is_empty());
            drop(held);
            prop_assert_eq!(budget.in_use(), 0);
            prop_assert!(budget.try_reserve(16 << 20).is_some());
            prop_assert!(budget.try_reserve_spare(12 << 20).is_some());
        }
    }

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
    async fn an_eighth_is_never_spare() {
        let budget = Budget::new(32 << 20);
        assert!(budget.try_reserve_spare(29 << 20).is_none());
        assert!(budget.reserve_spare(29 << 20, Duration::MAX).await.is_none());
        let spare = budget.try_reserve_spare(28 << 20).unwrap();
        assert!(budget.try_reserve_spare(1).is_none());
        assert!(budget.try_reserve(4 << 20).is_some());
        drop(spare);
        assert!(budget.try_reserve_spare(28 << 20).is_some());
        assert_eq!(budget.in_use(), 0);
        let small = Budget::new(4 << 20);
        assert!(small.try_reserve_spare(2 << 20).is_none());
        assert!(small.try_reserve_spare(1 << 20).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn spare_memory_is_waited_for_while_it_comes_back() {
        const PATIENCE: Duration = Duration::from_millis(20);
        let budget = Budget::new(16 << 20);
        let (slow, quick) = (budget.try_reserve_spare(8 << 20).unwrap(), budget.try_reserve_spare(4 << 20).unwrap());
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve_spare(13 << 20, PATIENCE).await.is_some() }
        });
        tokio::time::sleep(PATIENCE * 3 / 4).await;
        drop(quick);
        tokio::time::sleep(PATIENCE * 3 / 4).await;
        drop(slow);
        assert!(waiting.await.unwrap());
        let _kept = budget.try_reserve_spare(13 << 20).unwrap();
        assert!(budget.reserve_spare(1, PATIENCE).await.is_none());
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
