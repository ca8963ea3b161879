//! The end of a multipart upload: Complete, or Abort; and what is true where the answer to a Complete does not come.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};

use super::multipart::not_aborted;
use super::{Engine, until_cancelled};
use crate::client::{Aborted, MultipartUpload, UploadedPart};
use crate::error::{Error, Kind, Result};
use crate::flow::Cancel;
use crate::wire::checksum::{Expected, encode_crc64};
use crate::wire::retry::{Class, Retry, classify};

/// How long a look at the object may take after a cancel. Part of the second that a cancel may take.
const LOOK_GRACE: Duration = Duration::from_millis(400);

/// A file of which S3 has all parts.
pub(super) struct AllParts {
    pub(super) parts: Vec<UploadedPart>,
    pub(super) size: u64,
    pub(super) crc64: u64,
}

impl Engine {
    /// Completes an upload, or aborts it and says why.
    pub(super) async fn complete(&self, upload: &MultipartUpload, whole: &AllParts, cancel: &Cancel) -> Result<()> {
        // Whether a Complete was sent that has no final answer. Here, since a cancel drops what has sent it.
        let unanswered = AtomicBool::new(false);
        let error = match until_cancelled(cancel, self.try_to_complete(upload, whole, &unanswered, cancel)).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // Where the outcome is unknown the object may be there, whole: nothing more is touched.
        if *error.kind() == Kind::OutcomeUnknown {
            return Err(error);
        }
        if !unanswered.load(Relaxed) {
            return Err(self.abandon(upload, error, cancel).await);
        }
        let aborted = match self.abort(upload, cancel).await {
            Ok(aborted) => aborted,
            Err(left) => return Err(unknown(&error).with_note(&not_aborted(upload, &left))),
        };
        let grace = async {
            cancel.cancelled().await;
            tokio::time::sleep(LOOK_GRACE).await;
        };
        let is_stored = tokio::select! {
            biased;
            is_stored = self.is_stored(upload, whole) => is_stored,
            () = grace => false,
        };
        // An abort that finds something is no proof: some servers find uploads that were completed, AWS for hours
        // (https://github.com/minio/minio/issues/2250).
        match aborted {
            _ if is_stored && error.is_cancelled() => {
                Err(error.with_note("CompleteMultipartUpload had gone through: the object is stored"))
            }
            _ if is_stored => Ok(()),
            Aborted::Open => Err(error),
            Aborted::Missing => Err(unknown(&error)),
        }
    }

    /// CompleteMultipartUpload with retries. `unanswered` is true whenever one may have gone through.
    async fn try_to_complete(
        &self,
        upload: &MultipartUpload,
        whole: &AllParts,
        unanswered: &AtomicBool,
        cancel: &Cancel,
    ) -> Result<()> {
        let mut retry = Retry::new(self.client.options());
        loop {
            retry.begin();
            let before = unanswered.swap(true, Relaxed);
            let crc64 = Some(encode_crc64(whole.crc64));
            let error = match self.client.complete_multipart(upload, &whole.parts, whole.size, crc64).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let gone = error.code() == Some("NoSuchUpload");
            // An earlier attempt may have gone through without an answer. Only content can tell.
            let was_sent = !matches!(error.kind(), Kind::Connect | Kind::ConnectTimeout | Kind::Proxy);
            let may_have_worked = before || was_sent && classify(&error) == Class::Transient;
            unanswered.store(may_have_worked, Relaxed);
            if may_have_worked && self.is_stored(upload, whole).await {
                // The same bytes may have stood there before: then the upload is still open. They are stored either
                // way, so that an abort that fails is no failure.
                let _left_to_the_lifecycle_rule = self.abort(upload, cancel).await;
                return Ok(());
            }
            if gone && may_have_worked {
                return Err(unknown(&error));
            }
            if let Err(error) = self.client.wire().pause(&mut retry, error, &upload.bucket, Some(&self.window)).await {
                return Err(if may_have_worked && error.as_service().is_none() { unknown(&error) } else { error });
            }
        }
    }

    /// Whether the object that stands under the key is what was uploaded: by its checksum, else by an ETag that is
    /// made of the parts' MD5 sums. That there is an object proves nothing.
    async fn is_stored(&self, upload: &MultipartUpload, whole: &AllParts) -> bool {
        let Ok(head) = self.head(&upload.bucket, &upload.key).await else { return false };
        if head.size != whole.size {
            return false;
        }
        let crc64 = Expected { algorithm: CrcAlgorithm::Crc64Nvme, value: whole.crc64 };
        head.expected == Some(crc64) || (head.etag.is_some() && head.etag == etag_of_parts(&whole.parts))
    }
}

fn unknown(error: &Error) -> Error {
    let text = "CompleteMultipartUpload got no clear answer and the object can't be told to be the new one; look \
                whether it is before uploading again";
    Error::new(Kind::OutcomeUnknown, format!("{text} ({})", error.message()))
        .during("CompleteMultipartUpload")
        .after_attempts(error.context().attempts)
        .caused_by(error.clone())
}

/// The ETag that S3 makes of parts whose ETags are MD5 sums.
fn etag_of_parts(parts: &[UploadedPart]) -> Option<String> {
    let mut digest = Md5::new();
    for part in parts {
        let hex = part.etag.trim_matches('"');
        if hex.len() != 32 {
            return None;
        }
        for at in (0..32).step_by(2) {
            digest.update([u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?]);
        }
    }
    let sum: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("\"{sum}-{}\"", parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_etag_of_parts_is_computed_as_s3_does() {
        // printf of the MD5 sums of "a" and "b", summed again.
        let part = |etag: &str| UploadedPart { number: 1, etag: etag.into(), checksum: None };
        let parts = [part("\"0cc175b9c0f1b6a831c399e269772661\""), part("\"92eb5ffee6ae2fec3ad71c777531578f\"")];
        let mut sum = Md5::new();
        sum.update(Md5::digest(b"a"));
        sum.update(Md5::digest(b"b"));
        let expected: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(etag_of_parts(&parts), Some(format!("\"{expected}-2\"")));
        assert_eq!(etag_of_parts(&[part("\"not-md5\"")]), None);
    }
}
