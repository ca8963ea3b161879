//! Uploads that crashed programs have left on the server: found, and aborted when told so.

use std::time::Duration;

use super::{Engine, cancelled, until_cancelled};
use crate::client::{Client, IncompleteUpload, UploadsUnderWay};
use crate::error::{Error, Result};
use crate::flow::Cancel;
use crate::keys::KeyPrefix;

impl Engine {
    /// The uploads that began at least `older_than` ago under a prefix (or under the key of that name), and are not
    /// under way in this process; aborted unless it is a dry run. One that doesn't tell when it began is left alone.
    ///
    /// # Errors
    /// Those of ListMultipartUploads, and the first of AbortMultipartUpload, after all the others were aborted.
    pub async fn abort_incomplete_uploads(
        &self,
        bucket: &str,
        key_prefix: &str,
        older_than: Duration,
        dry_run: bool,
        cancel: &Cancel,
    ) -> Result<Vec<IncompleteUpload>> {
        Client::check_names(bucket, None)?;
        let folder = KeyPrefix::new(key_prefix).listing();
        let name = folder.trim_end_matches('/');
        // Of before and after: one that ends while it is being listed was no orphan.
        let before = UploadsUnderWay::now();
        let is_under_way = |upload: &IncompleteUpload| {
            [&before, &UploadsUnderWay::now()].iter().any(|known| known.includes(bucket, &upload.key, &upload.id))
        };
        let is_orphan = |upload: &IncompleteUpload| {
            (upload.key == name || upload.key.starts_with(&folder))
                && self.client.age(upload).is_some_and(|age| age >= older_than)
                && !is_under_way(upload)
        };
        let mut found = until_cancelled(cancel, self.client.incomplete_uploads(bucket, name)).await?;
        found.retain(is_orphan);
        if !dry_run {
            self.abort_all(bucket, &found, cancel).await?;
        }
        Ok(found)
    }
    /// One that can't be aborted keeps none of the others.
    async fn abort_all(&self, bucket: &str, uploads: &[IncompleteUpload], cancel: &Cancel) -> Result<()> {
        let (mut aborted, mut first) = (0, None);
        for upload in uploads {
            // An abort that has begun is not given up: half of one helps nobody.
            if cancel.is_cancelled() {
                first = Some(cancelled());
                break;
            }
            match self.client.abort_incomplete(bucket, upload).await {
                Ok(()) => aborted += 1,
                Err(error) => first = first.or(Some(error)),
            }
        }
        let told = |error: Error| error.with_note(&format!("{aborted} of {} uploads were aborted", uploads.len()));
        first.map_or(Ok(()), |error| Err(told(error)))
    }
}
