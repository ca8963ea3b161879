//! A connection's socket: limits blocked writes, can be killed from outside, and tells what it has carried.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::traffic::Counted;

/// How long one write may stay blocked. hyper keeps body, buffers and descriptor until the write ends, even when the
/// request was dropped (hyper `proto/h1/dispatch.rs`). As long as botocore's read timeout.
pub const WRITE_STALL_LIMIT: Duration = Duration::from_secs(60);

/// Sockets that a forked child must close without a word. As many as a process may usually open (soft RLIMIT_NOFILE).
static OPEN: [AtomicI32; 1024] = [const { AtomicI32::new(-1) }; 1024];

/// Descriptors of the pool's open sockets: what a forked child has inherited and must close raw, so that its parent's
/// streams see neither a TLS close nor a shutdown.
pub fn inherited_descriptors() -> Vec<i32> {
    OPEN.iter().map(|slot| slot.swap(-1, Relaxed)).filter(|descriptor| *descriptor >= 0).collect()
}

/// What is known about a connection, shared with the requests it carries.
#[derive(Clone, Debug)]
pub struct ConnectionHandle(Arc<State>);

#[derive(Debug)]
struct State {
    began: Instant,
    kill: CancellationToken,
    served: AtomicU32,
    written: AtomicU64,
    /// Microseconds after `began`.
    last_write: AtomicU64,
    /// Whether a byte was read since the last write.
    answered: AtomicBool,
}

impl ConnectionHandle {
    fn new() -> Self {
        Self(Arc::new(State {
            began: Instant::now(),
            kill: CancellationToken::new(),
            served: AtomicU32::new(0),
            written: AtomicU64::new(0),
            last_write: AtomicU64::new(0),
            answered: AtomicBool::new(false),
        }))
    }

    /// Ends the connection, also when a write is blocked.
    pub fn kill(&self) {
        self.0.kill.cancel();
    }

    /// Counts a response whose head arrived.
    pub fn served(&self) {
        self.0.served.fetch_add(1, Relaxed);
    }

    /// Whether this is a kept connection on which no byte came back after the last write: the server closed it before
    /// it saw the request, so the same bytes may be sent again at once.
    pub fn was_stale(&self) -> bool {
        self.0.served.load(Relaxed) > 0 && !self.0.answered.load(Relaxed)
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.0.written.load(Relaxed)
    }

    /// When something was written last.
    pub fn last_write(&self) -> Instant {
        self.0.began + Duration::from_micros(self.0.last_write.load(Relaxed))
    }
}

/// What a socket's bytes go through. TLS may lie in TLS, where a proxy is spoken to over it.
#[derive(Debug)]
pub enum Stream {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS whose handshake is done.
    Tls(Box<TlsStream<Stream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0.tcp(),
        }
    }
}

macro_rules! either {
    ($stream:expr, $poll:ident($($argument:expr),*)) => {
        match $stream {
            Stream::Plain(stream) => Pin::new(stream).$poll($($argument),*),
            Stream::Tls(stream) => Pin::new(stream).$poll($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), poll_shutdown(cx))
    }
}

/// The socket of one connection, plain or under TLS.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    handle: ConnectionHandle,
    is_proxied: bool,
    slot: Option<&'static AtomicI32>,
    stall: Option<Pin<Box<Blocked>>>,
    _counted: Counted,
}

/// What a blocked write waits for besides the peer.
#[derive(Debug)]
struct Blocked {
    limit: Pin<Box<Sleep>>,
    killed: Pin<Box<tokio_util::sync::WaitForCancellationFutureOwned>>,
}

impl Socket {
    /// A connection. One that leads to a proxy which reads the requests itself gets whole URLs to read.
    pub fn new(stream: Stream, counted: Counted, is_proxied: bool) -> TokioIo<Self> {
        let slot = register(stream.tcp());
        let handle = ConnectionHandle::new();
        TokioIo::new(Self { stream, handle, is_proxied, slot, stall: None, _counted: counted })
    }

    fn refuse_if_killed(&self) -> io::Result<()> {
        if self.handle.0.kill.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the request was given up"));
        }
        Ok(())
    }

    /// Watches over a write: counts it when it went, ends it when it is stuck.
    fn watch(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.stall = None;
                let state = &self.handle.0;
                state.written.fetch_add(bytes as u64, Relaxed);
                state.last_write.store(state.began.elapsed().as_micros() as u64, Relaxed);
                state.answered.store(false, Relaxed);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let handle = &self.handle;
                let blocked = self.stall.get_or_insert_with(|| {
                    Box::pin(Blocked {
                        limit: Box::pin(tokio::time::sleep(WRITE_STALL_LIMIT)),
                        killed: Box::pin(handle.0.kill.clone().cancelled_owned()),
                    })
                });
                if blocked.killed.as_mut().poll(context).is_ready() {
                    return Poll::Ready(self.refuse_if_killed().map(|()| 0));
                }
                ready!(blocked.limit.as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the server stopped reading")))
            }
        }
    }
}

#[cfg(unix)]
fn register(tcp: &TcpStream) -> Option<&'static AtomicI32> {
    use std::os::fd::AsRawFd;
    let descriptor = tcp.as_raw_fd();
    OPEN.iter().find(|slot| slot.compare_exchange(-1, descriptor, Relaxed, Relaxed).is_ok())
}

#[cfg(not(unix))]
fn register(_: &TcpStream) -> Option<&'static AtomicI32> {
    None
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.store(-1, Relaxed);
        }
    }
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied).extra(self.handle.clone())
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.refuse_if_killed()?;
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.handle.0.answered.store(true, Relaxed);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.refuse_if_killed()?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.refuse_if_killed()?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.refuse_if_killed()?;
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        // Under TLS the write itself only fills a buffer: here is where it blocks.
        match flushed {
            Poll::Pending => self.watch(cx, Poll::Pending).map_ok(|_| ()),
            ready => {
                self.stall = None;
                ready
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.refuse_if_killed()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
