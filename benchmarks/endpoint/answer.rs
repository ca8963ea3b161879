//! The operations that bulk transfers use. Anything else is NotImplemented, so that no client is measured on a wrong answer.

use std::ops::Range;

use crate::encoding::escape;
use crate::list;
use crate::request::Request;
use crate::response::Response;
use crate::store::{Body, Object, Store, Upload};

const LAST_MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

pub fn answer(request: &Request, store: &Store) -> Response {
    let has = |name| request.parameter(name).is_some();
    match (request.method(), request.key.is_empty()) {
        ("PUT", true) => create_bucket(request, store),
        ("HEAD", true) => head_bucket(request, store),
        ("GET", true) if has("location") => Response::xml(200, "<LocationConstraint/>".into()),
        ("GET", true) if request.parameter("list-type").as_deref() == Some("2") => list::list_objects(request, store),
        ("PUT", false) if has("partNumber") => upload_part(request, store),
        ("PUT", false) if request.header("x-amz-copy-source").is_none() => put_object(request, store),
        ("GET" | "HEAD", false) if !has("uploadId") => get_object(request, store),
        ("POST", false) if has("uploads") => create_multipart_upload(request, store),
        ("POST", false) if has("uploadId") => complete_multipart_upload(request, store),
        ("DELETE", false) if has("uploadId") => abort_multipart_upload(request, store),
        _ => Response::error(501, "NotImplemented"),
    }
}

fn create_bucket(request: &Request, store: &Store) -> Response {
    store.lock().buckets.entry(request.bucket.clone()).or_default();
    Response::empty(200)
}

fn head_bucket(request: &Request, store: &Store) -> Response {
    Response::empty(if store.lock().buckets.contains_key(&request.bucket) { 200 } else { 404 })
}

fn put_object(request: &Request, store: &Store) -> Response {
    let mut tables = store.lock();
    let etag = format!("\"{}\"", tables.next());
    let Some(bucket) = tables.buckets.get_mut(&request.bucket) else { return Response::error(404, "NoSuchBucket") };
    let object = Object {
        body: request.body.clone(),
        etag: etag.clone(),
        content_type: content_type(request),
        headers: kept_headers(request),
    };
    bucket.insert(request.key.clone(), object);
    drop(tables);
    Response::empty(200).header("ETag", &etag)
}

fn get_object(request: &Request, store: &Store) -> Response {
    let tables = store.lock();
    let Some(bucket) = tables.buckets.get(&request.bucket) else { return Response::error(404, "NoSuchBucket") };
    let Some(object) = bucket.get(&request.key).cloned() else { return Response::error(404, "NoSuchKey") };
    drop(tables);
    if request.header("if-match").is_some_and(|wanted| wanted.trim_matches('"') != object.etag.trim_matches('"')) {
        return Response::error(412, "PreconditionFailed");
    }
    let size = object.body.size;
    let (response, range) = match request.header("range").and_then(|range| parse_range(range, size)) {
        Some(range) if range.is_empty() => return Response::error(416, "InvalidRange"),
        Some(range) => {
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            (Response::empty(206).header("Content-Range", &content_range), range)
        }
        None => (Response::empty(200), 0..size),
    };
    let mut response = response
        .header("ETag", &object.etag)
        .header("Last-Modified", LAST_MODIFIED)
        .header("Accept-Ranges", "bytes")
        .header("Content-Type", &object.content_type);
    let whole = range.len() == size && request.header("x-amz-checksum-mode").is_some();
    for (name, value) in &object.headers {
        if whole || !name.starts_with("x-amz-checksum-") {
            response = response.header(name, value);
        }
    }
    response.part_of(object.body, range)
}

/// `None` for what is no range; an empty one for what lies behind the end.
fn parse_range(text: &str, size: usize) -> Option<Range<usize>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let end = |last: &str| last.parse().map_or(size, |last: usize| size.min(last.saturating_add(1)));
    match first.parse::<usize>() {
        Ok(first) => Some(first.min(size)..end(last).max(first.min(size))),
        Err(_) => Some(size.saturating_sub(last.parse().ok()?)..size),
    }
}

fn create_multipart_upload(request: &Request, store: &Store) -> Response {
    let mut tables = store.lock();
    let id = tables.next();
    let (content_type, headers) = (content_type(request), kept_headers(request));
    tables.uploads.insert(id.clone(), Upload { content_type, headers, parts: Default::default() });
    drop(tables);
    let (bucket, key) = (&request.bucket, escape(&request.key));
    let inside = format!("<Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>");
    Response::xml(200, format!("<InitiateMultipartUploadResult>{inside}</InitiateMultipartUploadResult>"))
}

fn upload_part(request: &Request, store: &Store) -> Response {
    let number = request.parameter("partNumber").and_then(|number| number.parse().ok());
    let Some(number) = number else { return Response::error(400, "InvalidArgument") };
    let mut tables = store.lock();
    let etag = format!("\"{}\"", tables.next());
    let upload = tables.uploads.get_mut(&request.parameter("uploadId").unwrap_or_default());
    let Some(upload) = upload else { return Response::error(404, "NoSuchUpload") };
    upload.parts.insert(number, request.body.clone());
    drop(tables);
    Response::empty(200).header("ETag", &etag)
}

fn complete_multipart_upload(request: &Request, store: &Store) -> Response {
    let mut tables = store.lock();
    let upload = tables.uploads.remove(&request.parameter("uploadId").unwrap_or_default());
    let Some(mut upload) = upload else { return Response::error(404, "NoSuchUpload") };
    let etag = format!("\"{}-{}\"", tables.next(), upload.parts.len());
    let body = Body::joined(upload.parts.into_values());
    // What the last request says stands for what the first one said.
    let last_said = kept_headers(request);
    upload.headers.retain(|(name, _)| last_said.iter().all(|(said, _)| said != name));
    upload.headers.extend(last_said);
    let Some(bucket) = tables.buckets.get_mut(&request.bucket) else { return Response::error(404, "NoSuchBucket") };
    let (content_type, headers) = (upload.content_type, upload.headers);
    bucket.insert(request.key.clone(), Object { body, etag: etag.clone(), content_type, headers });
    drop(tables);
    let (bucket, key, etag) = (&request.bucket, escape(&request.key), escape(&etag));
    let inside = format!("<Bucket>{bucket}</Bucket><Key>{key}</Key><ETag>{etag}</ETag>");
    Response::xml(200, format!("<CompleteMultipartUploadResult>{inside}</CompleteMultipartUploadResult>"))
}

fn abort_multipart_upload(request: &Request, store: &Store) -> Response {
    match store.lock().uploads.remove(&request.parameter("uploadId").unwrap_or_default()) {
        Some(_) => Response::empty(204),
        None => Response::error(404, "NoSuchUpload"),
    }
}

fn content_type(request: &Request) -> String {
    request.header("content-type").unwrap_or("binary/octet-stream").to_owned()
}

/// A checksum's value and type, not the algorithm that the client said it would use.
fn kept_headers(request: &Request) -> Vec<(String, String)> {
    let names = request.headers().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let kept = |name: &str| name.starts_with("x-amz-meta-") || name.starts_with("x-amz-checksum-");
    names.filter(|(name, _)| kept(name) && name != "x-amz-checksum-algorithm").collect()
}
