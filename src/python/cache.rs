//! The cache behind `make_s3_client`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use super::visit::Visit;
use crate::client::Cache;

/// The five attributes of a configuration: endpoint, region, addressing style, access key, secret key.
type Key = (Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

/// A few clients, the least recently used one goes first.
#[pyclass(frozen, module = "s3bulk._core")]
pub struct ClientCache {
    build: Py<PyAny>,
    /// Never held while Python code runs: that may fork, and the child would find it locked for ever.
    cache: Mutex<Cache<Key, Arc<Py<PyAny>>>>,
}

impl ClientCache {
    fn cache(&self, py: Python<'_>) -> MutexGuard<'_, Cache<Key, Arc<Py<PyAny>>>> {
        self.cache.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl ClientCache {
    #[new]
    fn new(build: Py<PyAny>, maxsize: usize) -> Self {
        Self { build, cache: Mutex::new(Cache::new(maxsize)) }
    }

    fn get(&self, py: Python<'_>, config: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let _visit = Visit::begin(py);
        config.hash()?;
        let read = |name: &str| config.getattr(name)?.extract::<Option<String>>();
        let key: Key = (
            read("endpoint_url")?,
            read("region")?,
            read("addressing_style")?,
            read("access_key")?,
            read("secret_key")?,
        );
        let known = self.cache(py).get(&key);
        if let Some(known) = known {
            return Ok(known.clone_ref(py));
        }
        let built = Arc::new(self.build.call1(py, (config,))?);
        // Concurrent first calls build each, and get one object. What goes is dropped after the lock is free: its end
        // may run Python code.
        let (client, gone) = self.cache(py).insert(key, built);
        drop(gone);
        Ok(client.clone_ref(py))
    }

    fn clear(&self, py: Python<'_>) {
        let _visit = Visit::begin(py);
        let gone = self.cache(py).clear();
        drop(gone);
    }

    fn info(&self, py: Python<'_>) -> (u64, u64, usize, usize) {
        let info = self.cache(py).info();
        (info.hits, info.misses, info.capacity, info.size)
    }
}
