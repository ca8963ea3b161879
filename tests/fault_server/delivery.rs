//! Puts an answer on the wire, with the faults that concern its bytes.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::clock;
use super::error_answer::{HOST_ID, REQUEST_ID};
use super::fault::{Ending, Fault};
use super::request::Request;
use super::response::{Response, reason};
use super::wire::{Closed, Wire};
use super::xml::DECLARATION;

const PIECE: usize = 64 * 1024;
/// Between two blanks of `WhiteSpaceFirst`.
const BLANK_INTERVAL: Duration = Duration::from_millis(20);

/// How the end of the body is told.
#[derive(Clone, Copy, PartialEq)]
enum Framing {
    Length,
    Chunked,
    Close,
}

/// Sends everything up to the end of the body. `Err` if a fault, or the peer, ended the connection on the way.
pub async fn deliver(
    wire: &mut Wire,
    request: &Request,
    mut response: Response,
    faults: &[Fault],
    record: usize,
) -> Result<(), Closed> {
    for fault in faults {
        match fault {
            Fault::Informational(statuses) => {
                for status in statuses {
                    wire.send(format!("HTTP/1.1 {status} {}\r\n\r\n", reason(*status)).as_bytes()).await?;
                }
            }
            Fault::DelayHead(delay) => wire.pause(*delay).await?,
            Fault::HangBeforeHead => return Err(wire.hold().await),
            Fault::Garbage(bytes) => {
                wire.send(bytes).await?;
                return Ok(());
            }
            _ => {}
        }
    }
    let framing = frame(&mut response, request, faults, wire.state.clock_shift());
    let head = head_bytes(&response);
    for fault in faults {
        match fault {
            Fault::CutHead { after, ending } => {
                wire.send(&head[..head.len().min(*after)]).await?;
                return Err(wire.end(*ending).await);
            }
            Fault::HangInHead { after } => {
                wire.send(&head[..head.len().min(*after)]).await?;
                return Err(wire.hold().await);
            }
            _ => {}
        }
    }
    wire.state.amend_record(record, |record| record.status = Some(response.status));
    wire.send(&head).await?;
    send_body(wire, &response.body, framing, faults).await
}

/// Adds what every answer has, then what the faults want, then the framing.
fn frame(response: &mut Response, request: &Request, faults: &[Fault], clock_shift: i64) -> Framing {
    response.headers.insert(0, ("x-amz-id-2".to_owned(), HOST_ID.into()));
    response.headers.insert(1, ("x-amz-request-id".to_owned(), REQUEST_ID.into()));
    response.headers.insert(2, ("Date".to_owned(), httpdate::fmt_http_date(clock::shifted(clock_shift)).into()));
    response.headers.insert(3, ("Server".to_owned(), "FaultServer".into()));
    if request.wants_close() {
        response.set("Connection", "close");
    }
    let mut framing = Framing::Length;
    let mut declared = response.head_length.unwrap_or(response.body.len() as u64) as i64;
    let mut both = false;
    for fault in faults {
        match fault {
            Fault::TruncateBody { to } => {
                response.body.truncate(*to);
                declared = response.body.len() as i64;
            }
            Fault::FlipBit { at } if !response.body.is_empty() => {
                let mut bytes = response.body.to_vec();
                let place = at % bytes.len();
                bytes[place] ^= 1;
                response.body = bytes.into();
            }
            Fault::Gzip if !response.body.is_empty() => {
                response.body = gzip(&response.body).into();
                response.set("Content-Encoding", "gzip");
                declared = response.body.len() as i64;
            }
            Fault::ContentLengthOff(by) => declared = (declared + by).max(0),
            Fault::CloseDelimited => framing = Framing::Close,
            Fault::Chunked | Fault::ChunksOf(_) | Fault::WhiteSpaceFirst(_) => framing = Framing::Chunked,
            Fault::ChunkedWithLength => (framing, both) = (Framing::Chunked, true),
            _ => {}
        }
    }
    let bodiless = matches!(response.status, 204 | 304) && response.body.is_empty();
    if (framing == Framing::Length || both) && !bodiless {
        response.set("Content-Length", declared.to_string());
    }
    if framing == Framing::Chunked {
        response.set("Transfer-Encoding", "chunked");
    }
    if framing == Framing::Close {
        response.set("Connection", "close");
    }
    // Last, so that a script has the last word on every header.
    for fault in faults {
        spoil_head(response, fault);
    }
    framing
}

/// A gzip member of stored blocks (RFC 1952, RFC 1951 section 3.2.4).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        member.push(u8::from(blocks.peek().is_none()));
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(block);
    }
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32;
    member.extend_from_slice(&crc.to_le_bytes());
    member.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    member
}

fn spoil_head(response: &mut Response, fault: &Fault) {
    match fault {
        Fault::SetStatus(status) => response.status = *status,
        Fault::SetHeader(name, value) => response.set(name, value.clone()),
        Fault::RemoveHeader(name) => response.remove(name),
        Fault::ManyHeaders(count) => {
            for number in 0..*count {
                response.set(&format!("x-amz-meta-{number}"), "v");
            }
        }
        Fault::WeakEtag => change(response, |name| name == "etag", |value| [b"W/", value].concat()),
        Fault::WrongChecksum => change(
            response,
            |name| name.starts_with("x-amz-checksum-") && name != "x-amz-checksum-type",
            |value| {
                let mut digest = BASE64_STANDARD.decode(value).unwrap_or_default();
                digest.iter_mut().for_each(|byte| *byte = !*byte);
                BASE64_STANDARD.encode(digest).into_bytes()
            },
        ),
        _ => {}
    }
}

fn change(response: &mut Response, which: impl Fn(&str) -> bool, to: impl Fn(&[u8]) -> Vec<u8>) {
    for (name, value) in &mut response.headers {
        if which(&name.to_ascii_lowercase()) {
            *value = to(value);
        }
    }
}

fn head_bytes(response: &Response) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status)).into_bytes();
    for (name, value) in &response.headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

async fn send_body(wire: &mut Wire, body: &[u8], framing: Framing, faults: &[Fault]) -> Result<(), Closed> {
    let (mut pace, mut chunk, mut stop, mut rest) = ((PIECE, None), PIECE, None, body);
    for fault in faults {
        match fault {
            Fault::DelayBody(delay) => wire.pause(*delay).await?,
            Fault::Trickle { bytes, interval } => pace = ((*bytes).max(1), Some(*interval)),
            Fault::ChunksOf(bytes) => chunk = (*bytes).max(1),
            Fault::CutBody { after, ending } => stop = Some((*after, Some(*ending))),
            Fault::HangInBody { after } => stop = Some((*after, None)),
            Fault::WhiteSpaceFirst(duration) => rest = send_blanks(wire, rest, *duration).await?,
            _ => {}
        }
    }
    let wanted = stop.map_or(rest.len(), |(after, _)| rest.len().min(after));
    for piece in rest[..wanted].chunks(pace.0) {
        if let Some(interval) = pace.1 {
            wire.pause(interval).await?;
        }
        send_piece(wire, piece, framing, chunk).await?;
    }
    match stop {
        Some((_, Some(ending))) => Err(wire.end(ending).await),
        Some((_, None)) => Err(wire.hold().await),
        None if framing == Framing::Chunked => wire.send(b"0\r\n\r\n").await,
        None if framing == Framing::Close => Err(wire.end(Ending::FinAndDrain).await),
        None => Ok(()),
    }
}

/// However small the chunks are, a piece of them goes out at once.
async fn send_piece(wire: &mut Wire, piece: &[u8], framing: Framing, chunk: usize) -> Result<(), Closed> {
    if framing != Framing::Chunked {
        return wire.send(piece).await;
    }
    let mut bytes = Vec::new();
    for chunk in piece.chunks(chunk) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    wire.send(&bytes).await
}

/// The XML declaration, then blanks; returns what is left of the body. Always chunked.
async fn send_blanks<'a>(wire: &mut Wire, body: &'a [u8], duration: Duration) -> Result<&'a [u8], Closed> {
    let rest = match body.strip_prefix(DECLARATION.as_bytes()) {
        Some(rest) => {
            send_piece(wire, DECLARATION.as_bytes(), Framing::Chunked, PIECE).await?;
            rest
        }
        None => body,
    };
    let begun = Instant::now();
    while begun.elapsed() < duration {
        send_piece(wire, b" ", Framing::Chunked, PIECE).await?;
        wire.pause(BLANK_INTERVAL).await?;
    }
    Ok(rest)
}
