//! A request: its head as it came, its body kept or only counted.

use std::io::{self, BufRead, Read, Write};

use crate::encoding::decode;
use crate::store::Body;

pub struct Request {
    head: String,
    pub bucket: String,
    /// Empty for an operation on the bucket.
    pub key: String,
    query: String,
    pub body: Body,
}

impl Request {
    /// The next request of a connection; `None` when the client has closed it.
    pub fn read(reader: &mut impl BufRead, writer: &mut impl Write, discard: bool) -> io::Result<Option<Self>> {
        let Some(head) = read_head(reader)? else { return Ok(None) };
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let (bucket, key, query) = (bucket.to_owned(), decode(key), query.to_owned());
        let mut request = Self { head, bucket, key, query, body: Body::default() };
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.body = request.read_body(reader, discard)?;
        Ok(Some(request))
    }

    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// The first header of that name, in any case.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.headers().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }

    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.head.split("\r\n").skip(1);
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
    }

    /// A parameter's value, decoded; `Some("")` for one without a value.
    pub fn parameter(&self, wanted: &str) -> Option<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        // In a query a plus is a space.
        pairs.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| decode(&value.replace('+', " ")))
    }

    fn read_body(&self, reader: &mut impl BufRead, discard: bool) -> io::Result<Body> {
        let length: usize = self.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        let framed = self.header("x-amz-content-sha256").is_some_and(|value| value.starts_with("STREAMING-"));
        let chunked = self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let bytes = match (chunked, framed) {
            (false, false) if discard => return skip(reader, length),
            (false, false) => {
                let mut bytes = vec![0; length];
                reader.read_exact(&mut bytes)?;
                bytes
            }
            (false, true) => unframe(&mut reader.take(length as u64))?,
            (true, false) => unframe(reader)?,
            (true, true) => unframe(&mut unframe(reader)?.as_slice())?,
        };
        Ok(if discard { Body::of_size(bytes.len()) } else { Body::of_bytes(bytes) })
    }
}

/// Up to the empty line; a head cut short is the end of the connection as well.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    String::from_utf8(head).map(Some).map_err(io::Error::other)
}

fn skip(reader: &mut impl BufRead, length: usize) -> io::Result<Body> {
    let mut left = length;
    while left > 0 {
        let there = reader.fill_buf()?.len().min(left);
        if there == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        reader.consume(there);
        left -= there;
    }
    Ok(Body::of_size(length))
}

/// HTTP's chunks and `aws-chunked` look the same: a size in hex, perhaps with a signature, the bytes, and trailers at the
/// end. What a limited reader has left after them is read as well.
fn unframe(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            break;
        }
        if reader.take(size).read_to_end(&mut bytes)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read_line(reader)?;
    }
    while !read_line(reader)?.is_empty() {}
    Ok(bytes)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
