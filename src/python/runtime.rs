//! One runtime per process. After a fork the child has none of its parent's threads: it forgets everything it inherited
//! and makes its own.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use super::{threads, visit};
use crate::error::{Error, Kind, Result};
use crate::transfer::Cancel;

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
pub struct Active(Arc<Process>, Arc<Cancel>);

impl Active {
    /// What cancels this transfer.
    pub fn cancel(&self) -> Cancel {
        self.1.child_token()
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
    let root = process.root.load_full();
    Ok(Active(process, root))
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
        let runtime = start(threads::for_the_network()?)?;
        let (root, active) = (ArcSwap::from_pointee(Cancel::new()), AtomicUsize::new(0));
        let fresh = Arc::new(Process { pid, runtime, root, active });
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

/// Starts the threads of the network.
fn start(threads: usize) -> Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name("s3bulk").enable_io().enable_time();
    // tokio panics where a thread can't be started, and a panic would pass every `except Exception`.
    let built = catch_unwind(AssertUnwindSafe(|| builder.build()));
    let failed = |error: io::Error| {
        let text = format!("the threads for the network could not be started: {error}");
        Error::new(Kind::Io(error.kind(), error.raw_os_error()), text).caused_by(error)
    };
    built.unwrap_or_else(|_| Err(no_more_threads())).map_err(failed)
}

/// With the system's number where it has one, as Python shows it.
fn no_more_threads() -> io::Error {
    #[cfg(unix)]
    return rustix::io::Errno::AGAIN.into();
    #[cfg(not(unix))]
    io::ErrorKind::WouldBlock.into()
}

/// Closes the sockets that a forked child has inherited, raw: no TLS close and no shutdown may reach the parent's
/// servers. The parent's runtime and its connections are never touched again, so that nothing closes them twice.
#[pyfunction]
#[cfg_attr(unix, allow(unsafe_code))]
pub fn after_fork_in_child() {
    visit::forget_all();
    #[cfg(unix)]
    for descriptor in crate::client::inherited_descriptors() {
        // SAFETY: the descriptors belong to streams of the parent's runtime, which in this process is forgotten: no
        // thread runs it, and its values are never dropped.
        unsafe { rustix::io::close(descriptor) };
    }
}

/// Cancels what daemon threads still have under way, and waits while it cleans up and they go.
#[pyfunction]
pub fn at_exit(py: Python<'_>) {
    visit::end_here();
    let process = PROCESS.load_full().filter(|process| process.pid == std::process::id());
    if let Some(process) = &process {
        // What begins later, in an exit handler of the application, is its own affair and works.
        process.root.swap(Arc::new(Cancel::new())).cancel();
    }
    py.detach(|| {
        let deadline = Instant::now() + EXIT_LIMIT;
        let is_active = || process.as_ref().is_some_and(|process| process.active.load(SeqCst) > 0);
        while (is_active() || visit::are_under_way()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}
