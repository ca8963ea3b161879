//! CompleteMultipartUpload: here S3 checks what it took on trust before.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};

use super::checksum::{Algorithm, hexadecimal, md5};
use super::error_answer::ErrorAnswer;
use super::multipart::{find, no_such_upload};
use super::object::refuse_existing;
use super::payload::{bad_digest, verify_content_sha256};
use super::request::Request;
use super::response::Response;
use super::script::Script;
use super::store::{Object, Part, Store, StoredChecksum, Upload};
use super::xml::{document, element, insides, text_of};

pub fn complete(store: &mut Store, script: &Script, request: &Request, body: &Bytes) -> Result<Response, ErrorAnswer> {
    verify_content_sha256(request, body)?;
    let id = request.query("uploadId").unwrap_or_default().to_owned();
    if let Some(answer) = store.completed.get(&id) {
        return if script.repeat_complete { Ok(Response::xml(200, answer.clone())) } else { Err(no_such_upload()) };
    }
    let exists = store.bucket(request)?.contains_key(request.key.as_deref().unwrap_or_default());
    let upload = find(store, request)?.clone();
    refuse_existing(request, exists)?;
    let parts = named_parts(&upload, &String::from_utf8_lossy(body))?;
    check_sizes(script, &parts)?;
    let object = assemble(script, &upload, &parts, request)?;

    let mut inner = element("Location", &request.target) + &element("Bucket", &upload.bucket);
    inner += &element("Key", &upload.key);
    inner += &element("ETag", &object.etag);
    if let Some(checksum) = &object.checksum {
        inner += &element(&checksum.algorithm.xml_element(), &checksum.value);
        inner += &element("ChecksumType", checksum.type_name());
    }
    let answer = document("CompleteMultipartUploadResult", &inner);
    store.put(&upload.bucket, &upload.key, object);
    store.uploads.remove(&id);
    store.completed.insert(id, answer.clone());
    Ok(Response::xml(200, answer))
}

/// The parts that the document names, in its order, each held against what was uploaded.
fn named_parts<'a>(upload: &'a Upload, text: &str) -> Result<Vec<&'a Part>, ErrorAnswer> {
    let malformed = || ErrorAnswer::new(400, "MalformedXML", "The XML you provided was not well-formed.");
    let invalid = || {
        let message = "One or more of the specified parts could not be found. The part may not have been \
                       uploaded, or the specified entity tag may not match the part's entity tag.";
        ErrorAnswer::new(400, "InvalidPart", message)
    };
    let (mut parts, mut before) = (Vec::new(), 0);
    for inside in insides(text, "Part") {
        let number: u32 = text_of(inside, "PartNumber").and_then(|it| it.parse().ok()).ok_or_else(malformed)?;
        let etag = text_of(inside, "ETag").ok_or_else(malformed)?;
        if number <= before {
            return Err(ErrorAnswer::new(400, "InvalidPartOrder", "The list of parts was not in ascending order."));
        }
        before = number;
        let part = upload.parts.get(&number).ok_or_else(invalid)?;
        if part.etag.trim_matches('"') != etag.trim_matches('"') {
            return Err(invalid());
        }
        for algorithm in Algorithm::ALL {
            if text_of(inside, &algorithm.xml_element()).is_some_and(|value| value != algorithm.base64(&part.bytes)) {
                return Err(invalid());
            }
        }
        parts.push(part);
    }
    if parts.is_empty() { Err(malformed()) } else { Ok(parts) }
}

fn check_sizes(script: &Script, parts: &[&Part]) -> Result<(), ErrorAnswer> {
    let (Some(first), Some((last, but_last))) = (parts.first(), parts.split_last()) else { return Ok(()) };
    if but_last.iter().any(|part| part.bytes.len() < script.minimum_part_size) {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        return Err(ErrorAnswer::new(400, "EntityTooSmall", message));
    }
    let equal = but_last.iter().all(|part| part.bytes.len() == first.bytes.len());
    if script.equal_parts && (!equal || last.bytes.len() > first.bytes.len()) {
        let message = "All non-trailing parts must have the same length.";
        return Err(ErrorAnswer::new(400, "InvalidPart", message));
    }
    Ok(())
}

fn assemble(script: &Script, upload: &Upload, parts: &[&Part], request: &Request) -> Result<Object, ErrorAnswer> {
    let mut bytes = BytesMut::with_capacity(parts.iter().map(|part| part.bytes.len()).sum());
    let mut part_md5s = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&part.bytes);
        part_md5s.extend(md5(&part.bytes));
    }
    let bytes = bytes.freeze();
    if request.header("x-amz-mp-object-size").is_some_and(|size| size != bytes.len().to_string()) {
        let message = "The provided 'x-amz-mp-object-size' header does not match what was computed.";
        return Err(ErrorAnswer::new(400, "InvalidRequest", message));
    }
    let checksum = match upload.algorithm {
        Some(algorithm) if upload.composite => {
            let digests: Vec<u8> = parts.iter().flat_map(|part| algorithm.digest(&part.bytes)).collect();
            let value = format!("{}-{}", BASE64_STANDARD.encode(algorithm.digest(&digests)), parts.len());
            Some(StoredChecksum { algorithm, value, composite: true })
        }
        Some(algorithm) => Some(StoredChecksum::full(algorithm, &bytes)),
        None => script.add_checksums.then(|| StoredChecksum::full(Algorithm::Crc64Nvme, &bytes)),
    };
    if let Some((algorithm, expected)) = Algorithm::supplied(request)? {
        let of_object = checksum.as_ref().filter(|it| it.algorithm == algorithm).map(|it| it.value.clone());
        if of_object.unwrap_or_else(|| algorithm.base64(&bytes)) != expected {
            return Err(bad_digest(algorithm.name()));
        }
    }
    Ok(Object {
        etag: format!("\"{}-{}\"", hexadecimal(&md5(&part_md5s)), parts.len()),
        content_type: upload.content_type.clone(),
        checksum,
        kept_headers: upload.kept_headers.clone(),
        part_count: parts.len(),
        ..Object::new(bytes)
    })
}
