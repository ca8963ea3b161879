//! A client on a bare socket that reports what it sees.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fault_server::FaultServer;

/// Long enough for a loaded machine, short enough to tell which test hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Fin,
    Reset,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of an error document.
    pub fn code(&self) -> String {
        self.element("Code")
    }

    pub fn element(&self, name: &str) -> String {
        let text = self.text();
        let rest = text.split(&format!("<{name}>")).nth(1).unwrap_or_default();
        rest.split("</").next().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub async fn connect(server: &FaultServer) -> Client {
        Client { stream: TcpStream::connect(server.address()).await.expect("connect"), buffer: Vec::new() }
    }

    /// The head only, with a length for a body that may follow.
    pub async fn send_head(&mut self, line: &str, headers: &[(&str, &str)], length: usize) {
        let mut head = format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.stream.write_all(format!("{head}\r\n").as_bytes()).await.expect("send the head");
    }

    pub async fn send(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) {
        self.send_head(line, headers, body.len()).await;
        self.stream.write_all(body).await.expect("send the body");
    }

    pub async fn ask(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(line, headers, body).await;
        self.reply(line.starts_with("HEAD")).await
    }

    /// Reads one answer by its `Content-Length`; none means no body.
    pub async fn reply(&mut self, bodiless: bool) -> Reply {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.fill().await.expect("read the head") > 0, "closed in the head: {:?}", self.buffer);
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end);
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status line");
        let mut reply = Reply { status, head, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        while !bodiless && self.buffer.len() < length {
            assert!(self.fill().await.expect("read the body") > 0, "closed in the body");
        }
        reply.body = self.buffer.drain(..if bodiless { 0 } else { length }).collect();
        reply
    }

    async fn fill(&mut self) -> std::io::Result<usize> {
        tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await.expect("the server stays silent")
    }

    /// Everything until the connection ends, and how it ends.
    pub async fn until_end(&mut self) -> (String, End) {
        let end = loop {
            match self.fill().await {
                Ok(0) => break End::Fin,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break End::Reset,
                Err(error) => panic!("{error}"),
            }
        };
        (String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned(), end)
    }

    /// What is there once so many bytes have come.
    pub async fn at_least(&mut self, count: usize) -> String {
        while self.buffer.len() < count {
            assert!(self.fill().await.expect("read") > 0, "closed early");
        }
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}
