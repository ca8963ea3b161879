//! The Python bindings: convert, detach, call, map the error. Nothing here decides anything about transfers.

mod cache;
mod client;
mod failure;
mod local;
mod options;
mod report;
mod runtime;
mod threads;
mod visit;
mod wait;

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// For the memory of Rust only. It takes a quarter less CPU per small object than glibc's, whose threads wait for each
/// other's arenas, and, unlike mimalloc, it is made for programs that fork (docs/decisions/0003).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Refuses every interpreter but the first one: the runtime, its exit handler and the hooks of a fork are one process's.
#[allow(unsafe_code)]
fn refuse_other_interpreters() -> PyResult<()> {
    static FIRST: AtomicI64 = AtomicI64::new(-1);

    // SAFETY: called with the GIL held, as the import of a module is; the current interpreter is never null then.
    let this = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    match FIRST.compare_exchange(-1, this, SeqCst, SeqCst) {
        Ok(_) => Ok(()),
        Err(first) if first == this => Ok(()),
        Err(_) => Err(PyImportError::new_err(
            "s3bulk is in use by another interpreter of this process and supports no sub-interpreters; use threads or \
             processes",
        )),
    }
}

/// The extension module `s3bulk._core`.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_other_interpreters()?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<client::NativeClient>()?;
    module.add_class::<cache::ClientCache>()?;
    module.add_class::<report::PyReport>()?;
    module.add_class::<local::PyRoot>()?;
    module.add_class::<local::PyNewFile>()?;
    module.add_class::<local::PyKeyCheck>()?;
    module.add_function(wrap_pyfunction!(local::walk_folder, module)?)?;
    module.add_function(wrap_pyfunction!(local::remove_stale_files, module)?)?;
    module.add_class::<client::UploadsUnderWay>()?;
    let py = module.py();
    let after_fork = wrap_pyfunction!(runtime::after_fork_in_child, module)?;
    let arguments = pyo3::types::PyDict::new(py);
    arguments.set_item("after_in_child", after_fork)?;
    let os = py.import("os")?;
    // Windows has no fork.
    if os.hasattr("register_at_fork")? {
        os.call_method("register_at_fork", (), Some(&arguments))?;
    }
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(runtime::at_exit, module)?,))?;
    Ok(())
}
