//! ListObjectsV2 without delimiters.

use std::fmt::Write as _;
use std::ops::Bound;

use crate::encoding::{encode, escape};
use crate::request::Request;
use crate::response::Response;
use crate::store::Store;

/// S3's limit for a page: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
const MOST_KEYS: usize = 1_000;

pub fn list_objects(request: &Request, store: &Store) -> Response {
    if request.parameter("delimiter").is_some_and(|delimiter| !delimiter.is_empty()) {
        return Response::error(501, "NotImplemented");
    }
    let url = request.parameter("encoding-type").as_deref() == Some("url");
    let written = |key: &str| if url { encode(key) } else { escape(key) };
    let prefix = request.parameter("prefix").unwrap_or_default();
    let most = request.parameter("max-keys").and_then(|most| most.parse().ok()).unwrap_or(MOST_KEYS).min(MOST_KEYS);
    // The token is the last key of the page before.
    let after = request.parameter("continuation-token").or_else(|| request.parameter("start-after"));
    let start = match &after {
        Some(key) if *key >= prefix => Bound::Excluded(key.as_str()),
        _ => Bound::Included(prefix.as_str()),
    };

    let tables = store.lock();
    let Some(bucket) = tables.buckets.get(&request.bucket) else { return Response::error(404, "NoSuchBucket") };
    let found = bucket.range::<str, _>((start, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(&prefix));
    let (mut contents, mut count, mut last, mut more) = (String::new(), 0, "", false);
    for (key, object) in found {
        if count == most {
            more = true;
            break;
        }
        (count, last) = (count + 1, key);
        // Into a String nothing fails.
        let _written = write!(
            contents,
            "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{}</ETag><Size>{}</Size>\
             <StorageClass>STANDARD</StorageClass></Contents>",
            written(key),
            escape(&object.etag),
            object.body.size
        );
    }
    let encoding = if url { "<EncodingType>url</EncodingType>" } else { "" };
    let token = format!("<NextContinuationToken>{}</NextContinuationToken>", escape(last));
    let token = if more { token.as_str() } else { "" };
    let (bucket, prefix) = (&request.bucket, written(&prefix));
    Response::xml(
        200,
        format!(
            "<ListBucketResult><Name>{bucket}</Name><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount>\
             <MaxKeys>{most}</MaxKeys>{encoding}<IsTruncated>{more}</IsTruncated>{token}{contents}</ListBucketResult>"
        ),
    )
}
