//! TLS in front of the endpoint: `tls_front HOST:PORT CERTIFICATE` writes its certificate as PEM, prints its URL and copies
//! what it decrypts to and fro until its standard input ends.
#![allow(clippy::print_stdout, reason = "who started it reads the URL there")]

use std::error::Error;
use std::io::{self, Read as _};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// As large as what the endpoint reads and writes at once, so that a body is copied in few pieces.
const BUFFER: usize = 256 << 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(endpoint), Some(certificate)) = (arguments.next(), arguments.next()) else {
        return Err("usage: tls_front HOST:PORT CERTIFICATE".into());
    };
    let authority = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    std::fs::write(certificate, authority.cert.pem())?;
    let key = PrivateKeyDer::try_from(authority.signing_key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![authority.cert.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("https://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // A client that goes away is no concern of the front's.
            let (acceptor, endpoint) = (acceptor.clone(), endpoint.clone());
            tokio::spawn(async move { serve(socket, &acceptor, &endpoint).await.ok() });
        }
    });
    tokio::task::spawn_blocking(|| io::stdin().lock().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

async fn serve(socket: TcpStream, acceptor: &TlsAcceptor, endpoint: &str) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut secret = acceptor.accept(socket).await?;
    let mut open = TcpStream::connect(endpoint).await?;
    open.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut secret, &mut open, BUFFER, BUFFER).await?;
    Ok(())
}
