//! Buckets, objects and uploads in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use bytes::Bytes;

use super::checksum::{Algorithm, etag};
use super::error_answer::ErrorAnswer;
use super::request::Request;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChecksum {
    pub algorithm: Algorithm,
    /// Base64, with `-N` if composite.
    pub value: String,
    pub composite: bool,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub bytes: Bytes,
    /// With its quotes.
    pub etag: String,
    pub content_type: Option<String>,
    pub checksum: Option<StoredChecksum>,
    /// `x-amz-meta-*`, `Content-Encoding`, `Cache-Control` and their like, names in lower case.
    pub kept_headers: BTreeMap<String, String>,
    /// 0 for a single PUT.
    pub part_count: usize,
    pub last_modified: SystemTime,
}

impl Object {
    pub fn new(bytes: Bytes) -> Object {
        Object {
            etag: etag(&bytes),
            content_type: None,
            checksum: Some(StoredChecksum::full(Algorithm::Crc64Nvme, &bytes)),
            kept_headers: BTreeMap::new(),
            part_count: 0,
            last_modified: SystemTime::now(),
            bytes,
        }
    }
}

impl StoredChecksum {
    pub fn full(algorithm: Algorithm, bytes: &[u8]) -> StoredChecksum {
        StoredChecksum { algorithm, value: algorithm.base64(bytes), composite: false }
    }

    pub fn type_name(&self) -> &'static str {
        if self.composite { "COMPOSITE" } else { "FULL_OBJECT" }
    }
}

#[derive(Clone, Debug)]
pub struct Part {
    pub bytes: Bytes,
    pub etag: String,
    pub checksum: Option<(Algorithm, String)>,
}

#[derive(Clone, Debug)]
pub struct Upload {
    pub bucket: String,
    pub key: String,
    pub content_type: Option<String>,
    pub kept_headers: BTreeMap<String, String>,
    pub algorithm: Option<Algorithm>,
    pub composite: bool,
    pub parts: BTreeMap<u32, Part>,
}

#[derive(Debug, Default)]
pub struct Store {
    pub buckets: BTreeMap<String, BTreeMap<String, Object>>,
    pub uploads: BTreeMap<String, Upload>,
    /// Ids of completed uploads with the answer they got.
    pub completed: BTreeMap<String, String>,
    pub expired_credentials: BTreeSet<String>,
    uploads_begun: usize,
}

impl Store {
    pub fn bucket(&mut self, request: &Request) -> Result<&mut BTreeMap<String, Object>, ErrorAnswer> {
        let name = request.bucket.as_deref().unwrap_or_default();
        self.buckets
            .get_mut(name)
            .ok_or_else(|| ErrorAnswer::new(404, "NoSuchBucket", "The specified bucket does not exist"))
    }

    pub fn next_upload_id(&mut self) -> String {
        self.uploads_begun += 1;
        format!("upload-{:06}", self.uploads_begun)
    }

    pub fn put(&mut self, bucket: &str, key: &str, object: Object) {
        self.buckets.entry(bucket.to_owned()).or_default().insert(key.to_owned(), object);
    }
}

/// Headers that S3 stores with an object and gives back.
pub fn kept_headers(request: &Request) -> BTreeMap<String, String> {
    const KEPT: [&str; 5] = ["cache-control", "content-disposition", "content-encoding", "content-language", "expires"];
    let names = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    names.filter(|(name, _)| name.starts_with("x-amz-meta-") || KEPT.contains(&name.as_str())).collect()
}
