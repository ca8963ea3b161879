//! The engine's errors as Python's: facts from here, classes from `s3bulk._errors`, which knows botocore's.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::report::PyReport;
use crate::error::{Error, Kind};

/// The exception for an error; with the report of a transfer that failed in part.
pub fn to_python(py: Python<'_>, error: &Error, report: Option<&Py<PyReport>>) -> PyErr {
    let built = facts(py, error, report).and_then(|facts| {
        let exception = py.import("s3bulk._errors")?.call_method1("exception_from", (facts,))?;
        Ok(PyErr::from_value(exception))
    });
    // The text of the error must not get lost when its class can't be made.
    built.unwrap_or_else(|broken| {
        let bare = PyRuntimeError::new_err(error.to_string());
        bare.set_cause(py, Some(broken));
        bare
    })
}

/// Gives a report to an exception that is not the engine's: of a signal handler, of a log handler.
pub fn attach_report(py: Python<'_>, exception: &PyErr, report: Py<PyReport>) -> PyResult<()> {
    let report = py.import("s3bulk.report")?.getattr("Report")?.call_method1("of", (report,))?;
    py.import("s3bulk._failures")?.call_method1("attach_report", (exception.value(py), report))?;
    Ok(())
}

fn facts<'py>(py: Python<'py>, error: &Error, report: Option<&Py<PyReport>>) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    let context = error.context();
    facts.set_item("kind", kind_name(error.kind()))?;
    facts.set_item("message", error.message())?;
    facts.set_item("text", error.to_string())?;
    facts.set_item("operation", context.operation)?;
    facts.set_item("bucket", context.bucket.as_deref())?;
    facts.set_item("key", context.key.as_deref())?;
    facts.set_item("path", context.path.as_deref().map(std::path::Path::as_os_str))?;
    facts.set_item("endpoint", context.endpoint.as_deref())?;
    facts.set_item("attempts", context.attempts)?;
    facts.set_item("attempts_used_up", context.attempts_used_up)?;
    if let Some(service) = error.as_service() {
        facts.set_item("status", service.status)?;
        facts.set_item("code", &service.code)?;
        facts.set_item("service_message", &service.message)?;
        facts.set_item("request_id", service.request_id.as_deref())?;
        facts.set_item("host_id", service.host_id.as_deref())?;
        let headers = PyDict::new(py);
        for (name, value) in &service.headers {
            headers.set_item(name, value)?;
        }
        facts.set_item("headers", headers)?;
        let details = PyDict::new(py);
        for (name, value) in &service.details {
            details.set_item(name, value)?;
        }
        facts.set_item("details", details)?;
    }
    facts.set_item("errno", errno(error.kind()))?;
    facts.set_item("report", report)?;
    Ok(facts)
}

/// The number that Python makes the class of an `OSError` of.
fn errno(kind: &Kind) -> Option<i32> {
    let Kind::Io(kind, number) = kind else { return None };
    number.or(match kind {
        std::io::ErrorKind::NotFound => Some(2),
        std::io::ErrorKind::PermissionDenied => Some(13),
        std::io::ErrorKind::AlreadyExists => Some(17),
        std::io::ErrorKind::NotADirectory => Some(20),
        std::io::ErrorKind::IsADirectory => Some(21),
        _ => None,
    })
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Service(_) => "service",
        Kind::InvalidParameter => "invalid_parameter",
        Kind::InvalidConfiguration => "invalid_configuration",
        Kind::InvalidRegion => "invalid_region",
        Kind::Connect => "connect",
        Kind::ConnectTimeout => "connect_timeout",
        Kind::ReadTimeout => "read_timeout",
        Kind::ConnectionClosed => "connection_closed",
        Kind::Tls => "tls",
        Kind::Proxy => "proxy",
        Kind::BodyCut => "body_cut",
        Kind::ChecksumMismatch => "checksum_mismatch",
        Kind::BadResponse => "bad_response",
        Kind::NoCredentials => "no_credentials",
        Kind::Credentials => "credentials",
        Kind::Io(..) => "io",
        Kind::NotAFile => "not_a_file",
        Kind::NotADirectory => "not_a_directory",
        Kind::SourceChanged => "source_changed",
        Kind::ObjectChanged => "object_changed",
        Kind::SuspiciousKey => "suspicious_key",
        Kind::KeyCollision => "key_collision",
        Kind::InvalidName => "invalid_name",
        Kind::Cancelled => "cancelled",
        Kind::OutcomeUnknown => "outcome_unknown",
        Kind::Unsupported => "unsupported",
        Kind::Internal => "internal",
    }
}
