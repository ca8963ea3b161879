//! Makes connections: name, TCP, TLS, under one limit of time.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tower_service::Service;

use super::proxy::{Proxy, Routes};
use super::resolve::{LookUp, Resolver};
use super::socket::{Socket, Stream, WRITE_STALL_LIMIT};
use super::tls::{Tls, handshake_error, server_name};
use super::traffic::Traffic;
use super::tunnel::{failed, tunnel};
use crate::error::{Error, Kind, Result};

/// How long one address has the field alone (RFC 8305 section 5, "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);

/// Makes the connections of one pool.
#[derive(Clone)]
pub struct Connector(Arc<Shared>);

struct Shared {
    resolver: Resolver,
    routes: Routes,
    tls: Arc<Tls>,
    limit: Duration,
    traffic: Arc<Traffic>,
}

/// The message of the error for a connection that was not made because nobody needs it any more.
pub const SURPLUS: &str = "there are connections enough";

impl Connector {
    /// A connector that gives up after `limit`; a request with a shorter limit gives up earlier.
    pub fn new(tls: Arc<Tls>, routes: Routes, look_up: Arc<LookUp>, limit: Duration, traffic: Arc<Traffic>) -> Self {
        Self(Arc::new(Shared { resolver: Resolver::new(look_up), routes, tls, limit, traffic }))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let Ok(connected) = tokio::time::timeout(shared.limit, shared.connect(&uri)).await else {
                return Err(Error::new(Kind::ConnectTimeout, format!("no connection within {:?}", shared.limit)));
            };
            connected
        })
    }
}

impl Shared {
    async fn connect(&self, uri: &Uri) -> Result<TokioIo<Socket>> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let traffic = self.traffic.host(uri);
        let Some(_turn) = traffic.turn().await else {
            return Err(Error::new(Kind::Connect, SURPLUS));
        };
        let proxy = self.routes.proxy(uri);
        let stream = match proxy {
            Some(proxy) => self.to_proxy(proxy).await?,
            None => Stream::Plain(self.reach(host, port).await?),
        };
        if !secure {
            return Ok(Socket::new(stream, traffic.connected(), proxy.is_some()));
        }
        let stream = match (stream, proxy) {
            (mut stream, Some(proxy)) => {
                tunnel(&mut stream, proxy, host, port).await?;
                stream
            }
            (stream, None) => stream,
        };
        Ok(Socket::new(self.handshake(stream, host).await?, traffic.connected(), false))
    }

    async fn to_proxy(&self, proxy: &Proxy) -> Result<Stream> {
        let unreachable = |error: Error| failed(proxy, "can't be reached", Some(error));
        let stream = Stream::Plain(self.reach(&proxy.host, proxy.port).await.map_err(unreachable)?);
        if proxy.is_https { self.handshake(stream, &proxy.host).await } else { Ok(stream) }
    }

    async fn handshake(&self, stream: Stream, host: &str) -> Result<Stream> {
        let connector = self.tls.connector()?;
        let tls = connector.connect(server_name(host)?, stream).await.map_err(|error| handshake_error(error, host))?;
        Ok(Stream::Tls(Box::new(tls)))
    }

    /// The first address that answers; the next one starts when the one before has failed or had its head start.
    async fn reach(&self, host: &str, port: u16) -> Result<TcpStream> {
        let unreachable = |error: std::io::Error| {
            let text = format!("could not connect to {host}:{port}: {error}");
            Error::new(Kind::Connect, text).caused_by(error)
        };
        let mut waiting = self.resolver.addresses(host, port).await.map_err(unreachable)?.into_iter();
        let mut trying: JoinSet<(SocketAddr, std::io::Result<TcpStream>)> = JoinSet::new();
        let mut last = None;
        loop {
            match waiting.next() {
                Some(address) => {
                    trying.spawn(async move { (address, dial(address).await) });
                }
                None if trying.is_empty() => {
                    let none = || unreachable(std::io::Error::new(std::io::ErrorKind::NotFound, "no address"));
                    return Err(last.unwrap_or_else(none));
                }
                None => {}
            }
            let alone = if waiting.len() == 0 { self.limit } else { HEAD_START };
            match tokio::time::timeout(alone, trying.join_next()).await {
                Ok(Some(Ok((_, Ok(stream))))) => return Ok(stream),
                Ok(Some(Ok((address, Err(error))))) => {
                    let error = unreachable(error);
                    // Where we ran out of something ourselves, nothing is wrong with the address.
                    if !error.is_exhausted() {
                        self.resolver.failed(host, address);
                    }
                    last = Some(error);
                }
                Ok(Some(Err(panicked))) => return Err(Error::new(Kind::Internal, panicked.to_string())),
                Ok(None) | Err(_) => {}
            }
        }
    }
}

async fn dial(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Small requests go out at once. Buffer sizes stay as they are: setting them switches the kernel's tuning off.
    stream.set_nodelay(true)?;
    // Also covers what waits in the kernel after the socket was closed.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(WRITE_STALL_LIMIT))?;
    Ok(stream)
}

#[cfg(test)]
#[path = "connector_tests.rs"]
mod tests;
