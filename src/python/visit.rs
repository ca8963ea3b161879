//! Threads of Python's that are here, and the end of the interpreter.
//!
//! Before 3.14 the end unwinds a daemon thread that waits for the GIL, which no frame of Rust survives
//! (python/cpython#105805). A thread waits for it on its way back from `detach`, and in any line of Python that is called
//! from here, where it may have to lend the GIL to another. So the end waits for threads that are here and with Python,
//! and once it has begun, those that come back stay here.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};

use pyo3::prelude::*;

/// The process whose interpreter is ending.
static ENDING: AtomicU32 = AtomicU32::new(0);
/// Threads that are here and with Python, or on their way back to it.
static HERE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this is the thread that ends the interpreter.
    static ENDS_HERE: Cell<bool> = const { Cell::new(false) };
    /// Visits of this thread: Python that is called from here may call again.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One call from Python that goes without the GIL, or runs Python code; counted until it is dropped.
pub struct Visit {
    process: u32,
    /// It began after the end of the interpreter did.
    is_late: bool,
    of_this_thread: PhantomData<*const ()>,
}

impl Visit {
    /// Counts this call in. A daemon thread that comes when the interpreter is ending stays: it could not go back.
    pub fn begin(py: Python<'_>) -> Self {
        // Counted first: either the end is seen here, or it sees this thread and waits.
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            HERE.fetch_add(1, SeqCst);
        }
        let visit = Self { process: std::process::id(), is_late: is_ending(), of_this_thread: PhantomData };
        if visit.is_late && !ENDS_HERE.get() && is_daemon(py) {
            py.detach(|| stay());
        }
        visit
    }

    /// Does something without the GIL, and does not come back once the interpreter is ending.
    pub fn detached<T: Send>(&self, py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
        // What begins after the end, in an exit handler of the application, is its own affair and works.
        let ends_with_it = !self.is_late && !ENDS_HERE.get();
        py.detach(|| {
            let away = Away::begin();
            let done = work();
            drop(away); // first, as where a visit begins
            if ends_with_it && is_ending() {
                stay();
            }
            done
        })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // In a forked child the visits of its parent do not count.
        if self.process == std::process::id() && DEPTH.replace(DEPTH.get() - 1) == 1 {
            HERE.fetch_sub(1, SeqCst);
        }
    }
}

/// While a visitor is away from Python the end need not wait for it.
struct Away;

impl Away {
    fn begin() -> Self {
        HERE.fetch_sub(1, SeqCst);
        Self
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        HERE.fetch_add(1, SeqCst);
    }
}

/// For good, with nothing that the end would wait for.
fn stay() -> ! {
    let _away = Away::begin();
    loop {
        std::thread::park();
    }
}

fn is_ending() -> bool {
    ENDING.load(SeqCst) == std::process::id()
}

/// Looked up without a line of Python, in which the end could meet this thread.
fn is_daemon(py: Python<'_>) -> bool {
    let look = || {
        let this = py.import("_thread")?.call_method0("get_ident")?;
        py.import("threading")?.getattr("_active")?.get_item(this)?.getattr("_daemonic")?.extract()
    };
    // A thread that `threading` did not start, or a `threading` that has changed.
    let ask = || py.import("threading")?.call_method0("current_thread")?.getattr("daemon")?.extract();
    // Where nobody can be asked any more, the end is further than exit handlers.
    look().or_else(|_: PyErr| ask()).unwrap_or(true)
}

/// This thread ends the interpreter, from now on.
pub fn end_here() {
    ENDS_HERE.set(true);
    ENDING.store(std::process::id(), SeqCst);
}

/// Whether threads are here that are with Python, or on their way back to it.
pub fn are_under_way() -> bool {
    HERE.load(SeqCst) > 0
}

/// In a forked child: the visits are those of its parent.
pub fn forget_all() {
    HERE.store(0, SeqCst);
    DEPTH.set(0);
}
