//! ListMultipartUploads, page by page. As with listings of objects the loop is our own, and `IsTruncated` decides.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::multipart::MultipartUpload;
use super::{Client, send};
use crate::error::{Error, Kind, Result};
use crate::wire::checksum::Algorithm;

/// An upload that has begun and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncompleteUpload {
    /// Its key.
    pub key: String,
    /// S3's name for it.
    pub id: String,
    /// When it began, by the server's clock; `None` where the server doesn't tell.
    pub initiated: Option<SystemTime>,
}

/// Where the next page begins: after this key and upload.
type Marker = (String, Option<String>);

impl Client {
    /// All uploads under keys that begin with `prefix`.
    pub async fn incomplete_uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<IncompleteUpload>> {
        let mut uploads = Vec::new();
        let mut marker: Option<Marker> = None;
        let mut seen = HashSet::new();
        loop {
            let page = self.retried("ListMultipartUploads", (bucket, ""), None, || {
                let (client, bucket) = (self.clone(), bucket.to_owned());
                let (prefix, marker) = (prefix.to_owned(), marker.clone());
                Box::pin(async move { page(&client, &bucket, &prefix, marker).await })
            });
            let page = page.await?;
            uploads.extend(page.uploads);
            if !page.truncated {
                return Ok(uploads);
            }
            let wrong = |text: &str| {
                let error = Error::new(Kind::BadResponse, format!("{text}; the listing is incomplete"));
                Err(error.during("ListMultipartUploads").of_object(bucket, ""))
            };
            let Some(next) = page.next else {
                return wrong("the server says that there are more uploads but not where");
            };
            if !seen.insert(next.clone()) {
                return wrong("the server repeats a page");
            }
            marker = Some(next);
        }
    }

    /// How long ago an upload began, by the server's clock as far as it is known. Nothing for what doesn't tell.
    pub fn age(&self, upload: &IncompleteUpload) -> Option<Duration> {
        upload.initiated.and_then(|initiated| self.wire.clock.now().duration_since(initiated).ok())
    }

    /// Aborts what a listing has shown. One that has ended meanwhile is as good.
    pub async fn abort_incomplete(&self, bucket: &str, upload: &IncompleteUpload) -> Result<()> {
        let upload = MultipartUpload::of_another(bucket, &upload.key, &upload.id, Algorithm::None);
        self.abort_multipart(&upload).await.map(drop)
    }
}

/// One page as it came.
struct Page {
    uploads: Vec<IncompleteUpload>,
    truncated: bool,
    next: Option<Marker>,
}

async fn page(client: &Client, bucket: &str, prefix: &str, marker: Option<Marker>) -> Result<Page> {
    let (key, id) = marker.unzip();
    let list = client.sdk.list_multipart_uploads().bucket(bucket).prefix(prefix);
    // Without `encoding-type`, as botocore: SeaweedFS 4.48 says here that it encodes keys, and does not.
    let list = list.set_key_marker(key).set_upload_id_marker(id.flatten());
    let answer = send!(client, bucket, list)?;
    let uploads = answer.uploads().iter().map(|upload| {
        let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
            return Err(Error::new(Kind::BadResponse, "a listed upload has no key or no id"));
        };
        let initiated = upload.initiated().and_then(|time| SystemTime::try_from(*time).ok());
        Ok(IncompleteUpload { key: key.to_owned(), id: id.to_owned(), initiated })
    });
    let told = |marker: Option<&str>| marker.filter(|marker| !marker.is_empty()).map(str::to_owned);
    let next = told(answer.next_key_marker()).map(|key| (key, told(answer.next_upload_id_marker())));
    Ok(Page {
        uploads: uploads.collect::<Result<_>>()?,
        // S3 always says it. Where it is missing, a marker says that there is more.
        truncated: answer.is_truncated().unwrap_or(next.is_some()),
        next,
    })
}
