//! A response, written with as few system calls as its body allows.

use std::fmt::Write as _;
use std::io::{self, IoSlice, Write};
use std::ops::Range;

use crate::store::Body;

pub struct Response {
    status: u16,
    headers: String,
    body: Body,
    range: Range<usize>,
}

impl Response {
    pub fn empty(status: u16) -> Self {
        Self { status, headers: String::new(), body: Body::default(), range: 0..0 }
    }

    pub fn xml(status: u16, text: String) -> Self {
        Self::empty(status).header("Content-Type", "application/xml").body(Body::of_bytes(text.into_bytes()))
    }

    /// A response of this kind to a HEAD is sent without the document.
    pub fn error(status: u16, code: &str) -> Self {
        Self::xml(status, format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        // Into a String nothing fails.
        let _written = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    pub fn body(self, body: Body) -> Self {
        let range = 0..body.size;
        self.part_of(body, range)
    }

    pub fn part_of(mut self, body: Body, range: Range<usize>) -> Self {
        (self.body, self.range) = (body, range);
        self
    }

    /// Writes it; to a HEAD without the body whose length it tells.
    pub fn write(&self, writer: &mut impl Write, head_only: bool) -> io::Result<()> {
        // 204 has none: RFC 9110 section 8.6.
        let length =
            if self.status == 204 { String::new() } else { format!("Content-Length: {}\r\n", self.range.len()) };
        let head = format!("HTTP/1.1 {} -\r\nx-amz-request-id: 0\r\n{}{length}\r\n", self.status, self.headers);
        let mut head = head.as_bytes();
        if !head_only {
            for piece in self.body.pieces(self.range.clone()) {
                let written = if head.is_empty() {
                    0
                } else {
                    writer.write_vectored(&[IoSlice::new(head), IoSlice::new(piece)])?
                };
                writer.write_all(&head[written.min(head.len())..])?;
                writer.write_all(&piece[written.saturating_sub(head.len())..])?;
                head = &[];
            }
        }
        writer.write_all(head)
    }
}
