//! Many items under way at once: begun in contract order, stopped together after the first error.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::report::{Ledger, Report};
use crate::error::{Error, Kind, Result};
use crate::flow::{Cancel, Lane, Window};

/// How long items that are under way may go on after one has failed. They are mostly about to end, and the error that
/// is earliest in contract order may be among theirs; what takes longer is cancelled.
const GRACE: Duration = Duration::from_secs(2);

/// The items of one transfer.
pub struct Batch {
    ledger: Ledger,
    tasks: JoinSet<Result<u64>>,
    indices: HashMap<Id, usize>,
    window: Window,
    cancel: Cancel,
    /// Cancels the items only, so that the transfer can still end in order.
    items: Cancel,
    stopped: bool,
}

impl Batch {
    /// A batch that takes its lanes from a window.
    pub fn new(window: Window, cancel: &Cancel) -> Self {
        Self {
            ledger: Ledger::default(),
            tasks: JoinSet::new(),
            indices: HashMap::new(),
            window,
            cancel: cancel.clone(),
            items: cancel.child_token(),
            stopped: false,
        }
    }

    /// What cancels an item.
    pub fn item_cancel(&self) -> Cancel {
        self.items.clone()
    }

    /// Adds an item to the plan. It counts as not begun until [`Batch::begin`].
    pub fn plan(&mut self, name: Arc<str>) -> usize {
        self.ledger.plan(name)
    }

    /// Whether nothing new may begin: an item has failed, or the transfer was cancelled.
    pub fn is_stopped(&self) -> bool {
        self.stopped || self.cancel.is_cancelled()
    }

    /// Waits for a lane while items end. `None` when nothing new may begin.
    pub async fn lane(&mut self) -> Option<Lane> {
        let window = self.window.clone();
        let mut enter = std::pin::pin!(window.enter());
        loop {
            if self.is_stopped() {
                return None;
            }
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return None,
                Some(ended) = self.tasks.join_next_with_id() => self.take(ended),
                lane = &mut enter => return Some(lane),
            }
        }
    }

    /// Waits for something else while items end. `None` when nothing new may begin.
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            if self.is_stopped() {
                return None;
            }
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return None,
                done = &mut work => return Some(done),
                Some(ended) = self.tasks.join_next_with_id() => self.take(ended),
            }
        }
    }

    /// Begins an item.
    pub fn begin(&mut self, index: usize, work: impl Future<Output = Result<u64>> + Send + 'static) {
        self.ledger.begin(index);
        let handle = self.tasks.spawn(work);
        self.indices.insert(handle.id(), index);
    }

    fn take(&mut self, ended: Result<(Id, Result<u64>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(panicked) => (panicked.id(), Err(Error::new(Kind::Internal, format!("a task panicked: {panicked}")))),
        };
        self.stopped |= result.is_err();
        if let Some(index) = self.indices.remove(&id) {
            self.ledger.end(index, result);
        }
    }

    /// Waits for all that is under way, after an error only for a while, and reports. `broken` is an error of the plan
    /// itself (walk or listing): it stands behind the errors of items, which come earlier in contract order.
    pub async fn finish(mut self, broken: Option<Error>) -> (Report, Option<Error>) {
        self.stopped |= broken.is_some();
        let mut deadline = None;
        while !self.tasks.is_empty() {
            if self.stopped && deadline.is_none() {
                deadline = Some(Instant::now() + GRACE);
            }
            let expired = async {
                match deadline {
                    Some(deadline) if !self.items.is_cancelled() => tokio::time::sleep_until(deadline).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.take(ended),
                () = expired => self.items.cancel(),
            }
        }
        let (report, error) = self.ledger.close();
        // What was cancelled because the plan broke says nothing.
        let real = error.as_ref().is_some_and(|error| !error.is_cancelled());
        (report, if real { error } else { broken.or(error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broken_plan_speaks_before_what_it_cancelled() {
        let mut batch = Batch::new(Window::new(2), &Cancel::new());
        let (index, cancel) = (batch.plan("a".into()), batch.item_cancel());
        batch.begin(index, async move {
            cancel.cancelled().await;
            Err(Error::new(Kind::Cancelled, "stopped"))
        });
        let (report, error) = batch.finish(Some(Error::new(Kind::Internal, "broken"))).await;
        assert_eq!((report.failed.len(), error.unwrap().message()), (1, "broken"));
    }

    #[tokio::test]
    async fn a_panic_is_the_error_of_its_item_and_gives_its_lane_back() {
        let window = Window::new(2);
        let mut batch = Batch::new(window.clone(), &Cancel::new());
        let index = batch.plan("a".into());
        let other = batch.plan("b".into());
        let lane = batch.lane().await.unwrap();
        batch.begin(index, async move {
            let _held = lane;
            panic!("injected")
        });
        while !batch.is_stopped() {
            assert!(batch.meanwhile(std::future::pending::<()>()).await.is_none());
        }
        let (report, error) = batch.finish(None).await;
        assert_eq!(error.unwrap().kind(), &Kind::Internal);
        assert_eq!((report.done.len(), report.failed.len(), report.not_begun.len()), (0, 1, 1));
        assert_eq!((&*report.failed[0].0, &*report.not_begun[0], other), ("a", "b", 1));
        assert_eq!(window.in_use(), 0);
    }
}
