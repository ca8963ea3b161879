//! ListObjectsV2.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;

use super::clock;
use super::error_answer::ErrorAnswer;
use super::fault::{Fault, ListFault};
use super::request::Request;
use super::response::Response;
use super::script::Script;
use super::store::{Object, Store};
use super::xml::{document, element};

pub fn list_objects(
    store: &mut Store,
    script: &Script,
    request: &Request,
    faults: &[Fault],
) -> Result<Response, ErrorAnswer> {
    let fault = faults.iter().find_map(|fault| if let Fault::List(list) = fault { Some(*list) } else { None });
    let prefix = request.query("prefix").unwrap_or_default();
    if request.query("delimiter").is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(ErrorAnswer::new(501, "NotImplemented", "Delimiters are not implemented."));
    }
    let asked = request.query("max-keys").and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
    let page_size = script.page_size.min(asked);
    let token = request.query("continuation-token");
    let after = match token {
        Some(token) => Some(open_token(token)?),
        None => request.query("start-after").map(str::to_owned),
    };

    let unsorted = fault == Some(ListFault::Unsorted);
    let place = |key: &str| -> (String, String) {
        let mixed = if unsorted { key.chars().rev().collect() } else { String::new() };
        (mixed, key.to_owned())
    };
    let bucket = store.bucket(request)?;
    let mut matching: Vec<(&String, &Object)> = bucket.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
    matching.sort_by_key(|(key, _)| place(key));
    let skipped =
        after.as_deref().map_or(0, |after| matching.iter().take_while(|(key, _)| place(key) <= place(after)).count());
    let mut page: Vec<_> = matching.into_iter().skip(skipped).collect();
    let mut truncated = page.len() > page_size;
    page.truncate(page_size);
    // A token names the last key given out; an empty one is the place before the first key.
    let mut next = page.last().map(|(key, _)| seal_token(key));
    match fault {
        Some(ListFault::TokenMissing) => (truncated, next) = (true, None),
        Some(ListFault::TokenEmpty) => (truncated, next) = (true, Some(String::new())),
        Some(ListFault::TokenRepeated) => {
            (truncated, next) = (true, Some(token.map_or_else(|| seal_token(""), str::to_owned)));
        }
        Some(ListFault::TokenToStart) => (truncated, next) = (true, Some(seal_token(""))),
        Some(ListFault::EmptyPage) => {
            page.clear();
            (truncated, next) = (true, Some(another_token(token)));
        }
        _ => {}
    }

    let url = request.query("encoding-type") == Some("url") && fault != Some(ListFault::IgnoreEncodingType);
    let name = |text: &str| if url { url_encode(text) } else { text.to_owned() };
    let mut inner = element("Name", request.bucket.as_deref().unwrap_or_default());
    inner += &element("Prefix", &name(prefix));
    inner += &element("KeyCount", &page.len().to_string());
    inner += &element("MaxKeys", &page_size.to_string());
    if fault != Some(ListFault::FlagMissing) {
        inner += &element("IsTruncated", if truncated { "true" } else { "false" });
    }
    if url {
        inner += &element("EncodingType", "url");
    }
    if let Some(start_after) = request.query("start-after") {
        inner += &element("StartAfter", &name(start_after));
    }
    if let Some(token) = token {
        inner += &element("ContinuationToken", token);
    }
    if let Some(next) = next.filter(|_| truncated) {
        inner += &element("NextContinuationToken", &next);
    }
    for (key, object) in page {
        inner += "<Contents>";
        inner += &element("Key", &name(key));
        inner += &element("LastModified", &clock::iso(object.last_modified));
        inner += &element("ETag", &object.etag);
        inner += &element("Size", &object.bytes.len().to_string());
        inner += &element("StorageClass", "STANDARD");
        inner += "</Contents>";
    }
    let mut text = document("ListBucketResult", &inner);
    if fault == Some(ListFault::BrokenXml) {
        text.truncate(text.len() - "ucketResult>".len());
    }
    Ok(Response::xml(200, text))
}

fn seal_token(key: &str) -> String {
    BASE64_URL_SAFE.encode(format!("after:{key}"))
}

/// Another token for the place that one leads to.
fn another_token(token: Option<&str>) -> String {
    let plain = token.and_then(|token| BASE64_URL_SAFE.decode(token).ok()).unwrap_or_else(|| b"after:".to_vec());
    BASE64_URL_SAFE.encode([b"again:".as_slice(), &plain].concat())
}

fn open_token(token: &str) -> Result<String, ErrorAnswer> {
    let plain = BASE64_URL_SAFE.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    plain
        .and_then(|text| text.trim_start_matches("again:").strip_prefix("after:").map(str::to_owned))
        .ok_or_else(|| ErrorAnswer::new(400, "InvalidArgument", "The continuation token provided is incorrect"))
}

/// As S3 does it: Java's `URLEncoder`, so a space is `+`, with the slash left alone.
fn url_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
