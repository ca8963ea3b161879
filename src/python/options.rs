//! `TransferOptions` from Python's dataclass of the same name.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::config::{DEFAULT_MAX_CONCURRENCY, PayloadSigning, TransferOptions};

/// Reads the dataclass; its own checks have run, the engine's follow.
pub fn from_python(options: &Bound<'_, PyAny>) -> PyResult<TransferOptions> {
    let seconds = |name: &str| {
        let value: f64 = options.getattr(name)?.extract()?;
        Duration::try_from_secs_f64(value)
            .map_err(|_| PyValueError::new_err(format!("{name} must be a number of seconds, not {value}")))
    };
    let signing: String = options.getattr("payload_signing")?.extract()?;
    Ok(TransferOptions {
        max_concurrency: options
            .getattr("max_concurrency")?
            .extract::<Option<usize>>()?
            .unwrap_or(DEFAULT_MAX_CONCURRENCY),
        part_size: options.getattr("part_size")?.extract()?,
        multipart_threshold: options.getattr("multipart_threshold")?.extract()?,
        memory_limit: options.getattr("memory_limit")?.extract()?,
        max_attempts: options.getattr("max_attempts")?.extract()?,
        connect_timeout: seconds("connect_timeout")?,
        read_timeout: seconds("read_timeout")?,
        payload_signing: match signing.as_str() {
            "auto" => PayloadSigning::Auto,
            "always" => PayloadSigning::Always,
            "never" => PayloadSigning::Never,
            other => {
                let text = format!("payload_signing must be 'auto', 'always' or 'never', not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        },
        durable: options.getattr("durable")?.extract()?,
    })
}
