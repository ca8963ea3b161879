//! One runtime per process. After a fork the child has none of its parent's threads: it forgets everything it inherited
//! and makes its own.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use super::threads;
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
    /// Threads that have waited for a transfer and are on their way back to Python.
    returning: AtomicUsize,
}

static PROCESS: ArcSwapOption<Process> = ArcSwapOption::const_empty();
/// The process whose interpreter is ending.
static ENDING: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Whether this is the thread that ends the interpreter.
    static ENDS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// A transfer that is under way; counted until it is dropped.
pub struct Active(Arc<Process>, Arc<Cancel>);

/// How a thread that waits for a transfer gets back to Python. Before 3.14 an interpreter that ends unwinds a daemon
/// thread that wants the GIL, which no frame of Rust survives (python/cpython#105805): such a thread stays here.
pub struct WayBack(Arc<Process>, Arc<Cancel>);

impl WayBack {
    /// Does something without the GIL, and does not come back once the interpreter is ending.
    pub fn detached<T: Send>(&self, py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
        let done = py.detach(|| {
            let done = work();
            // Counted first: either the end is seen here, or it sees this thread and waits.
            self.0.returning.fetch_add(1, SeqCst);
            if self.1.is_cancelled() && !ENDS_HERE.get() {
                self.0.returning.fetch_sub(1, SeqCst);
                stay();
            }
            done
        });
        self.0.returning.fetch_sub(1, SeqCst);
        done
    }
}

fn stay() -> ! {
    loop {
        std::thread::park();
    }
}

impl Active {
    /// What cancels this transfer.
    pub fn cancel(&self) -> Cancel {
        self.1.child_token()
    }

    /// For the thread that waits for it.
    pub fn way_back(&self) -> WayBack {
        WayBack(self.0.clone(), self.1.clone())
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

/// A daemon thread begins nothing more when the interpreter is ending: it could not come back.
pub fn stay_if_ending(py: Python<'_>) -> PyResult<()> {
    if ENDING.load(SeqCst) == std::process::id() && !ENDS_HERE.get() {
        let thread = py.import("threading")?.call_method0("current_thread")?;
        if thread.getattr("daemon")?.extract()? {
            py.detach(|| stay());
        }
    }
    Ok(())
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
        let (root, active, returning) =
            (ArcSwap::from_pointee(Cancel::new()), AtomicUsize::new(0), AtomicUsize::new(0));
        let fresh = Arc::new(Process { pid, runtime, root, active, returning });
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
    ENDS_HERE.set(true);
    ENDING.store(std::process::id(), SeqCst);
    let Some(process) = PROCESS.load_full() else { return };
    if process.pid != std::process::id() {
        return;
    }
    // What begins later, in an exit handler of the application, is its own affair and works.
    process.root.swap(Arc::new(Cancel::new())).cancel();
    py.detach(|| {
        let deadline = Instant::now() + EXIT_LIMIT;
        let is_busy = || process.active.load(SeqCst) > 0 || process.returning.load(SeqCst) > 0;
        while is_busy() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}
