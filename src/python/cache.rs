//! The cache behind `make_s3_client`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use crate::client::Cache;

/// The five attributes of a configuration: endpoint, region, addressing style, access key, secret key.
type Key = (Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

/// A few clients, the least recently used one goes first.
#[pyclass(frozen, module = "s3bulk._core")]
pub struct ClientCache {
    build: Py<PyAny>,
    cache: Mutex<Cache<Key, Arc<Py<PyAny>>>>,
    /// Held while one is built, so that concurrent first calls get one object.
    building: Mutex<()>,
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
        Self { build, cache: Mutex::new(Cache::new(maxsize)), building: Mutex::new(()) }
    }

    fn get(&self, py: Python<'_>, config: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        config.hash()?;
        let read = |name: &str| config.getattr(name)?.extract::<Option<String>>();
        let key: Key = (
            read("endpoint_url")?,
            read("region")?,
            read("addressing_style")?,
            read("access_key")?,
            read("secret_key")?,
        );
        let _one_at_a_time = self.building.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.cache(py).get(&key) {
            return Ok(known.clone_ref(py));
        }
        let built = Arc::new(self.build.call1(py, (config,))?);
        // What goes is dropped after the lock is free: its end may run Python code.
        let gone = self.cache(py).insert(key, built.clone());
        drop(gone);
        Ok(built.clone_ref(py))
    }

    fn clear(&self, py: Python<'_>) {
        let gone = self.cache(py).clear();
        drop(gone);
    }

    fn info(&self, py: Python<'_>) -> (u64, u64, usize, usize) {
        let info = self.cache(py).info();
        (info.hits, info.misses, info.capacity, info.size)
    }
}
