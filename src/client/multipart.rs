//! Multipart uploads: begun, completed or aborted. The parts themselves go over the data plane.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};

use super::under_way::UnderWay;
use super::{Client, send};
use crate::error::{Error, Kind, Result};
use crate::flow::Window;
use crate::wire::checksum::Algorithm;

/// How often an abort is repeated while parts that were under way still arrive (S3 API, AbortMultipartUpload).
const ABORTS: u32 = 3;
/// Between two aborts, longer each time: parts of ours were stopped before, and what the network still holds is there
/// within a round trip.
const BETWEEN_ABORTS: Duration = Duration::from_millis(50);

/// An upload that has begun and must end in Complete or Abort.
#[derive(Debug, Clone)]
pub struct MultipartUpload {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// S3's name for the upload.
    pub id: String,
    /// What protects its parts.
    pub algorithm: Algorithm,
    /// Of one that this process has begun.
    _under_way: Option<Arc<UnderWay>>,
}

impl MultipartUpload {
    /// One that somebody else has begun.
    pub(super) fn of_another(bucket: &str, key: &str, id: &str, algorithm: Algorithm) -> Self {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), id.to_owned());
        Self { bucket, key, id, algorithm, _under_way: None }
    }
}

/// How the first abort of an upload has found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aborted {
    /// It was there, or the server does not tell.
    Open,
    /// There was none: completed, or aborted by somebody else.
    Missing,
}

/// A part that S3 has.
#[derive(Debug, Clone)]
pub struct UploadedPart {
    /// From 1.
    pub number: u32,
    /// S3's ETag for it.
    pub etag: String,
    /// Its checksum as it was sent, with the algorithm of the upload.
    pub checksum: Option<String>,
}

impl Client {
    /// CreateMultipartUpload. Falls back to weaker checksums where the server refuses the better ones.
    pub async fn begin_multipart(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
        window: Option<&Window>,
    ) -> Result<MultipartUpload> {
        let under_way = UnderWay::begin(bucket, key);
        loop {
            let algorithm = self.wire.accepted.get();
            let created = self
                .retried("CreateMultipartUpload", (bucket, key), window, || {
                    let (client, bucket, key) = (self.clone(), bucket.to_owned(), key.to_owned());
                    let content_type = (!content_type.is_empty()).then(|| content_type.to_owned());
                    Box::pin(async move {
                        let create = client
                            .sdk
                            .create_multipart_upload()
                            .bucket(&bucket)
                            .key(key)
                            .set_content_type(content_type)
                            .set_checksum_algorithm(match algorithm {
                                Algorithm::Crc64Nvme => Some(ChecksumAlgorithm::Crc64Nvme),
                                Algorithm::Crc32 => Some(ChecksumAlgorithm::Crc32),
                                Algorithm::Md5 | Algorithm::None => None,
                            })
                            // Always said: the servers' defaults differ.
                            .set_checksum_type(match algorithm {
                                Algorithm::Crc64Nvme => Some(ChecksumType::FullObject),
                                Algorithm::Crc32 => Some(ChecksumType::Composite),
                                Algorithm::Md5 | Algorithm::None => None,
                            });
                        send!(client, &bucket, create)
                    })
                })
                .await;
            let created = match created {
                Err(error) if self.wire.accepted.refused(algorithm, &error) => continue,
                other => other?,
            };
            let id = created.upload_id().map(str::to_owned).ok_or_else(|| {
                let text = "CreateMultipartUpload was answered without an upload id";
                Error::new(Kind::BadResponse, text).during("CreateMultipartUpload").of_object(bucket, key)
            })?;
            let under_way = Some(Arc::new(under_way.named(&id)));
            return Ok(MultipartUpload {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                id,
                algorithm,
                _under_way: under_way,
            });
        }
    }

    /// CompleteMultipartUpload, once. What a failure means is for the caller to find out.
    pub async fn complete_multipart(
        &self,
        upload: &MultipartUpload,
        parts: &[UploadedPart],
        size: u64,
        crc64: Option<String>,
    ) -> Result<()> {
        let completed = parts.iter().map(|part| {
            let built = CompletedPart::builder().part_number(part.number as i32).e_tag(&part.etag);
            match upload.algorithm {
                Algorithm::Crc64Nvme => built.set_checksum_crc64_nvme(part.checksum.clone()),
                Algorithm::Crc32 => built.set_checksum_crc32(part.checksum.clone()),
                Algorithm::Md5 | Algorithm::None => built,
            }
            .build()
        });
        let list = CompletedMultipartUpload::builder().set_parts(Some(completed.collect())).build();
        let whole = crc64.filter(|_| upload.algorithm == Algorithm::Crc64Nvme);
        let complete = self
            .sdk
            .complete_multipart_upload()
            .bucket(&upload.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .multipart_upload(list)
            .set_checksum_type(whole.as_ref().map(|_| ChecksumType::FullObject))
            .set_mpu_object_size(whole.as_ref().and_then(|_| i64::try_from(size).ok()))
            .set_checksum_crc64_nvme(whole);
        let named = |error: Error| error.during("CompleteMultipartUpload").of_object(&upload.bucket, &upload.key);
        let answer = send!(self, &upload.bucket, complete).map_err(named)?;
        // The SDK takes a document that was cut for a whole one. One that names no object says nothing of success.
        if answer.e_tag().is_none_or(str::is_empty) {
            return Err(named(Error::new(Kind::BadResponse, "CompleteMultipartUpload was answered without an ETag")));
        }
        Ok(())
    }

    /// Aborts an upload and makes sure that it is gone: a part that was under way may arrive after the first abort.
    pub async fn abort_multipart(&self, upload: &MultipartUpload) -> Result<Aborted> {
        let place = (upload.bucket.as_str(), upload.key.as_str());
        for round in 0..ABORTS {
            if round > 0 {
                tokio::time::sleep(BETWEEN_ABORTS * round).await;
            }
            let aborted = self
                .retried("AbortMultipartUpload", place, None, || {
                    let (client, upload) = (self.clone(), upload.clone());
                    Box::pin(async move {
                        let abort = client.sdk.abort_multipart_upload();
                        let abort = abort.bucket(&upload.bucket).key(&upload.key).upload_id(&upload.id);
                        send!(client, &upload.bucket, abort)?;
                        Ok(())
                    })
                })
                .await;
            match aborted {
                Err(error) if error.code() == Some("NoSuchUpload") => {
                    return Ok(if round == 0 { Aborted::Missing } else { Aborted::Open });
                }
                other => other?,
            }
            let left = self
                .retried("ListParts", place, None, || {
                    let (client, upload) = (self.clone(), upload.clone());
                    Box::pin(async move {
                        let list = client.sdk.list_parts();
                        let list = list.bucket(&upload.bucket).key(&upload.key).upload_id(&upload.id);
                        Ok(send!(client, &upload.bucket, list)?.parts().len())
                    })
                })
                .await;
            match left {
                // S3 API, AbortMultipartUpload: "ensure that the parts list is empty".
                Ok(0) => return Ok(Aborted::Open),
                Err(error) if error.status() == Some(404) => return Ok(Aborted::Open),
                // Whoever may not look, or asks a server that can't tell, has aborted what came late with the second one.
                Err(error) if round > 0 && matches!(error.status(), Some(403 | 405 | 501)) => return Ok(Aborted::Open),
                Ok(_) | Err(_) => {}
            }
        }
        let text = format!("upload {} may still hold parts; a lifecycle rule removes them", upload.id);
        Err(Error::new(Kind::OutcomeUnknown, text).during("AbortMultipartUpload").of_object(place.0, place.1))
    }
}
