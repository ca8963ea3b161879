//! Request bodies: bytes in memory, or a stretch of a file that is read while it is sent. A body can be stopped, knows
//! whether it was pulled to its end, and keeps the first local error, because hyper shows none of these to the caller.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::checksum::crc64;
use crate::error::{Error, Kind, Result};
use crate::flow::Window;

/// Bytes per frame. hyper queues at most 408 KiB and rustls takes 64 KiB a turn, so larger ones only cost memory;
/// measured, smaller ones cost system calls (docs/decisions/0001).
pub const FRAME: usize = 256 << 10;

/// A future in a box.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something of known length that can be read at any place, again and again.
pub trait ReadAt: Send + Sync + 'static {
    /// Reads exactly so many bytes. A source that has become shorter is an error.
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<Result<Bytes>>;
}

/// Bytes in memory, in pieces of one frame each; only the last may be shorter.
pub trait Frames: Send + Sync + 'static {
    /// How many bytes they are.
    fn length(&self) -> u64;

    /// The pieces in order.
    fn pieces(&self) -> &[Bytes];
}

/// What a request sends. Cloning is cheap: a retry sends the same again.
#[derive(Clone)]
pub enum Payload {
    /// Bytes in memory.
    Bytes(Bytes),
    /// The same in several pieces.
    Frames(Arc<dyn Frames>),
    /// A stretch of a file.
    Stretch {
        /// The file.
        source: Arc<dyn ReadAt>,
        /// Its first byte.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// CRC-64/NVME of these bytes when they were read for checksum and signature. What is sent is compared with
        /// it: the end of a body that differs is never sent.
        crc64: u64,
    },
}

impl Payload {
    /// No bytes.
    pub const EMPTY: Self = Self::Bytes(Bytes::new());

    /// How many bytes go out.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Frames(frames) => frames.length(),
            Self::Stretch { length, .. } => *length,
        }
    }
}

/// What others may know of a body and do to it while hyper has it.
#[derive(Debug, Default)]
pub struct BodyState {
    held: AtomicBool,
    stopped: AtomicBool,
    finished: AtomicBool,
    error: OnceLock<Error>,
    /// Whom to wake when a held body is stopped.
    waiting: Mutex<Option<Waker>>,
    source: Mutex<SourceTime>,
}

/// How long a body has waited for its file: time in which the server owes nothing (PITFALLS 5.12).
#[derive(Debug, Default, Clone, Copy)]
pub struct SourceTime {
    /// Since when it waits now.
    since: Option<Instant>,
    before: Duration,
    /// When the last wait ended.
    pub ended: Option<Instant>,
}

impl SourceTime {
    /// Whether it waits now.
    pub fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// The time so far.
    pub fn total(&self) -> Duration {
        self.before + self.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    fn note(&mut self, is_waiting: bool) {
        match (self.since, is_waiting) {
            (None, true) => self.since = Some(Instant::now()),
            (Some(since), false) => {
                let now = Instant::now();
                *self = Self { since: None, before: self.before + (now - since), ended: Some(now) };
            }
            _ => {}
        }
    }
}

impl BodyState {
    /// Gives out no more bytes, and does not end either: the connection stays whole while the answer is read.
    pub fn hold(&self) {
        self.held.store(true, Ordering::Release);
    }

    /// Ends the body with an error at its next frame, so that hyper closes the connection.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(waker) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Whether a held body has to wait on; it is woken when that changes.
    fn waits_to_be_stopped(&self, context: &Context<'_>) -> bool {
        if !self.held.load(Ordering::Acquire) {
            return false;
        }
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        !self.stopped.load(Ordering::Acquire)
    }

    /// How long the body has waited for its file.
    pub fn source_time(&self) -> SourceTime {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_source(&self, is_waiting: bool) {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).note(is_waiting);
    }

    /// Whether every byte was handed to hyper.
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// The local error that ended the body.
    pub fn error(&self) -> Option<&Error> {
        self.error.get()
    }
}

/// A body on its way.
pub struct RequestBody {
    payload: Payload,
    /// Position of the next byte within the payload.
    position: u64,
    pending: Option<BoxFuture<Result<Bytes>>>,
    crc: crc_fast::Digest,
    state: Arc<BodyState>,
    /// Waits for `100 Continue`, or for the time after which none is expected any more.
    gate: Option<BoxFuture<()>>,
    window: Option<Window>,
}

impl RequestBody {
    /// A body and what can be known of it.
    pub fn new(payload: Payload, window: Option<Window>, gate: Option<BoxFuture<()>>) -> (Self, Arc<BodyState>) {
        let state = Arc::new(BodyState::default());
        state.finished.store(payload.length() == 0, Ordering::Release);
        let crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        let body = Self { payload, position: 0, pending: None, crc, state: state.clone(), gate, window };
        (body, state)
    }

    fn remaining(&self) -> u64 {
        self.payload.length() - self.position
    }

    fn fail(&self, error: Error) -> Poll<Option<Result<Frame<Bytes>>>> {
        let _first_one_stays = self.state.error.set(error.clone());
        Poll::Ready(Some(Err(error)))
    }

    /// Counts bytes that go out; the last ones only after the whole was compared.
    fn hand_out(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.position += bytes.len() as u64;
        if self.remaining() == 0 {
            self.state.finished.store(true, Ordering::Release);
        }
        if let Some(window) = &self.window {
            window.moved(bytes.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

/// The next stretch to read, one frame long at most.
fn read_next(source: &Arc<dyn ReadAt>, offset: u64, remaining: u64) -> Option<BoxFuture<Result<Bytes>>> {
    (remaining > 0).then(|| source.read_at(offset, remaining.min(FRAME as u64) as usize))
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.state.waits_to_be_stopped(context) {
            return Poll::Pending;
        }
        if let Some(gate) = &mut this.gate {
            ready!(gate.as_mut().poll(context));
            this.gate = None;
        }
        if this.state.stopped.load(Ordering::Acquire) {
            return this
                .fail(Error::new(Kind::ConnectionClosed, "the body was stopped: the answer came before its end"));
        }
        let remaining = this.remaining();
        if remaining == 0 {
            return Poll::Ready(None);
        }
        match &this.payload {
            Payload::Bytes(bytes) => {
                let start = this.position as usize;
                let frame = bytes.slice(start..bytes.len().min(start + FRAME));
                this.hand_out(frame)
            }
            Payload::Frames(frames) => {
                let next = frames.pieces().get(this.position as usize / FRAME).cloned();
                match next {
                    Some(frame) => this.hand_out(frame),
                    None => this.fail(Error::new(Kind::Internal, "fewer frames than their length says")),
                }
            }
            Payload::Stretch { source, offset, crc64, .. } => {
                let at = offset + this.position;
                if this.pending.is_none() {
                    this.pending = read_next(source, at, remaining);
                }
                let Some(pending) = &mut this.pending else { return Poll::Ready(None) };
                let read = pending.as_mut().poll(context);
                this.state.note_source(read.is_pending());
                let bytes = match ready!(read) {
                    Ok(bytes) => bytes,
                    Err(error) => return this.fail(error),
                };
                let length = bytes.len() as u64;
                // The next frame is read while this one is sent.
                this.pending = read_next(source, at + length, remaining - length);
                let expected = *crc64;
                this.crc.update(&bytes);
                if remaining == length && this.crc.finalize() != expected {
                    return this.fail(Error::new(Kind::SourceChanged, "the file changed while it was sent"));
                }
                this.hand_out(bytes)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}

/// A stretch of memory as a source, for bodies that were read whole.
impl ReadAt for Bytes {
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<Result<Bytes>> {
        let start = offset as usize;
        let bytes = (start + length <= self.len()).then(|| self.slice(start..start + length));
        Box::pin(std::future::ready(bytes.ok_or_else(|| Error::new(Kind::SourceChanged, "the source became shorter"))))
    }
}

/// A payload over a source whose bytes were just read.
pub fn stretch(source: Arc<dyn ReadAt>, bytes: &[u8]) -> Payload {
    Payload::Stretch { source, offset: 0, length: bytes.len() as u64, crc64: crc64(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn pull(mut body: RequestBody) -> Result<Vec<u8>> {
        let mut all = vec![];
        while let Some(frame) = body.frame().await {
            all.extend_from_slice(&frame?.into_data().unwrap());
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_stretch_is_sent_in_frames_and_is_finished_at_its_end() {
        let bytes = Bytes::from(vec![7; FRAME * 2 + 5]);
        let (body, state) = RequestBody::new(stretch(Arc::new(bytes.clone()), &bytes), None, None);
        assert!(!state.is_finished());
        assert_eq!(pull(body).await.unwrap(), bytes);
        assert!(state.is_finished());
    }

    struct Pieces(Vec<Bytes>, u64);

    impl Frames for Pieces {
        fn length(&self) -> u64 {
            self.1
        }

        fn pieces(&self) -> &[Bytes] {
            &self.0
        }
    }

    #[tokio::test]
    async fn pieces_are_sent_in_order_and_must_be_as_many_as_they_say() {
        let pieces = vec![Bytes::from(vec![1; FRAME]), Bytes::from(vec![2; FRAME]), Bytes::from_static(b"end")];
        let length = 2 * FRAME as u64 + 3;
        let payload = |length| Payload::Frames(Arc::new(Pieces(pieces.clone(), length)));
        let (body, state) = RequestBody::new(payload(length), None, None);
        assert_eq!(pull(body).await.unwrap(), pieces.concat());
        assert!(state.is_finished());
        let (body, state) = RequestBody::new(payload(length + FRAME as u64), None, None);
        assert_eq!(pull(body).await.unwrap_err().kind(), &Kind::Internal);
        assert!(!state.is_finished());
    }

    #[tokio::test]
    async fn the_end_of_a_stretch_that_changed_is_not_sent() {
        let sent = Bytes::from(vec![1; FRAME + 5]);
        let mut hashed = sent.to_vec();
        hashed[3] = 2;
        let (mut body, state) = RequestBody::new(stretch(Arc::new(sent), &hashed), None, None);
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), &Kind::SourceChanged);
        assert!(!state.is_finished());
        assert_eq!(state.error().unwrap().kind(), &Kind::SourceChanged);
    }

    #[tokio::test]
    async fn a_source_that_became_shorter_is_an_error() {
        let bytes = Bytes::from(vec![1; 10]);
        let payload = Payload::Stretch { source: Arc::new(bytes), offset: 0, length: 11, crc64: 0 };
        let (body, _) = RequestBody::new(payload, None, None);
        assert_eq!(pull(body).await.unwrap_err().kind(), &Kind::SourceChanged);
    }

    #[tokio::test]
    async fn a_stopped_body_ends_with_an_error() {
        let (body, state) = RequestBody::new(Payload::Bytes(Bytes::from_static(b"abc")), None, None);
        state.stop();
        assert!(pull(body).await.is_err());
        assert!(!state.is_finished());
    }

    #[tokio::test]
    async fn a_held_body_waits_until_it_is_stopped() {
        let (mut body, state) = RequestBody::new(Payload::Bytes(Bytes::from_static(b"abc")), None, None);
        state.hold();
        let asked = tokio::spawn(async move { body.frame().await });
        tokio::task::yield_now().await;
        assert!(!asked.is_finished());
        state.stop();
        assert!(asked.await.unwrap().unwrap().is_err());
    }

    #[tokio::test]
    async fn no_bytes_are_finished_from_the_start() {
        let (body, state) = RequestBody::new(Payload::EMPTY, None, None);
        assert!(state.is_finished());
        assert!(http_body::Body::is_end_stream(&body));
    }
}
