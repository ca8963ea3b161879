//! The report of a folder or prefix, for Python.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::failure::to_python;
use crate::transfer::Report;

/// What a transfer of many files did.
#[pyclass(frozen, name = "Report", module = "s3bulk._core")]
pub struct PyReport {
    /// What is whole and verified, in contract order.
    #[pyo3(get)]
    done: Py<PyList>,
    /// What failed, with the exceptions.
    #[pyo3(get)]
    failed: Py<PyList>,
    /// What was not begun.
    #[pyo3(get)]
    not_begun: Py<PyList>,
    /// Bytes of what is done.
    #[pyo3(get)]
    bytes: u64,
}

impl PyReport {
    /// The report as Python sees it.
    pub fn new(py: Python<'_>, report: &Report) -> PyResult<Py<Self>> {
        let failed = report.failed.iter().map(|(name, error)| (&**name, to_python(py, error, None)));
        let built = Self {
            done: PyList::new(py, report.done.iter().map(|name| &**name))?.unbind(),
            failed: PyList::new(py, failed.collect::<Vec<_>>())?.unbind(),
            not_begun: PyList::new(py, report.not_begun.iter().map(|name| &**name))?.unbind(),
            bytes: report.bytes,
        };
        Py::new(py, built)
    }
}

#[pymethods]
impl PyReport {
    #[new]
    fn rebuild(done: Py<PyList>, failed: Py<PyList>, not_begun: Py<PyList>, bytes: u64) -> Self {
        Self { done, failed, not_begun, bytes }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!(
            "Report(done={}, failed={}, not_begun={}, bytes={})",
            self.done.bind(py).len(),
            self.failed.bind(py).len(),
            self.not_begun.bind(py).len(),
            self.bytes
        )
    }

    #[expect(clippy::type_complexity, reason = "the shape that pickle wants")]
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> (Bound<'py, pyo3::types::PyType>, (Py<PyList>, Py<PyList>, Py<PyList>, u64)) {
        let parts = (self.done.clone_ref(py), self.failed.clone_ref(py), self.not_begun.clone_ref(py), self.bytes);
        (py.get_type::<Self>(), parts)
    }
}
