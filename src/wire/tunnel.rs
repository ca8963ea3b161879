//! CONNECT: a way through a proxy to a server, on which TLS is spoken with the server itself.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::proxy::Proxy;
use crate::error::{Error, Kind, Result};

/// The longest head of a proxy's answer. Servers and proxies limit heads to 8 KiB (nginx, `large_client_header_buffers`).
const LONGEST_HEAD: usize = 8 << 10;

/// Asks the proxy for a way to the server. Every final status but 2xx is an error (RFC 9110 section 9.3.6).
pub async fn tunnel<S>(stream: &mut S, proxy: &Proxy, host: &str, port: u16) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let cut = |error: std::io::Error| {
        failed(proxy, "closed the connection", Some(Error::new(Kind::ConnectionClosed, error.to_string())))
    };
    stream.write_all(&request).await.map_err(cut)?;
    let mut head = Vec::new();
    loop {
        if stream.read_buf(&mut head).await.map_err(cut)? == 0 {
            return Err(cut(std::io::ErrorKind::UnexpectedEof.into()));
        }
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            let more = head.len() > end + 4;
            return judge(proxy, &head[..end], more);
        }
        if head.len() > LONGEST_HEAD {
            return Err(failed(proxy, "gave an answer that is no head of HTTP", None));
        }
    }
}

fn judge(proxy: &Proxy, head: &[u8], more: bool) -> Result<()> {
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let status: Option<u16> = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|n| n.parse().ok());
    match status {
        // In TLS the client speaks first: what came already is not the server's.
        Some(200..=299) if more => Err(failed(proxy, "sent something before the server could", None)),
        Some(200..=299) => Ok(()),
        Some(407) => Err(failed(proxy, "wants a user name and a password; write them into its URL (407)", None)),
        Some(500..=599) => {
            let text = format!("did not reach the server ({line})");
            Err(failed(proxy, &text, Some(Error::new(Kind::Connect, line.clone()))))
        }
        Some(_) => Err(failed(proxy, &format!("refused ({line})"), None)),
        None => Err(failed(proxy, "gave an answer that is no head of HTTP", None)),
    }
}

/// An error of the proxy. With a cause it is as worth another try as that; without, it stays.
pub fn failed(proxy: &Proxy, what: &str, cause: Option<Error>) -> Error {
    let error = Error::new(Kind::Proxy, format!("the proxy {} {what}", proxy.name()));
    match cause {
        Some(cause) => error.caused_by(cause),
        None => error,
    }
}
