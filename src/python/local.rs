//! Local files and the rules for keys, for transfers that go through a client of the caller's.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::failure::to_python;
use super::visit::Visit;
use crate::transfer::local::{self, KeyCheck, NewFile, Root, Stale};

/// Where the files of one download go.
#[pyclass(frozen, name = "Root", module = "s3bulk._core")]
pub struct PyRoot(Arc<Root>);

#[pymethods]
impl PyRoot {
    #[new]
    fn new(py: Python<'_>, directory: PathBuf, key_prefix: &str, durable: bool) -> PyResult<Self> {
        let visit = Visit::begin(py);
        let root = visit.detached(py, || local::root(&directory, key_prefix, durable));
        Ok(Self(Arc::new(root.map_err(|error| to_python(py, &error, None))?)))
    }

    fn new_file(&self, py: Python<'_>, relative: &str) -> PyResult<PyNewFile> {
        let visit = Visit::begin(py);
        let file = visit.detached(py, || self.0.new_file(relative)).map_err(|error| to_python(py, &error, None))?;
        Ok(PyNewFile { file: Mutex::new(Some(file)), place: Some((self.0.clone(), relative.into())) })
    }
}

/// A local file that appears whole.
#[pyclass(frozen, name = "NewFile", module = "s3bulk._core")]
pub struct PyNewFile {
    file: Mutex<Option<NewFile>>,
    /// Of a download's: its root, and its name there.
    place: Option<(Arc<Root>, Arc<str>)>,
}

#[pymethods]
impl PyNewFile {
    #[new]
    #[pyo3(signature = (path, durable=false))]
    fn new(py: Python<'_>, path: PathBuf, durable: bool) -> PyResult<Self> {
        let visit = Visit::begin(py);
        let file =
            visit.detached(py, || local::new_file_at(&path, durable)).map_err(|error| to_python(py, &error, None))?;
        Ok(Self { file: Mutex::new(Some(file)), place: None })
    }

    #[cfg(unix)]
    fn fileno(&self) -> PyResult<i32> {
        use std::os::fd::AsRawFd;
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.as_ref().map(|file| file.file().as_raw_fd()).ok_or_else(ended)
    }

    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let visit = Visit::begin(py);
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(ended)?;
        let committed = visit.detached(py, || match &self.place {
            Some((root, name)) => root.commit(file, name),
            None => file.commit(),
        });
        committed.map_err(|error| to_python(py, &error, None))
    }

    fn discard(&self, py: Python<'_>) {
        let visit = Visit::begin(py);
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        visit.detached(py, || drop(file));
    }
}

fn ended() -> PyErr {
    PyValueError::new_err("the file was committed or discarded already")
}

/// All files below a directory, in contract order.
#[pyfunction]
pub fn walk_folder(py: Python<'_>, local_dir: PathBuf) -> PyResult<Vec<(String, OsString)>> {
    let visit = Visit::begin(py);
    let found = visit.detached(py, || local::files_below(&local_dir)).map_err(|error| to_python(py, &error, None))?;
    // As `str`: to make a `Path` is Python code, and the visit is over by then.
    Ok(found.into_iter().map(|(relative, path)| (relative, path.into_os_string())).collect())
}

/// Temporary files that killed processes have left below a directory.
#[pyfunction]
#[pyo3(signature = (local_dir, unwritten_for, remove))]
pub fn remove_stale_files(
    py: Python<'_>,
    local_dir: PathBuf,
    unwritten_for: Option<Duration>,
    remove: bool,
) -> PyResult<Vec<OsString>> {
    let visit = Visit::begin(py);
    let stale = Stale { unwritten_for };
    let found = visit.detached(py, || local::stale_files(&local_dir, stale, remove));
    let found = found.map_err(|error| to_python(py, &error, None))?;
    Ok(found.into_iter().map(PathBuf::into_os_string).collect())
}

/// The rules for keys, over all pages of a listing.
#[pyclass(frozen, name = "KeyCheck", module = "s3bulk._core")]
pub struct PyKeyCheck(Mutex<KeyCheck>);

#[pymethods]
impl PyKeyCheck {
    #[new]
    fn new(key_prefix: &str) -> Self {
        Self(Mutex::new(local::key_check(key_prefix)))
    }

    #[expect(clippy::needless_pass_by_value, reason = "a list of str arrives as owned strings")]
    fn check_page(&self, py: Python<'_>, keys: Vec<String>) -> PyResult<Vec<Option<String>>> {
        let _visit = Visit::begin(py);
        let mut check = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let placed = check.check_page(keys.iter().map(String::as_str)).map_err(|error| to_python(py, &error, None))?;
        Ok(placed.into_iter().map(|placed| placed.map(|placed| placed.remainder.to_string())).collect())
    }
}
