//! CreateMultipartUpload, UploadPart, AbortMultipartUpload, ListParts, ListMultipartUploads.

use bytes::Bytes;

use super::checksum::{Algorithm, etag};
use super::error_answer::ErrorAnswer;
use super::payload;
use super::request::Request;
use super::response::Response;
use super::script::Script;
use super::store::{Part, Store, Upload, kept_headers};
use super::xml::{document, element};

type Answer = Result<Response, ErrorAnswer>;

pub fn create(store: &mut Store, request: &Request) -> Answer {
    store.bucket(request)?;
    let algorithm =
        match request.header("x-amz-checksum-algorithm") {
            Some(name) => Some(Algorithm::from_name(name).ok_or_else(|| {
                ErrorAnswer::new(400, "InvalidRequest", "Checksum algorithm provided is unsupported.")
            })?),
            None => None,
        };
    // Defaults and the forbidden pairs: AWS API_CreateMultipartUpload, x-amz-checksum-type.
    let checksum_type = request.header("x-amz-checksum-type");
    let composite = match (algorithm, checksum_type) {
        (_, Some(wanted)) => wanted == "COMPOSITE",
        (None | Some(Algorithm::Crc64Nvme), None) => false,
        (Some(_), None) => true,
    };
    let full_sha = matches!(algorithm, Some(Algorithm::Sha1 | Algorithm::Sha256)) && !composite;
    if (composite && algorithm == Some(Algorithm::Crc64Nvme)) || full_sha {
        let message = "The checksum type cannot be used with this checksum algorithm.";
        return Err(ErrorAnswer::new(400, "InvalidRequest", message));
    }
    let id = store.next_upload_id();
    let (bucket, key) = (request.bucket.clone().unwrap_or_default(), request.key.clone().unwrap_or_default());
    let inner = element("Bucket", &bucket) + &element("Key", &key) + &element("UploadId", &id);
    let upload = Upload {
        bucket,
        key,
        content_type: request.header("content-type").map(str::to_owned),
        kept_headers: kept_headers(request),
        algorithm,
        composite,
        parts: Default::default(),
    };
    store.uploads.insert(id, upload);
    let mut response = Response::xml(200, document("InitiateMultipartUploadResult", &inner));
    if let Some(algorithm) = algorithm {
        response.set("x-amz-checksum-algorithm", algorithm.name());
        response.set("x-amz-checksum-type", if composite { "COMPOSITE" } else { "FULL_OBJECT" });
    }
    Ok(response)
}

/// The upload that the request names, if it belongs to the request's bucket and key.
pub fn find<'a>(store: &'a mut Store, request: &Request) -> Result<&'a mut Upload, ErrorAnswer> {
    store.bucket(request)?;
    store
        .uploads
        .get_mut(request.query("uploadId").unwrap_or_default())
        .filter(|upload| Some(&upload.bucket) == request.bucket.as_ref() && Some(&upload.key) == request.key.as_ref())
        .ok_or_else(no_such_upload)
}

pub fn no_such_upload() -> ErrorAnswer {
    let message = "The specified upload does not exist. The upload ID may be invalid, \
                   or the upload may have been aborted or completed.";
    ErrorAnswer::new(404, "NoSuchUpload", message)
}

pub fn upload_part(store: &mut Store, request: &Request, body: Bytes) -> Answer {
    let number = request.part_number().filter(|number| (1..=10_000).contains(number)).ok_or_else(|| {
        ErrorAnswer::new(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    })?;
    payload::verify(request, &body)?;
    let checksum = Algorithm::supplied(request)?;
    let upload = find(store, request)?;
    let sent = checksum.as_ref().map(|(algorithm, _)| *algorithm);
    if let Some(declared) = upload.algorithm
        && (sent.is_some_and(|sent| sent != declared) || (sent.is_none() && upload.composite))
    {
        let actual = sent.map_or("null", Algorithm::name);
        let message = format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {actual}",
            declared.name()
        );
        return Err(ErrorAnswer::new(400, "InvalidRequest", message));
    }
    let part = Part { etag: etag(&body), checksum, bytes: body };
    let mut response = Response::new(200).with("ETag", part.etag.as_str());
    if let Some((algorithm, value)) = &part.checksum {
        response.set(&algorithm.header(), value.as_str());
    }
    upload.parts.insert(number, part);
    Ok(response)
}

pub fn abort(store: &mut Store, request: &Request) -> Answer {
    find(store, request)?;
    store.uploads.remove(request.query("uploadId").unwrap_or_default());
    Ok(Response::new(204))
}

pub fn list_parts(store: &mut Store, script: &Script, request: &Request) -> Answer {
    let number = |name: &str| request.query(name).and_then(|text| text.parse::<usize>().ok());
    let marker = number("part-number-marker").unwrap_or(0);
    let page_size = script.page_size.min(number("max-parts").unwrap_or(usize::MAX));
    let upload = find(store, request)?;
    let left: Vec<_> = upload.parts.iter().filter(|(number, _)| **number as usize > marker).collect();
    let page = &left[..left.len().min(page_size)];
    let mut inner = element("Bucket", &upload.bucket) + &element("Key", &upload.key);
    inner += &element("UploadId", request.query("uploadId").unwrap_or_default());
    inner += &element("PartNumberMarker", &marker.to_string());
    if let Some((last, _)) = page.last() {
        inner += &element("NextPartNumberMarker", &last.to_string());
    }
    inner += &element("IsTruncated", if page.len() < left.len() { "true" } else { "false" });
    for (number, part) in page {
        inner += "<Part>";
        inner += &element("PartNumber", &number.to_string());
        inner += &element("ETag", &part.etag);
        inner += &element("Size", &part.bytes.len().to_string());
        if let Some((algorithm, value)) = &part.checksum {
            inner += &element(&algorithm.xml_element(), value);
        }
        inner += "</Part>";
    }
    Ok(Response::xml(200, document("ListPartsResult", &inner)))
}

/// All on one page: no test has thousands of them.
pub fn list_uploads(store: &mut Store, request: &Request) -> Answer {
    store.bucket(request)?;
    let prefix = request.query("prefix").unwrap_or_default();
    let mut inner = element("Bucket", request.bucket.as_deref().unwrap_or_default());
    inner += &element("IsTruncated", "false");
    let mine = store.uploads.iter().filter(|(_, upload)| Some(&upload.bucket) == request.bucket.as_ref());
    for (id, upload) in mine.filter(|(_, upload)| upload.key.starts_with(prefix)) {
        inner += "<Upload>";
        inner += &element("Key", &upload.key);
        inner += &element("UploadId", id);
        inner += "</Upload>";
    }
    Ok(Response::xml(200, document("ListMultipartUploadsResult", &inner)))
}
