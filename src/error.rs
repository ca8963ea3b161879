//! The one error type of the engine: a kind, chosen by what the caller can do about it, what was being done, and the
//! source that was seen below.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What the engine's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What S3 itself said in an error response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceError {
    /// HTTP status.
    pub status: u16,
    /// S3's error code; for a response without a body the status as text (as botocore has it).
    pub code: String,
    /// S3's message; for a response without a body the reason phrase.
    pub message: String,
    /// `x-amz-request-id`.
    pub request_id: Option<String>,
    /// `x-amz-id-2`.
    pub host_id: Option<String>,
    /// Response headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The other children of the `<Error>` document (`Key`, `BucketName`, `Region`, ...).
    pub details: Vec<(String, String)>,
}

/// Grouped by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// S3 answered with an error document or an error status.
    Service(Box<ServiceError>),
    /// An argument was refused before anything was opened or sent (botocore's `ParamValidationError`).
    InvalidParameter,
    /// A setting of the client or the options can't be used (`ValueError`).
    InvalidConfiguration,
    /// The region's name can't be used (botocore's `InvalidRegionError`).
    InvalidRegion,
    /// No connection could be made: refused, unreachable, name not found.
    Connect,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// Nothing was read within the read timeout.
    ReadTimeout,
    /// The connection ended before a response was complete enough to be understood.
    ConnectionClosed,
    /// TLS: certificate refused, handshake failed.
    Tls,
    /// The proxy refused or could not be reached.
    Proxy,
    /// A response body ended early.
    BodyCut,
    /// What arrived, or what S3 says it has, is not what was sent.
    ChecksumMismatch,
    /// A response that makes no sense: wrong range, missing header, broken XML.
    BadResponse,
    /// No credentials were found.
    NoCredentials,
    /// Credentials were found but could not be loaded or refreshed.
    Credentials,
    /// A local file or directory; `source` is the `io::Error`.
    Io(io::ErrorKind, Option<i32>),
    /// The local path that should be sent is not a regular file.
    NotAFile,
    /// The local directory does not exist or is not one (`ValueError`).
    NotADirectory,
    /// The source went on changing while it was read.
    SourceChanged,
    /// The object went on changing while it was read.
    ObjectChanged,
    /// A key that would lead outside the target directory (`ValueError`).
    SuspiciousKey,
    /// Two keys that need the same place on disk (`ValueError`).
    KeyCollision,
    /// A file name that can't be a key (not UTF-8).
    InvalidName,
    /// The transfer was cancelled.
    Cancelled,
    /// The server answered, but whether the operation took effect could not be found out.
    OutcomeUnknown,
    /// Not covered by the native path; the message says why.
    Unsupported,
    /// A bug in s3bulk (a task panicked).
    Internal,
}

/// What was being done when the error arose. Only what is known is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// S3's operation name, as boto3 has it.
    pub operation: Option<&'static str>,
    /// Bucket name or ARN.
    pub bucket: Option<String>,
    /// Object key.
    pub key: Option<String>,
    /// Local path.
    pub path: Option<PathBuf>,
    /// Endpoint as scheme and authority; never with credentials or a query.
    pub endpoint: Option<String>,
    /// Requests sent for this operation, the first included. 0: none was sent.
    pub attempts: u32,
    /// The failure was worth another request, and there was none left (botocore's `MaxAttemptsReached`).
    pub attempts_used_up: bool,
}

/// An error of the engine. Cheap to clone: the source is shared.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    message: String,
    context: Context,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with a message for people: what went wrong and, where something can be done, what to do.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), context: Context::default(), source: None }))
    }

    /// A local error. The path goes into the context.
    pub fn io(error: io::Error, doing: &str, path: impl Into<PathBuf>) -> Self {
        let message = format!("{doing}: {error}");
        let mut built = Self::new(Kind::Io(error.kind(), error.raw_os_error()), message).caused_by(error);
        built.0.context.path = Some(path.into());
        built
    }

    /// An error that S3 answered with.
    pub fn service(service: ServiceError) -> Self {
        let message = format!("{} ({}): {}", service.code, service.status, service.message);
        Self::new(Kind::Service(Box::new(service)), message)
    }

    /// Keeps what lies below.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Names the operation, unless one is named already.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.0.context.operation.get_or_insert(operation);
        self
    }

    /// Names bucket and key, unless they are named already.
    #[must_use]
    pub fn of_object(mut self, bucket: &str, key: &str) -> Self {
        let context = &mut self.0.context;
        context.bucket.get_or_insert_with(|| bucket.to_owned());
        if !key.is_empty() {
            context.key.get_or_insert_with(|| key.to_owned());
        }
        self
    }

    /// Names the local path, unless one is named already.
    #[must_use]
    pub fn at_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.context.path.get_or_insert_with(|| path.into());
        self
    }

    /// Names the endpoint, unless one is named already.
    #[must_use]
    pub fn at_endpoint(mut self, endpoint: &str) -> Self {
        self.0.context.endpoint.get_or_insert_with(|| endpoint.to_owned());
        self
    }

    /// Says how many requests were sent.
    #[must_use]
    pub fn after_attempts(mut self, attempts: u32) -> Self {
        self.0.context.attempts = attempts;
        self
    }

    /// Says that another request might have helped, and that there was none left.
    #[must_use]
    pub fn with_attempts_used_up(mut self) -> Self {
        self.0.context.attempts_used_up = true;
        self
    }

    /// Adds a sentence to the message: what to do, or what else was seen.
    #[must_use]
    pub fn with_note(mut self, note: &str) -> Self {
        self.0.message.push_str("; ");
        self.0.message.push_str(note);
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The message without the context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What was being done.
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// S3's answer, when it is one.
    pub fn as_service(&self) -> Option<&ServiceError> {
        match &self.0.kind {
            Kind::Service(service) => Some(service),
            _ => None,
        }
    }

    /// S3's error code, when S3 answered.
    pub fn code(&self) -> Option<&str> {
        self.as_service().map(|service| service.code.as_str())
    }

    /// HTTP status, when S3 answered.
    pub fn status(&self) -> Option<u16> {
        self.as_service().map(|service| service.status)
    }

    /// Whether this process or machine ran out of something that others give back: descriptors, ports, memory (PITFALLS
    /// section 7, "Back-pressure").
    pub fn is_exhausted(&self) -> bool {
        let mut below: Option<&(dyn StdError + 'static)> = Some(self);
        while let Some(error) = below {
            let number = match error.downcast_ref::<io::Error>() {
                Some(error) => error.raw_os_error(),
                None => None,
            };
            if number.is_some_and(|number| EXHAUSTED.contains(&number)) {
                return true;
            }
            below = error.source();
        }
        false
    }

    /// Whether the transfer was cancelled; also where nobody can tell how far it had come.
    pub fn is_cancelled(&self) -> bool {
        match self.0.kind {
            Kind::Cancelled => true,
            Kind::OutcomeUnknown => {
                let below = StdError::source(self).and_then(|below| below.downcast_ref::<Self>());
                below.is_some_and(Self::is_cancelled)
            }
            _ => false,
        }
    }
}

/// EMFILE, ENFILE, EADDRNOTAVAIL, ENOMEM, ENOBUFS.
#[cfg(unix)]
const EXHAUSTED: [i32; 5] = {
    use rustix::io::Errno;
    [
        Errno::MFILE.raw_os_error(),
        Errno::NFILE.raw_os_error(),
        Errno::ADDRNOTAVAIL.raw_os_error(),
        Errno::NOMEM.raw_os_error(),
        Errno::NOBUFS.raw_os_error(),
    ]
};
/// ERROR_TOO_MANY_OPEN_FILES, WSAEMFILE, WSAEADDRNOTAVAIL, ERROR_NOT_ENOUGH_MEMORY, WSAENOBUFS.
#[cfg(windows)]
const EXHAUSTED: [i32; 5] = [4, 10_024, 10_049, 8, 10_055];

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let context = &self.0.context;
        let mut separator = " [";
        let mut item = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn fmt::Display| {
            let written = write!(f, "{separator}{name}: {value}");
            separator = ", ";
            written
        };
        if let Some(operation) = context.operation {
            item(f, "operation", &operation)?;
        }
        if let Some(bucket) = &context.bucket {
            item(f, "bucket", bucket)?;
        }
        if let Some(key) = &context.key {
            item(f, "key", &key.escape_debug())?;
        }
        if let Some(path) = &context.path {
            item(f, "path", &path.display())?;
        }
        if let Some(endpoint) = &context.endpoint {
            item(f, "endpoint", endpoint)?;
        }
        if let Some(id) = self.as_service().and_then(|service| service.request_id.as_deref()) {
            item(f, "request id", &id)?;
        }
        if context.attempts > 1 {
            item(f, "attempts", &context.attempts)?;
        }
        if separator == ", " { f.write_str("]") } else { Ok(()) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("context", &self.0.context)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_was_done_and_where() {
        let service = ServiceError {
            status: 403,
            code: "AccessDenied".into(),
            message: "no".into(),
            request_id: Some("R1".into()),
            ..ServiceError::default()
        };
        let error = Error::service(service)
            .during("PutObject")
            .of_object("b", "k\n")
            .at_path("/f")
            .at_endpoint("http://h:1")
            .after_attempts(2);
        assert_eq!(
            error.to_string(),
            "AccessDenied (403): no [operation: PutObject, bucket: b, key: k\\n, path: /f, endpoint: http://h:1, \
             request id: R1, attempts: 2]"
        );
    }

    #[test]
    fn what_is_named_first_stays() {
        let error = Error::new(Kind::Connect, "x")
            .during("GetObject")
            .during("PutObject")
            .of_object("a", "b")
            .of_object("c", "d");
        assert_eq!(error.context().operation, Some("GetObject"));
        assert_eq!(error.context().key.as_deref(), Some("b"));
    }
}
