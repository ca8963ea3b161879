//! Which S3 operation a request is.

/// An operation by AWS's name, plus two of our own: an accepted connection, and a request that is none of S3's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A connection was accepted; no byte of it has been read yet.
    Connect,
    HeadBucket,
    CreateBucket,
    ListObjectsV2,
    ListMultipartUploads,
    HeadObject,
    GetObject,
    PutObject,
    DeleteObject,
    CreateMultipartUpload,
    UploadPart,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    /// Anything that this server does not know.
    Other,
}

impl Operation {
    pub const ALL: [Operation; 15] = [
        Operation::Connect,
        Operation::HeadBucket,
        Operation::CreateBucket,
        Operation::ListObjectsV2,
        Operation::ListMultipartUploads,
        Operation::HeadObject,
        Operation::GetObject,
        Operation::PutObject,
        Operation::DeleteObject,
        Operation::CreateMultipartUpload,
        Operation::UploadPart,
        Operation::CompleteMultipartUpload,
        Operation::AbortMultipartUpload,
        Operation::ListParts,
        Operation::Other,
    ];

    pub fn from_name(name: &str) -> Option<Operation> {
        Self::ALL.into_iter().find(|operation| format!("{operation:?}") == name)
    }

    pub fn of(method: &str, has_bucket: bool, has_key: bool, query: impl Fn(&str) -> bool) -> Operation {
        match (method, has_bucket, has_key) {
            ("HEAD", true, false) => Operation::HeadBucket,
            ("PUT", true, false) => Operation::CreateBucket,
            ("GET", true, false) if query("uploads") => Operation::ListMultipartUploads,
            ("GET", true, false) if query("list-type") => Operation::ListObjectsV2,
            ("HEAD", true, true) => Operation::HeadObject,
            ("GET", true, true) if query("uploadId") => Operation::ListParts,
            ("GET", true, true) => Operation::GetObject,
            ("PUT", true, true) if query("uploadId") => Operation::UploadPart,
            ("PUT", true, true) => Operation::PutObject,
            ("POST", true, true) if query("uploads") => Operation::CreateMultipartUpload,
            ("POST", true, true) if query("uploadId") => Operation::CompleteMultipartUpload,
            ("DELETE", true, true) if query("uploadId") => Operation::AbortMultipartUpload,
            ("DELETE", true, true) => Operation::DeleteObject,
            _ => Operation::Other,
        }
    }
}
