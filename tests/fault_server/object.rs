//! HeadBucket, CreateBucket, PutObject, GetObject, HeadObject, DeleteObject.

use bytes::Bytes;

use super::checksum::{Algorithm, etag};
use super::error_answer::ErrorAnswer;
use super::fault::Fault;
use super::payload;
use super::request::Request;
use super::response::Response;
use super::script::Script;
use super::store::{Object, Store, StoredChecksum, kept_headers};

type Answer = Result<Response, ErrorAnswer>;

pub fn head_bucket(store: &mut Store, request: &Request) -> Answer {
    store.bucket(request)?;
    Ok(Response::new(200).with("x-amz-bucket-region", "us-east-1"))
}

pub fn create_bucket(store: &mut Store, request: &Request) -> Answer {
    let name = request.bucket.clone().unwrap_or_default();
    if store.buckets.contains_key(&name) {
        let message = "Your previous request to create the named bucket succeeded and you already own it.";
        return Err(ErrorAnswer::new(409, "BucketAlreadyOwnedByYou", message));
    }
    store.buckets.insert(name.clone(), Default::default());
    Ok(Response::new(200).with("Location", format!("/{name}")))
}

pub fn put_object(store: &mut Store, script: &Script, request: &Request, body: Bytes) -> Answer {
    if request.header("x-amz-copy-source").is_some() {
        return Err(ErrorAnswer::new(501, "NotImplemented", "CopyObject is not implemented."));
    }
    payload::verify(request, &body)?;
    let bucket = store.bucket(request)?;
    let key = request.key.clone().unwrap_or_default();
    if key.len() > 1024 {
        return Err(ErrorAnswer::new(400, "KeyTooLongError", "Your key is too long"));
    }
    refuse_existing(request, bucket.contains_key(&key))?;
    let sent = Algorithm::supplied(request)?.map(|(algorithm, _)| algorithm);
    let algorithm = sent.or(script.add_checksums.then_some(Algorithm::Crc64Nvme));
    let object = Object {
        etag: etag(&body),
        content_type: request.header("content-type").map(str::to_owned),
        checksum: algorithm.map(|algorithm| StoredChecksum::full(algorithm, &body)),
        kept_headers: kept_headers(request),
        ..Object::new(body)
    };
    let mut response = Response::new(200).with("ETag", object.etag.as_str());
    add_checksum(&mut response, object.checksum.as_ref());
    bucket.insert(key, object);
    Ok(response)
}

/// `If-None-Match: *`, on PutObject and on CompleteMultipartUpload.
pub fn refuse_existing(request: &Request, exists: bool) -> Result<(), ErrorAnswer> {
    if exists && request.header("if-none-match") == Some("*") {
        return Err(precondition_failed());
    }
    Ok(())
}

fn precondition_failed() -> ErrorAnswer {
    ErrorAnswer::new(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
}

pub fn add_checksum(response: &mut Response, checksum: Option<&StoredChecksum>) {
    if let Some(checksum) = checksum {
        response.set(&checksum.algorithm.header(), checksum.value.as_str());
        response.set("x-amz-checksum-type", checksum.type_name());
    }
}

/// GetObject, and HeadObject, which is the same without a body.
pub fn get_object(store: &mut Store, request: &Request, faults: &[Fault]) -> Answer {
    let head = request.method == "HEAD";
    let bucket = store.bucket(request)?;
    let object = bucket
        .get(request.key.as_deref().unwrap_or_default())
        .ok_or_else(|| ErrorAnswer::new(404, "NoSuchKey", "The specified key does not exist."))?;
    // A weak ETag never matches If-Match (RFC 9110 section 13.1.1).
    let matches = |wanted: &str| {
        wanted == "*" || (!wanted.starts_with("W/") && wanted.trim_matches('"') == object.etag.trim_matches('"'))
    };
    if request.header("if-match").is_some_and(|wanted| !matches(wanted)) {
        return Err(precondition_failed());
    }
    let size = object.bytes.len() as u64;
    let ignored = faults.iter().any(|fault| matches!(fault, Fault::IgnoreRange));
    let range = match request.header("range").filter(|_| !ignored).and_then(parse_range) {
        Some(range) => Some(range.within(size)?),
        None => None,
    };
    let moved = faults.iter().find_map(|fault| if let Fault::MoveRange(by) = fault { Some(*by) } else { None });
    let range = range.map(|(first, last)| move_range(first, last, moved.unwrap_or(0), size));

    let (first, last_plus_one) = range.map_or((0, size), |(first, last)| (first, last + 1));
    let mut response = Response::new(if range.is_some() { 206 } else { 200 })
        .with("Accept-Ranges", "bytes")
        .with("ETag", object.etag.as_str())
        .with("Last-Modified", httpdate::fmt_http_date(object.last_modified))
        .with("Content-Type", object.content_type.as_deref().unwrap_or("binary/octet-stream"));
    for (name, value) in &object.kept_headers {
        response.set(name, value.as_str());
    }
    match range {
        Some((first, last)) => response.set("Content-Range", format!("bytes {first}-{last}/{size}")),
        None if request.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled")) => {
            add_checksum(&mut response, object.checksum.as_ref());
        }
        None => {}
    }
    if head {
        response.head_length = Some(last_plus_one - first);
    } else {
        let other = faults.iter().find_map(|fault| if let Fault::OtherBytes(by) = fault { Some(*by) } else { None });
        let (first, last_plus_one) = match other {
            // As many bytes as were asked for, from wherever there are so many.
            Some(by) => {
                let place = first.saturating_add_signed(by).min(size - (last_plus_one - first));
                (place, place + last_plus_one - first)
            }
            None => (first, last_plus_one),
        };
        response.body = object.bytes.slice(first as usize..last_plus_one as usize);
    }
    Ok(response)
}

fn move_range(first: u64, last: u64, by: i64, size: u64) -> (u64, u64) {
    let place = |at: u64| at.saturating_add_signed(by).min(size - 1);
    (place(first), place(last))
}

enum Range {
    From(u64),
    Between(u64, u64),
    Suffix(u64),
}

/// `None` for what S3 ignores: another unit, several ranges, an end before the start.
fn parse_range(header: &str) -> Option<Range> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    match (first.is_empty(), last.is_empty()) {
        (true, false) => Some(Range::Suffix(last.parse().ok()?)),
        (false, true) => Some(Range::From(first.parse().ok()?)),
        (false, false) => {
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(Range::Between(first, last))
        }
        (true, true) => None,
    }
}

impl Range {
    /// First and last byte; on an empty object every range is refused.
    fn within(self, size: u64) -> Result<(u64, u64), ErrorAnswer> {
        let (first, last) = match self {
            Range::From(first) => (first, size.saturating_sub(1)),
            Range::Between(first, last) => (first, last.min(size.saturating_sub(1))),
            Range::Suffix(0) => (size, size),
            Range::Suffix(length) => (size.saturating_sub(length), size.saturating_sub(1)),
        };
        if first >= size {
            return Err(ErrorAnswer::new(416, "InvalidRange", "The requested range is not satisfiable"));
        }
        Ok((first, last))
    }
}

pub fn delete_object(store: &mut Store, request: &Request) -> Answer {
    store.bucket(request)?.remove(request.key.as_deref().unwrap_or_default());
    Ok(Response::new(204))
}
