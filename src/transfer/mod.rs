//! Transfers: one file, one object, a folder, a prefix. They bring together what the other rooms know apart.

mod batch;
mod complete;
mod container;
mod content_type;
mod digest;
mod download;
mod fetch;
mod folder;
mod host;
mod load;
pub mod local;
mod multipart;
mod orphans;
mod parts;
mod prefix;
mod report;
mod upload;
mod whole;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::client::Client;
use crate::config::TransferOptions;
use crate::disk::{Buffers, DiskThreads};
use crate::error::{Error, Kind, Result};
use crate::flow::{Budget, Lane, Window};
use crate::wire::retry::Retry;

pub use crate::client::{IncompleteUpload, UploadsUnderWay};
pub use crate::disk::processors;
pub use crate::flow::Cancel;
pub use host::{Answer, Host, SilentHost};
pub use report::{Outcome, Report};
pub use upload::LocalFile;

/// The most disk threads, unless others are asked for. A thread does one blocking call at a time: eight hide the 5 ms of a
/// slow disk behind each other, and a local disk never needs more than one (docs/decisions/0001).
pub const DISK_THREADS: usize = 8;
/// The most threads that sum up stretches of large files at once. SHA-256 takes half a second of a core for a gigabyte:
/// one thread would be the limit of a signed upload.
const DIGEST_THREADS: usize = 4;

/// The least budget, as for the option: with less not even one part would fit with its frames.
const LEAST_MEMORY: u64 = 4 << 20;

/// Runs the transfers of one client.
pub struct Engine {
    client: Client,
    disk: Arc<DiskThreads>,
    digests: Arc<DiskThreads>,
    buffers: Arc<Buffers>,
    window: Window,
    budget: Budget,
}

impl Engine {
    /// An engine for a client. Starts no thread and opens no connection.
    pub fn new(client: Client) -> Arc<Self> {
        Self::with_disk_threads(client, DISK_THREADS)
    }

    /// The same with at most so many threads for the disk.
    pub fn with_disk_threads(client: Client, limit: usize) -> Arc<Self> {
        let digests = DiskThreads::with_least(processors().min(DIGEST_THREADS), limit);
        Self::assemble(client, DiskThreads::new(limit), digests, Arc::default())
    }

    /// The same pool, disk threads and buffers under other limits.
    pub fn with_options(&self, options: TransferOptions) -> Result<Arc<Self>> {
        let (disk, digests, buffers) = (self.disk.clone(), self.digests.clone(), self.buffers.clone());
        Ok(Self::assemble(self.client.with_options(options)?, disk, digests, buffers))
    }

    fn assemble(client: Client, disk: Arc<DiskThreads>, digests: Arc<DiskThreads>, buffers: Arc<Buffers>) -> Arc<Self> {
        let options = client.options();
        let window = Window::new(options.max_concurrency.min(most_sockets()));
        let budget = Budget::new(options.memory_limit.min(most_memory()));
        Arc::new(Self { client, disk, digests, buffers, window, budget })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Bytes of buffers in use. Zero when nothing is under way.
    pub fn buffered(&self) -> u64 {
        self.budget.in_use()
    }

    /// Units in flight. Zero when nothing is under way.
    pub fn in_flight(&self) -> usize {
        self.window.in_use()
    }

    /// Names the endpoint in an error that arose in talking to it, unless it is named already.
    async fn at_endpoint(&self, error: Error, bucket: &str) -> Error {
        if error.context().operation.is_none() {
            return error;
        }
        match self.client.wire().endpoints.target(bucket).await {
            Ok(target) => error.at_endpoint(&target.endpoint()),
            Err(_) => error,
        }
    }

    /// A lane for one unit.
    async fn lane(&self, cancel: &Cancel) -> Result<Lane> {
        until_cancelled(cancel, async { Ok(self.window.enter().await) }).await
    }

    /// A lane again for a unit that has given its own away.
    async fn take_lane(&self, lane: &mut Option<Lane>, cancel: &Cancel) -> Result<()> {
        if lane.is_none() {
            *lane = Some(self.lane(cancel).await?);
        }
        Ok(())
    }

    /// After a file could not be opened because there are too many open ones: waits until it is worth trying again. Any
    /// other error comes back.
    async fn wait_for_descriptors(&self, retry: &mut Retry, error: Error, bucket: &str, cancel: &Cancel) -> Result<()> {
        if !matches!(error.kind(), Kind::Io(..)) || !error.is_exhausted() {
            return Err(error);
        }
        retry.begin();
        until_cancelled(cancel, self.client.wire().pause(retry, error, bucket, Some(&self.window))).await
    }

    /// The result of a disk job, which is done again while there is a lack of descriptors or memory.
    async fn patiently<T, J>(&self, job: impl Fn() -> J, bucket: &str, cancel: &Cancel) -> Result<T>
    where
        T: Send + 'static,
        J: FnOnce() -> Result<T> + Send + 'static,
    {
        let mut retry = Retry::new(self.client.options());
        loop {
            match self.disk.run(job()).await? {
                Err(error) => self.wait_for_descriptors(&mut retry, error, bucket, cancel).await?,
                done => return done,
            }
        }
    }

    /// HeadBucket, and CreateBucket if that says that there is none. `refused` is told of any other failure of
    /// HeadBucket. True when the bucket was created.
    pub async fn ensure_bucket(
        &self,
        bucket: &str,
        region: &str,
        refused: impl FnOnce(&Error) + Send,
        cancel: &Cancel,
    ) -> Result<bool> {
        let work = async {
            match self.client.head_bucket(bucket).await {
                Ok(()) => Ok(false),
                Err(error) if Client::is_missing_bucket(&error) => {
                    self.client.create_bucket(bucket, region).await.map(|()| true)
                }
                Err(error) => {
                    refused(&error);
                    Err(error)
                }
            }
        };
        until_cancelled(cancel, work).await
    }
}

/// A quarter of what the container has: the rest is for the program around us and for the page cache, without which
/// reading and writing files stalls (DESIGN.md decision 8).
fn most_memory() -> u64 {
    container::memory_limit().map_or(u64::MAX, |limit| (limit / 4).max(LEAST_MEMORY))
}

/// Half of the descriptors that this process may still open: the other half is for the files that are moved. Where the
/// program around us takes more meanwhile, transfers wait for each other's (`wait_for_descriptors`).
fn most_sockets() -> usize {
    #[cfg(unix)]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // Elsewhere than on Linux nobody says how many are open.
        let open = std::fs::read_dir("/proc/self/fd").map_or(limit / 4, Iterator::count);
        return (limit.saturating_sub(open) / 2).max(1);
    }
    usize::MAX
}

pin_project_lite::pin_project! {
    /// Work that ends when the transfer is cancelled. Written out, because an `async fn` would hold the work three
    /// times over (as its argument, as a callee's, and pinned), and tasks are moved.
    struct UntilCancelled<'a, W> {
        #[pin]
        cancelled: tokio_util::sync::WaitForCancellationFuture<'a>,
        #[pin]
        work: W,
    }
}

impl<T, E: From<Error>, W: Future<Output = Result<T, E>>> Future for UntilCancelled<'_, W> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.cancelled.poll(context).is_ready() {
            return Poll::Ready(Err(cancelled().into()));
        }
        this.work.poll(context)
    }
}

fn until_cancelled<W>(cancel: &Cancel, work: W) -> UntilCancelled<'_, W> {
    UntilCancelled { cancelled: cancel.cancelled(), work }
}

fn cancelled() -> Error {
    Error::new(Kind::Cancelled, "the transfer was cancelled")
}
