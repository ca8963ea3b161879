//! One runtime per process. After a fork the child has none of its parent's threads: it forgets everything it inherited
//! and makes its own.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Kind, Result};
use crate::transfer::Cancel;

/// More threads than this never paid (DESIGN.md decision 7); two cores saturate loopback.
const MOST_THREADS: usize = 4;
/// More is a mistake: nothing has a thread of its own here.
const MOST_THREADS_ASKED: usize = 64;
/// The variable that says otherwise. One thread costs the least CPU time: 10 to 15 % less for small files.
const THREADS: &str = "S3BULK_THREADS";
/// How long the end of the interpreter waits for transfers of daemon threads to clean up.
const EXIT_LIMIT: Duration = Duration::from_secs(5);

/// What a process has once.
pub struct Process {
    pid: u32,
    runtime: Runtime,
    /// Cancels every transfer that is under way.
    root: ArcSwap<Cancel>,
    active: AtomicUsize,
}

static PROCESS: ArcSwapOption<Process> = ArcSwapOption::const_empty();

/// A transfer that is under way; counted until it is dropped.
pub struct Active(Arc<Process>);

impl Active {
    /// What cancels this transfer.
    pub fn cancel(&self) -> Cancel {
        self.0.root.load().child_token()
    }

    /// Starts a task.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.runtime.spawn(work);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, SeqCst);
    }
}

/// Counts a transfer in, on the runtime of this process.
pub fn enter() -> Result<Active> {
    let process = this_process()?;
    process.active.fetch_add(1, SeqCst);
    Ok(Active(process))
}

fn this_process() -> Result<Arc<Process>> {
    let pid = std::process::id();
    loop {
        let current = PROCESS.load_full();
        if let Some(process) = &current
            && process.pid == pid
        {
            return Ok(process.clone());
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(worker_threads(std::env::var_os(THREADS))?)
            .thread_name("s3bulk")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Error::new(Kind::Internal, format!("the runtime could not start: {error}")))?;
        let fresh =
            Arc::new(Process { pid, runtime, root: ArcSwap::from_pointee(Cancel::new()), active: AtomicUsize::new(0) });
        let seen = PROCESS.compare_and_swap(&current, Some(fresh.clone()));
        let swapped = match (&*seen, &current) {
            (None, None) => true,
            (Some(seen), Some(current)) => Arc::ptr_eq(seen, current),
            _ => false,
        };
        if swapped {
            // Joining threads that did not come along would hang.
            std::mem::forget(current);
            return Ok(fresh);
        }
        if let Ok(loser) = Arc::try_unwrap(fresh) {
            loser.runtime.shutdown_background();
        }
    }
}

/// Threads that the network's side runs on: as many as the processors that this process or its container may use.
fn worker_threads(asked: Option<OsString>) -> Result<usize> {
    let Some(asked) = asked else {
        // Knows affinity and the container's quota.
        return Ok(std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MOST_THREADS));
    };
    match asked.to_str().and_then(|text| text.parse().ok()) {
        Some(threads) if (1..=MOST_THREADS_ASKED).contains(&threads) => Ok(threads),
        _ => {
            let text = format!("{THREADS} must be a number from 1 to {MOST_THREADS_ASKED}, not {asked:?}");
            Err(Error::new(Kind::InvalidConfiguration, text))
        }
    }
}

/// Closes the sockets that a forked child has inherited, raw: no TLS close and no shutdown may reach the parent's
/// servers. The parent's runtime and its connections are never touched again, so that nothing closes them twice.
#[pyfunction]
#[cfg_attr(unix, allow(unsafe_code))]
pub fn after_fork_in_child() {
    #[cfg(unix)]
    for descriptor in crate::client::inherited_descriptors() {
        // SAFETY: the descriptors belong to streams of the parent's runtime, which in this process is forgotten: no
        // thread runs it, and its values are never dropped.
        unsafe { rustix::io::close(descriptor) };
    }
}

/// Cancels what daemon threads still have under way, and waits while it cleans up.
#[pyfunction]
pub fn at_exit(py: Python<'_>) {
    let Some(process) = PROCESS.load_full() else { return };
    if process.pid != std::process::id() {
        return;
    }
    // What begins later, in an exit handler of the application, is its own affair and works.
    process.root.swap(Arc::new(Cancel::new())).cancel();
    py.detach(|| {
        let deadline = Instant::now() + EXIT_LIMIT;
        while process.active.load(SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}
