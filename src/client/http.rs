//! The SDK's requests over the pool of the data plane: one TLS set-up, one limit of time, one place that opens sockets.

use std::fmt;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::BodyExt;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::error::{Error, Kind, Result};
use crate::wire::body::Payload;
use crate::wire::pool::{Pool, Sending, Timeouts};
use crate::wire::response::ServerResponse;

/// The longest answer of a control request. A page of 1,000 keys of 1,024 bytes, each byte percent-encoded, with XML
/// around it is below 8 MiB.
const LONGEST_ANSWER: usize = 16 << 20;

/// An `HttpClient` for the SDK over a pool.
#[derive(Clone)]
pub struct SdkHttp {
    pool: Pool,
    timeouts: Timeouts,
    user_agent: Option<HeaderValue>,
}

impl SdkHttp {
    /// Sends through `pool` within these limits.
    pub fn new(pool: Pool, timeouts: Timeouts) -> Self {
        Self { pool, timeouts, user_agent: None }
    }

    /// With a `User-Agent` of one's own instead of the SDK's.
    pub fn calling_itself(self, user_agent: HeaderValue) -> Self {
        Self { user_agent: Some(user_agent), ..self }
    }

    async fn send(&self, request: HttpRequest, timeouts: Timeouts) -> Result<HttpResponse> {
        let broken = |error: &dyn fmt::Display| Error::new(Kind::Internal, format!("the SDK's request: {error}"));
        let (parts, body) = request.try_into_http1x().map_err(|error| broken(&error))?.into_parts();
        let body = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
        let mut head = Request::from_parts(parts, ());
        if !head.headers().contains_key(header::HOST)
            && let Some(authority) = head.uri().authority()
        {
            let secure = head.uri().scheme_str() == Some("https");
            let default = if secure { 443 } else { 80 };
            let text = authority.as_str();
            let host = match authority.port_u16() {
                Some(port) if port == default => text.rsplit_once(':').map_or(text, |(host, _)| host),
                _ => text,
            };
            let host = HeaderValue::from_str(host).map_err(|error| broken(&error))?;
            head.headers_mut().insert(header::HOST, host);
        }
        if let Some(user_agent) = &self.user_agent {
            head.headers_mut().insert(header::USER_AGENT, user_agent.clone());
        }
        if matches!(*head.method(), Method::PUT | Method::POST) {
            head.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        // Creating or completing an upload twice is not the same as once: those are retried by who knows.
        let replayable = *head.method() != Method::POST;
        // An upload whose id was in an answer that could not be read is one that nobody can abort.
        let only_once = !replayable && head.uri().query().is_some_and(begins_upload);
        let sending = Sending { timeouts, replayable, only_once, expect_continue: false, window: None };
        let answer = self.pool.send(&head, &Payload::Bytes(body), &sending).await?;
        let mut response = ServerResponse::new(answer, timeouts.read, None);
        if *head.method() == Method::POST {
            // CompleteMultipartUpload is answered with white space for minutes (PITFALLS 2.1).
            response = response.patient();
        }
        let mut body = response.collect(LONGEST_ANSWER).await?;
        if let Some(length) = response.content_length()
            && length != body.len() as u64
            && *head.method() != Method::HEAD
        {
            return Err(Error::new(Kind::BodyCut, format!("the answer has {} of {length} bytes", body.len())));
        }
        // Without a length only the document itself tells that it was cut.
        if *head.method() == Method::GET && response.status.is_success() && is_broken_document(&body) {
            return Err(Error::new(Kind::BadResponse, "the answer is a document without an end, or a broken one"));
        }
        if *head.method() == Method::POST && response.status.is_success() {
            body = with_s3s_root(body);
        }
        let mut built = http::Response::new(SdkBody::from(body));
        *built.status_mut() = response.status;
        // The SDK refuses header values that are not text; nothing it reads here is anything else.
        for (name, value) in &response.headers {
            if value.to_str().is_ok() {
                built.headers_mut().append(name.clone(), value.clone());
            }
        }
        HttpResponse::try_from(built)
            .map_err(|error| Error::new(Kind::BadResponse, format!("the answer can't be understood: {error}")))
    }
}

/// Whether this is the query of a CreateMultipartUpload.
fn begins_upload(query: &str) -> bool {
    query.split('&').any(|part| matches!(part, "uploads" | "uploads="))
}

/// The root of CreateMultipartUpload's answer by S3's name: gofakes3, which `rclone serve s3` is made of, has another
/// one, and the SDK is the only reader that minds.
fn with_s3s_root(body: Bytes) -> Bytes {
    const OTHER: &str = "<InitiateMultipartUpload>";
    match std::str::from_utf8(&body) {
        Ok(text) if text.contains(OTHER) => text
            .replace(OTHER, "<InitiateMultipartUploadResult>")
            .replace("</InitiateMultipartUpload>", "</InitiateMultipartUploadResult>")
            .into(),
        _ => body,
    }
}

/// Whether this is XML that is not one element with all others closed in it: cut, or damaged. The SDK's parser minds
/// neither, and what it passes over is missing from a listing.
fn is_broken_document(body: &[u8]) -> bool {
    let text = body.trim_ascii();
    if !text.starts_with(b"<") {
        return false;
    }
    let mut reader = Reader::from_reader(text);
    let (mut depth, mut roots) = (0_usize, 0_usize);
    loop {
        let opened = match reader.read_event() {
            Ok(Event::Start(_)) => 1,
            Ok(Event::Empty(_)) => 0,
            Ok(Event::End(_)) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Ok(Event::Eof) => return depth != 0 || roots != 1,
            Ok(_) => continue,
            // The name of an end that is not that of its beginning is among these.
            Err(_) => return true,
        };
        roots += usize::from(depth == 0);
        depth += opened;
    }
}

impl fmt::Debug for SdkHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SdkHttp")
    }
}

impl HttpClient for SdkHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // The credential providers come with limits of their own: an address that answers nowhere but on EC2 must
        // not cost a minute.
        let timeouts = Timeouts {
            connect: settings.connect_timeout().unwrap_or(self.timeouts.connect),
            read: settings.read_timeout().unwrap_or(self.timeouts.read),
        };
        SharedHttpConnector::new(Connector { http: self.clone(), timeouts })
    }
}

#[derive(Debug)]
struct Connector {
    http: SdkHttp,
    timeouts: Timeouts,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (http, timeouts) = (self.http.clone(), self.timeouts);
        HttpConnectorFuture::new(async move {
            http.send(request, timeouts).await.map_err(|error| match error.kind() {
                Kind::ConnectTimeout | Kind::ReadTimeout => ConnectorError::timeout(Box::new(error)),
                Kind::Connect | Kind::ConnectionClosed | Kind::BodyCut => ConnectorError::io(Box::new(error)),
                _ => ConnectorError::other(Box::new(error), None),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_ends_with_its_root() {
        for (text, broken) in [
            ("<?xml version=\"1.0\"?>\n<A x=\"y\"><B/></A>\n", false),
            ("<A><B></B></A >", false),
            ("<A/>", false),
            ("{}", false),
            ("", false),
            ("<A><B></B>", true),
            ("<A><B/>", true),
            ("<A><B></B></", true),
            ("<?xml version=\"1.0\"?>", true),
            ("<A><B>x</B><B/>\u{1} &amp; <!-- <C> --></A>", false),
            ("<A><B>x=/B></A>", true),
            ("<A><B>x</C></A>", true),
            ("<A>x</A><A>x</A>", true),
            ("</A>", true),
        ] {
            assert_eq!(is_broken_document(text.as_bytes()), broken, "{text}");
        }
    }

    #[test]
    fn another_name_of_the_root_is_understood() {
        let s3s = "<?xml?><InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
        let other = "<?xml?><InitiateMultipartUpload><UploadId>1</UploadId></InitiateMultipartUpload>";
        for (answer, read) in [(s3s, s3s), (other, s3s), ("", ""), ("<Error/>", "<Error/>")] {
            assert_eq!(with_s3s_root(Bytes::from(answer)), read);
        }
    }
}
