//! Requests for objects and parts: built, signed, sent once. Retrying is the caller's, who knows what may be repeated.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};

use super::Wire;
use super::body::Payload;
use super::checksum::Algorithm;
use super::pool::{Sending, Timeouts};
use super::response::ServerResponse;
use super::sign::{UNSIGNED, header_value, sign_head, signed_value};
use crate::config::{PayloadSigning, TransferOptions};
use crate::error::{Error, Kind, Result};
use crate::flow::Window;

/// SHA-256 of no bytes.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Object Storage of Google unpacks gzip objects unless the client claims to take them (PITFALLS 2.16).
const GOOGLE: &str = "googleapis.com";

/// The status of a server that does not wait for `100 Continue`.
const EXPECTATION_FAILED: u16 = 417;

/// A request for one object.
pub struct ObjectRequest<'a> {
    /// S3's name for it.
    pub operation: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Bucket.
    pub bucket: &'a str,
    /// Key.
    pub key: &'a str,
    /// Query, encoded.
    pub query: String,
    /// Headers beyond those every request has.
    pub headers: HeaderMap,
    /// Body.
    pub payload: Payload,
    /// SHA-256 of the body in hex, where it was computed.
    pub sha256: Option<String>,
}

impl<'a> ObjectRequest<'a> {
    /// A request without a body.
    pub fn new(operation: &'static str, method: Method, bucket: &'a str, key: &'a str) -> Self {
        Self {
            operation,
            method,
            bucket,
            key,
            query: String::new(),
            headers: HeaderMap::new(),
            payload: Payload::EMPTY,
            sha256: None,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: &str) -> Result<Self> {
        self.headers.insert(name, signed_value(value)?);
        Ok(self)
    }

    /// Adds the checksum of the body, where one is sent.
    pub fn checksum(mut self, algorithm: Algorithm, value: Option<&str>) -> Result<Self> {
        if let (Some(name), Some(value)) = (algorithm.header(), value) {
            self.headers.insert(name, header_value(value)?);
        }
        Ok(self)
    }
}

/// Limits that one request keeps.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The client's options.
    pub options: &'a TransferOptions,
    /// Where moved bytes are counted.
    pub window: Option<&'a Window>,
    /// Whether to ask before the body is sent.
    pub expect_continue: bool,
}

/// Why one request failed.
struct Failed {
    error: Error,
    /// S3 answered, but of its answer only the head arrived, since it did not want the body.
    document_lost: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, document_lost: false }
    }
}

impl<'a> Limits<'a> {
    /// The options' limits.
    pub fn new(options: &'a TransferOptions, window: Option<&'a Window>) -> Self {
        Self { options, window, expect_continue: false }
    }

    /// Whether to ask why: a status of 500 or more is sent again anyway, and one attempt is one request.
    fn may_ask_again(&self, error: &Error) -> bool {
        self.options.max_attempts > 1 && !self.expect_continue && error.status().is_some_and(|status| status < 500)
    }

    /// How a request with these limits is sent.
    pub fn sending(&self, replayable: bool) -> Sending {
        Sending {
            timeouts: Timeouts { connect: self.options.connect_timeout, read: self.options.read_timeout },
            replayable,
            only_once: false,
            expect_continue: self.expect_continue,
            window: self.window.cloned(),
        }
    }
}

impl Wire {
    /// Whether the body of a request to this bucket is signed, so that its SHA-256 must be known.
    pub async fn signs_payload(&self, bucket: &str, signing: PayloadSigning) -> Result<bool> {
        Ok(match signing {
            PayloadSigning::Always => true,
            PayloadSigning::Never => false,
            PayloadSigning::Auto => !self.endpoints.target(bucket).await?.is_https(),
        })
    }

    /// Sends a request once. An answer is good only if its status is, and if the whole body was taken.
    pub async fn attempt(&self, request: &ObjectRequest<'_>, limits: Limits<'_>) -> Result<ServerResponse> {
        let named = |error: Error| error.during(request.operation).of_object(request.bucket, request.key);
        let lost = match self.attempt_unnamed(request, limits).await {
            Ok(response) => return Ok(response),
            // It does not know the header (RFC 9110 section 10.1.1).
            Err(Failed { error, .. }) if limits.expect_continue && error.status() == Some(EXPECTATION_FAILED) => {
                let plain = Limits { expect_continue: false, ..limits };
                return Box::pin(self.attempt_unnamed(request, plain)).await.map_err(|failed| named(failed.error));
            }
            Err(Failed { error, document_lost: true }) if limits.may_ask_again(&error) => named(error),
            Err(Failed { error, .. }) => return Err(named(error)),
        };
        // The server refused without reading the body, and its reset took the reason along. Asked first, it can say.
        let asking = Limits { expect_continue: true, ..limits };
        match Box::pin(self.attempt_unnamed(request, asking)).await {
            Ok(response) => Ok(response),
            Err(Failed { error, .. }) => {
                let says_why = error.status().is_some_and(|status| status != EXPECTATION_FAILED);
                Err(if says_why { named(error) } else { lost })
            }
        }
    }

    async fn attempt_unnamed(&self, request: &ObjectRequest<'_>, limits: Limits<'_>) -> Result<ServerResponse, Failed> {
        let target = self.endpoints.target(request.bucket).await?;
        let at = |error: Error| error.at_endpoint(&target.endpoint());
        let mut head = Request::new(());
        *head.method_mut() = request.method.clone();
        *head.uri_mut() = target.url(request.key, &request.query)?;
        *head.headers_mut() = request.headers.clone();
        let headers = head.headers_mut();
        headers.reserve(8);
        headers.insert(header::HOST, header_value(target.host())?);
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        if !self.validates && request.method == Method::GET {
            headers.remove("x-amz-checksum-mode");
        }
        if request.method == Method::PUT {
            // hyper leaves the header out when there is no body, and S3 refuses that.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(request.payload.length()));
        } else {
            let encoding = if target.host().ends_with(GOOGLE) { "gzip" } else { "identity" };
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        }
        let hash = match (&request.sha256, request.payload.length()) {
            (Some(hash), _) => hash.as_str(),
            (None, 0) => EMPTY_SHA256,
            (None, _) => UNSIGNED,
        };
        let identity = self.identity().await.map_err(at)?;
        sign_head(&mut head, hash, &identity, &target.region, self.clock.now())?;
        let answer = self.pool.send(&head, &request.payload, &limits.sending(true)).await.map_err(at)?;
        let body_finished = answer.unfinished.is_none();
        let response = ServerResponse::new(answer, limits.options.read_timeout, limits.window.cloned());
        if !response.status.is_success() {
            let (error, lost) = Box::pin(response.into_error(request.method == Method::HEAD)).await;
            self.look_at_expiry(&error, &identity);
            return Err(Failed { error: at(error), document_lost: lost && !body_finished });
        }
        if !body_finished {
            // "Stored" before all was sent: whatever is stored there, it is not the file.
            let text = format!("the server answered {} before the body had been sent", response.status);
            response.discard();
            return Err(at(Error::new(Kind::ConnectionClosed, text)).into());
        }
        if let (Some(window), Some(took)) = (limits.window, response.answer_time) {
            window.answered(took);
        }
        Ok(response)
    }
}
