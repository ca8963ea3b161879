//! The parts or ranges of one object, under way at once: the first that fails stops the others.

use std::pin::pin;

use tokio::task::{JoinError, JoinSet};

use super::cancelled;
use crate::error::{Error, Kind, Result};
use crate::flow::Cancel;

/// What is under way, and what has ended. Dropping it stops all.
pub struct Parts<'a, T, E> {
    tasks: JoinSet<Result<T, E>>,
    ended: Vec<T>,
    cancel: &'a Cancel,
}

impl<'a, T: Send + 'static, E: From<Error> + Send + 'static> Parts<'a, T, E> {
    /// None yet. A cancel ends every wait for them.
    pub fn new(cancel: &'a Cancel) -> Self {
        Self { tasks: JoinSet::new(), ended: Vec::new(), cancel }
    }

    /// Begins one.
    pub fn begin(&mut self, work: impl Future<Output = Result<T, E>> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Waits for something else while parts end, or fails with the first that does. What waits keeps its place in every
    /// queue: begun anew whenever a part ends, it would go back to the end of it.
    pub async fn meanwhile<W>(&mut self, work: impl Future<Output = W>) -> Result<W, E> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(cancelled().into()),
                Some(ended) = self.tasks.join_next() => self.take(ended)?,
                done = &mut work => return Ok(done),
            }
        }
    }

    /// What all of them gave, in the order in which they ended. `begun` says whether all could be begun; after an error,
    /// that one or a part's, the others have stopped when this returns.
    pub async fn finish(mut self, begun: Result<(), E>) -> Result<Vec<T>, E> {
        let outcome = match begun {
            Ok(()) => self.rest().await,
            failed => failed,
        };
        self.tasks.shutdown().await;
        outcome.map(|()| self.ended)
    }

    async fn rest(&mut self) -> Result<(), E> {
        while !self.tasks.is_empty() {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(cancelled().into()),
                Some(ended) = self.tasks.join_next() => self.take(ended)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, ended: Result<Result<T, E>, JoinError>) -> Result<(), E> {
        let panicked = |error| Error::new(Kind::Internal, format!("a task ended early: {error}"));
        self.ended.push(ended.map_err(panicked)??);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn all_are_waited_for_once_all_have_begun() {
        let cancel = Cancel::new();
        let mut parts = Parts::<_, Error>::new(&cancel);
        for number in 0..20 {
            assert_eq!(parts.meanwhile(ready(number)).await.unwrap(), number);
            parts.begin(async move {
                tokio::task::yield_now().await;
                Ok(number)
            });
        }
        let mut ended = parts.finish(Ok(())).await.unwrap();
        ended.sort_unstable();
        assert_eq!(ended, (0..20).collect::<Vec<_>>());
        assert!(Parts::<(), Error>::new(&cancel).finish(Ok(())).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_first_that_fails_ends_every_wait_and_stops_the_others() {
        for waits_for_room in [true, false] {
            let cancel = Cancel::new();
            let (stopped, mut stops) = tokio::sync::mpsc::channel::<()>(1);
            let mut parts = Parts::<(), Error>::new(&cancel);
            parts.begin(async move {
                let _stopped = stopped;
                pending().await
            });
            parts.begin(ready(Err(Error::new(Kind::BodyCut, "injected"))));
            let begun = if waits_for_room { parts.meanwhile(pending::<()>()).await } else { Ok(()) };
            assert_eq!(begun.is_err(), waits_for_room);
            assert_eq!(parts.finish(begun).await.unwrap_err().message(), "injected");
            assert_eq!(stops.try_recv(), Err(tokio::sync::mpsc::error::TryRecvError::Disconnected));
        }
    }

    #[tokio::test]
    async fn a_cancel_ends_every_wait() {
        let cancel = Cancel::new();
        let mut parts = Parts::<(), Error>::new(&cancel);
        parts.begin(pending());
        cancel.cancel();
        assert!(parts.meanwhile(pending::<()>()).await.unwrap_err().is_cancelled());
        assert!(parts.finish(Ok(())).await.unwrap_err().is_cancelled());
    }
}
