//! A proxy that is scripted: what it answers to each CONNECT, and what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What the proxy does with a CONNECT.
#[derive(Clone, Copy)]
pub enum Act {
    Tunnel,
    Say(&'static str),
    /// Neither answers nor closes.
    KeepSilent,
    Close,
}

/// Runs until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// `acts` are for the first connections, one each; the last one is for all that follow. Every tunnel leads to
    /// `server`, whatever name it was asked for.
    pub async fn start(server: SocketAddr, acts: &[Act], acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (acts, seen) = (acts.to_vec(), heads.clone());
        let serving = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let act = *acts.get(number).or(acts.last()).unwrap();
                let (seen, acceptor) = (seen.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => serve(acceptor.accept(stream).await.unwrap(), server, act, seen).await,
                        None => serve(stream, server, act, seen).await,
                    }
                });
            }
        });
        Self { address, heads, serving }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of all CONNECTs so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    server: SocketAddr,
    act: Act,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            // Surplus connections are given up before they have said anything.
            Err(_) => return,
        }
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    match act {
        Act::Tunnel => {
            let mut server = TcpStream::connect(server).await.unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n").await.unwrap();
            let _how_it_ends_is_the_peers_business = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
        Act::Say(answer) => {
            client.write_all(answer.as_bytes()).await.unwrap();
            let _until_the_client_closes = client.read(&mut [0; 1]).await;
        }
        Act::KeepSilent => {
            let _until_the_client_closes = client.read(&mut [0; 1]).await;
        }
        Act::Close => {}
    }
}
