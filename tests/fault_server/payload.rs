//! The body of a request: `aws-chunked` taken apart, and every digest that the client sent held against it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::checksum::{Algorithm, hexadecimal, md5};
use super::error_answer::ErrorAnswer;
use super::request::Request;

/// Undoes `Content-Encoding: aws-chunked`; its trailers become headers of the request.
pub fn unwrap_chunks(request: &mut Request, body: Bytes) -> Result<Bytes, ErrorAnswer> {
    let streaming = request.header("x-amz-content-sha256").is_some_and(|value| value.starts_with("STREAMING-"));
    if !streaming {
        return Ok(body);
    }
    let broken = || ErrorAnswer::new(400, "IncompleteBody", "The aws-chunked body is cut or malformed.");
    let (mut plain, mut rest) = (Vec::new(), body);
    loop {
        let head = take_line(&mut rest).ok_or_else(broken)?;
        let size = usize::from_str_radix(head.split(';').next().unwrap_or_default(), 16).map_err(|_| broken())?;
        if size == 0 {
            break;
        }
        if rest.len() < size + 2 {
            return Err(broken());
        }
        plain.extend_from_slice(&rest.split_to(size));
        let _line_end = rest.split_to(2);
    }
    while let Some(line) = take_line(&mut rest).filter(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':') {
            request.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    Ok(plain.into())
}

fn take_line(rest: &mut Bytes) -> Option<String> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = rest.split_to(end + 2);
    Some(String::from_utf8_lossy(&line[..end]).into_owned())
}

/// Content-MD5, `x-amz-checksum-*`, and `x-amz-content-sha256` where it is a hash.
pub fn verify(request: &Request, body: &[u8]) -> Result<(), ErrorAnswer> {
    if let Some(expected) = request.header("content-md5") {
        let expected = BASE64_STANDARD.decode(expected).ok().filter(|digest| digest.len() == 16);
        let expected = expected
            .ok_or_else(|| ErrorAnswer::new(400, "InvalidDigest", "The Content-MD5 you specified is invalid."))?;
        if expected != md5(body) {
            return Err(bad_digest("Content-MD5"));
        }
    }
    if let Some((algorithm, expected)) = Algorithm::supplied(request)?
        && algorithm.base64(body) != expected
    {
        return Err(bad_digest(algorithm.name()));
    }
    verify_content_sha256(request, body)
}

/// The signed payload hash, which every request may carry, the bodiless ones too.
pub fn verify_content_sha256(request: &Request, body: &[u8]) -> Result<(), ErrorAnswer> {
    let hash = request.header("x-amz-content-sha256").filter(|value| value.len() == 64);
    if hash.is_some_and(|expected| hexadecimal(&Algorithm::Sha256.digest(body)) != expected) {
        return Err(ErrorAnswer::new(
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ));
    }
    Ok(())
}

pub fn bad_digest(name: &str) -> ErrorAnswer {
    ErrorAnswer::new(400, "BadDigest", format!("The {name} you specified did not match the calculated checksum."))
}
