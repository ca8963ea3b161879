//! Answers: read within limits of time, never trusted to be whole because they ended.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::error_document::parse_error;
use super::failure::from_hyper;
use super::pieces::Pieces;
use super::pool::{Answer, Unfinished, is_too_slow};
use super::socket::ConnectionHandle;
use crate::error::{Error, Kind, Result};
use crate::flow::Window;

/// Longest error document that is read (S3's have some hundred bytes).
const ERROR_LIMIT: usize = 64 << 10;
/// Longest time for it: an answer that says no is not worth more.
const ERROR_TIME: Duration = Duration::from_secs(1);

/// An answer with a good status.
pub struct ServerResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers as they came; values may be any bytes.
    pub headers: HeaderMap,
    /// From the last byte of the request to the head: the way there and back, and what the server did.
    pub answer_time: Option<Duration>,
    body: Incoming,
    /// The longest time without a byte; also the time over which the rate is averaged.
    read_timeout: Duration,
    /// Whether white space may trickle: it says that S3 is at work.
    patient: bool,
    /// Time spent waiting and bytes that came, since the rate was last judged.
    waited: (Duration, u64),
    window: Option<Window>,
    connection: Option<ConnectionHandle>,
    ended: bool,
    _unfinished: Option<Unfinished>,
}

impl ServerResponse {
    /// Takes over an answer.
    pub fn new(answer: Answer, read_timeout: Duration, window: Option<Window>) -> Self {
        let (parts, body) = answer.response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            answer_time: answer.answer_time,
            body,
            read_timeout,
            patient: false,
            waited: (Duration::ZERO, 0),
            window,
            connection: answer.connection,
            ended: false,
            _unfinished: answer.unfinished,
        }
    }

    /// Waits as long as there comes white space now and then.
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// A header's text, if it is text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `Content-Length`.
    pub fn content_length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH)?.parse().ok()
    }

    /// The next bytes; `None` at the end, which says nothing about being whole: count.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let began = Instant::now();
            let Ok(frame) = tokio::time::timeout(self.read_timeout, self.body.frame()).await else {
                let text = format!("no byte of the answer within {:?}", self.read_timeout);
                return Err(Error::new(Kind::ReadTimeout, text));
            };
            let bytes = match frame {
                None => {
                    self.ended = true;
                    return Ok(None);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => bytes,
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => {
                    let described = from_hyper(&error, "the answer was cut");
                    return Err(match described.kind() {
                        Kind::ConnectionClosed => Error::new(Kind::BodyCut, described.message()).caused_by(error),
                        _ => described,
                    });
                }
            };
            if !(self.patient && bytes.iter().all(u8::is_ascii_whitespace)) {
                self.judge_rate(began.elapsed(), bytes.len() as u64)?;
            }
            if let Some(window) = &self.window {
                window.moved(bytes.len() as u64);
            }
            return Ok(Some(bytes));
        }
    }

    /// A server that trickles would never run into a time limit. Only time spent waiting counts.
    fn judge_rate(&mut self, waited: Duration, bytes: u64) -> Result<()> {
        self.waited.0 += waited;
        self.waited.1 += bytes;
        if self.waited.0 < self.read_timeout {
            return Ok(());
        }
        let (time, bytes) = std::mem::take(&mut self.waited);
        if is_too_slow(bytes, time) {
            return Err(Error::new(Kind::ReadTimeout, format!("only {bytes} bytes came in {time:?}")));
        }
        Ok(())
    }

    /// The whole body as it came, at most `limit` bytes: nothing is copied but tiny frames, together.
    pub async fn frames(&mut self, limit: usize) -> Result<Vec<Bytes>> {
        let mut frames = Pieces::default();
        let mut length = 0;
        while let Some(bytes) = self.next().await? {
            length += bytes.len();
            if length > limit {
                return Err(Error::new(Kind::BadResponse, format!("the answer is longer than {limit} bytes")));
            }
            frames.push(bytes);
        }
        Ok(frames.finish())
    }

    /// The whole body in one piece, at most `limit` bytes.
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes> {
        let mut frames = self.frames(limit).await?;
        if frames.len() == 1 {
            return Ok(frames.remove(0));
        }
        Ok(frames.concat().into())
    }

    /// Reads what is left of a body that should be empty or short, so that the connection can be kept.
    pub async fn drain(&mut self) {
        let _what_it_was = tokio::time::timeout(ERROR_TIME, self.collect(ERROR_LIMIT)).await;
    }

    /// The error that an answer with a bad status is, and whether its document was lost on the way: then the status is
    /// known, and S3's own code is not.
    pub async fn into_error(mut self, is_head: bool) -> (Error, bool) {
        let declared = self.content_length();
        let document = match tokio::time::timeout(ERROR_TIME, self.collect(ERROR_LIMIT)).await {
            Ok(Ok(bytes)) => Some(bytes),
            Ok(Err(_)) | Err(_) => None,
        };
        let whole = document.as_ref().is_some_and(|bytes| declared.is_none_or(|length| length == bytes.len() as u64));
        let document = if is_head { Bytes::new() } else { document.unwrap_or_default() };
        (Error::service(parse_error(self.status, &self.headers, &document)), !is_head && !whole)
    }

    /// Gives the connection up, unless the answer was read to its end: then it is back in the pool and may carry
    /// another request already.
    pub fn discard(self) {
        if self.ended || hyper::body::Body::is_end_stream(&self.body) {
            return;
        }
        if let Some(connection) = &self.connection {
            connection.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_body_in_chunks_of_one_byte_is_few_frames() {
        const LENGTH: usize = 200 << 10;
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await.unwrap();
        let connection = tokio::spawn(connection);
        let server = tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(theirs.read_buf(&mut request).await.unwrap() > 0);
            }
            let chunks = b"1\r\nx\r\n".repeat(LENGTH);
            let head: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            theirs.write_all(&[head, &chunks, b"0\r\n\r\n"].concat()).await.unwrap();
            theirs
        });
        let request = http::Request::new(http_body_util::Empty::<Bytes>::new());
        let response = sender.send_request(request).await.unwrap();
        let answer = Answer { response, connection: None, answer_time: None, unfinished: None };
        let mut response = ServerResponse::new(answer, Duration::from_secs(60), None);
        let frames = response.frames(LENGTH).await.unwrap();
        assert!(frames.len() <= 4, "{}", frames.len());
        assert!(frames.concat() == b"x".repeat(LENGTH));
        drop((sender, server.await.unwrap()));
        connection.await.unwrap().unwrap();
    }
}
