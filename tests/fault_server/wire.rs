//! One connection, down to its bytes, its pauses, and the ways in which it ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::fault::Ending;
use super::state::State;

/// Room for a key of 1,024 escaped bytes and thousands of headers.
const LARGEST_HEAD: usize = 256 * 1024;
/// Small, so that "answered before the body was read" stays nearly true.
const HEAD_READ: usize = 4 * 1024;
const BODY_READ: usize = 64 * 1024;
/// How often a connection that must not be read is asked whether its peer is still there.
const PEER_CHECK: Duration = Duration::from_millis(2);

/// The connection is over; there is nothing more to do on it.
#[derive(Debug)]
pub struct Closed;

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer).await,
            Stream::Tls(stream) => stream.read(buffer).await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn shutdown(&mut self) -> std::io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
        }
    }
}

pub struct Wire {
    stream: Stream,
    pub state: Arc<State>,
    /// Read from the socket, not yet used.
    buffer: BytesMut,
}

impl Wire {
    pub fn new(stream: Stream, state: Arc<State>) -> Wire {
        Wire { stream, state, buffer: BytesMut::new() }
    }

    /// For a handshake; nothing may have been read yet.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    async fn fill(&mut self, at_most: usize) -> Result<(), Closed> {
        let mut chunk = vec![0; at_most];
        let count = self.stream.read(&mut chunk).await.map_err(|_| Closed)?;
        if count == 0 {
            return Err(Closed);
        }
        self.state.count_in(count);
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(())
    }

    /// A request head with its empty line. With `idle`, the first byte must come within that time.
    pub async fn read_head(&mut self, idle: Option<Duration>) -> Result<Bytes, Closed> {
        if let Some(limit) = idle.filter(|_| self.buffer.is_empty()) {
            match tokio::time::timeout(limit, self.fill(HEAD_READ)).await {
                Ok(filled) => filled?,
                Err(_) => return Err(self.end(Ending::Fin).await),
            }
        }
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(self.buffer.split_to(end + 4).freeze());
            }
            if self.buffer.len() > LARGEST_HEAD {
                return Err(self.end(Ending::Reset).await);
            }
            self.fill(HEAD_READ).await?;
        }
    }

    /// The next bytes of a body, at most so many.
    pub async fn read_some(&mut self, at_most: usize) -> Result<Bytes, Closed> {
        if self.buffer.is_empty() {
            self.fill(at_most.min(BODY_READ)).await?;
        }
        let count = self.buffer.len().min(at_most);
        Ok(self.buffer.split_to(count).freeze())
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.stream.write_all(bytes).await.map_err(|_| Closed)?;
        self.state.count_out(bytes.len());
        Ok(())
    }

    /// Waits, unless the peer goes away before.
    pub async fn pause(&mut self, duration: Duration) -> Result<(), Closed> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            () = peer_closed(self.stream.tcp()) => Err(Closed),
        }
    }

    /// Reads and throws away until the peer closes.
    pub async fn hold(&mut self) -> Closed {
        let state = Arc::clone(&self.state);
        let _held = state.hold_begun();
        self.drain().await;
        Closed
    }

    async fn drain(&mut self) {
        while self.fill(BODY_READ).await.is_ok() {
            self.buffer.clear();
        }
    }

    pub async fn end(&mut self, ending: Ending) -> Closed {
        let state = Arc::clone(&self.state);
        match ending {
            // Dropping the socket is a plain close().
            Ending::KeepOpen | Ending::Fin => {}
            Ending::FinAndDrain => {
                let _already_gone = self.stream.shutdown().await;
                self.drain().await;
            }
            Ending::Reset => self.reset_when_dropped(),
            Ending::ResetAfter(delay) => {
                let _peer_was_first = self.pause(delay).await;
                self.reset_when_dropped();
            }
            Ending::HoldUnread => {
                let _held = state.hold_begun();
                peer_closed(self.stream.tcp()).await;
            }
        }
        Closed
    }

    fn reset_when_dropped(&self) {
        let _already_gone = SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO));
    }
}

/// Returns once the peer has sent FIN or RST, without reading what stands before it.
/// A peer that closes behind a full window can't be noticed, here as little as by any server.
async fn peer_closed(stream: &TcpStream) {
    loop {
        match stream.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() => tokio::time::sleep(PEER_CHECK).await,
            _ => return,
        }
    }
}
