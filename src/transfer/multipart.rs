//! One large file up, in parts. It ends in Complete or Abort, whatever happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crc_fast::CrcAlgorithm;
use http::{Method, header};
use md5::{Digest as _, Md5};

use super::load::{self, Wanted};
use super::parts::Parts;
use super::upload::LocalFile;
use super::{Engine, cancelled, until_cancelled};
use crate::client::{MultipartUpload, UploadedPart};
use crate::disk::Source;
use crate::error::{Error, Kind, Result};
use crate::flow::{Cancel, Lane, Reserved};
use crate::plan::{Part, Plan};
use crate::transfer::digest::Digests;
use crate::wire::checksum::{Expected, encode_crc64};
use crate::wire::combine::combine;
use crate::wire::endpoint::encode_query;
use crate::wire::object::{Limits, ObjectRequest};
use crate::wire::retry::{Class, Retry, classify};

/// How long the answer to a CreateMultipartUpload is waited for after a cancel: without it the upload could not be
/// aborted. Part of the second that a cancel may take.
const CREATE_GRACE: Duration = Duration::from_millis(500);
/// How long after its last byte a part may be answered to be called quick: later, the server is far away or does much with
/// it, the parts have to be many, and there is no memory for many (docs/decisions/0003). The time of the bytes themselves
/// says nothing: they take long on a busy machine, too.
const QUICK: Duration = Duration::from_millis(10);
/// How long one waits for the memory that quick ones give back.
const PATIENCE: Duration = Duration::from_millis(20);
/// How many slow parts and vain waits of a file it takes until none waits any more. One may have met a busy moment.
const STRIKES: u32 = 3;
/// How long an abort may take after a cancel. A server that does not answer in this time leaves the upload to its
/// lifecycle rule.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// A part that was sent, with what the whole's checksum is made of.
struct Sent {
    part: UploadedPart,
    crc64: u64,
    length: u64,
}

impl Engine {
    /// Sends a file in parts.
    pub(super) async fn upload_multipart(
        self: &Arc<Self>,
        file: &LocalFile,
        source: &Arc<Source>,
        plan: Plan,
        signed: bool,
        cancel: &Cancel,
    ) -> Result<()> {
        loop {
            let upload = self.begin(file, cancel).await?;
            let error = match self.parts_and_complete(&upload, source, plan, signed, cancel).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // Where the outcome is unknown the object may be there, whole: nothing more is touched.
            if *error.kind() == Kind::OutcomeUnknown {
                return Err(error);
            }
            let error = match self.abort(&upload, cancel).await {
                Ok(()) => error,
                Err(left) => error.with_note(&format!("the upload {} could not be aborted: {left}", upload.id)),
            };
            if !self.client.wire().accepted.refused(upload.algorithm, &error) {
                return Err(error);
            }
        }
    }

    /// Aborts an upload, with as many retries as any request has, unless nobody waits for the transfer any more.
    async fn abort(&self, upload: &MultipartUpload, cancel: &Cancel) -> Result<()> {
        let limit = async {
            cancel.cancelled().await;
            tokio::time::sleep(ABORT_LIMIT).await;
        };
        tokio::select! {
            biased;
            aborted = self.client.abort_multipart(upload) => aborted,
            () = limit => Err(cancelled()),
        }
    }

    async fn begin(&self, file: &LocalFile, cancel: &Cancel) -> Result<MultipartUpload> {
        let begin = self.client.begin_multipart(&file.bucket, &file.key, &file.content_type, Some(&self.window));
        let grace = async {
            cancel.cancelled().await;
            tokio::time::sleep(CREATE_GRACE).await;
        };
        tokio::select! {
            biased;
            begun = begin => begun,
            () = grace => Err(cancelled()),
        }
    }

    async fn parts_and_complete(
        self: &Arc<Self>,
        upload: &MultipartUpload,
        source: &Arc<Source>,
        plan: Plan,
        signed: bool,
        cancel: &Cancel,
    ) -> Result<()> {
        let sent = self.send_parts(upload, source, plan, signed, cancel).await?;
        let crc64 = sent.iter().fold(None, |whole: Option<u64>, sent| {
            Some(whole.map_or(sent.crc64, |crc| combine(CrcAlgorithm::Crc64Nvme, crc, sent.crc64, sent.length)))
        });
        let crc64 = crc64.unwrap_or_default();
        until_cancelled(cancel, self.check_unchanged(source, crc64)).await?;
        let parts: Vec<UploadedPart> = sent.into_iter().map(|sent| sent.part).collect();
        until_cancelled(cancel, self.complete(upload, &parts, source.size(), crc64, cancel)).await
    }

    /// All parts, in the order of their numbers. At the first error the others are stopped, and have stopped when this
    /// returns.
    async fn send_parts(
        self: &Arc<Self>,
        upload: &MultipartUpload,
        source: &Arc<Source>,
        plan: Plan,
        signed: bool,
        cancel: &Cancel,
    ) -> Result<Vec<Sent>> {
        let wanted = Wanted { algorithm: upload.algorithm, signed };
        let mut sending = Parts::new(cancel);
        let strikes = Arc::new(AtomicU32::new(0));
        let begun = async {
            for part in plan.parts() {
                let room = async {
                    let memory = if strikes.load(Relaxed) < STRIKES {
                        self.budget.reserve_spare(part.length, PATIENCE).await
                    } else {
                        self.budget.try_reserve_spare(part.length)
                    };
                    (memory, self.window.enter().await)
                };
                let (memory, lane) = sending.meanwhile(room).await?;
                strikes.fetch_add(u32::from(memory.is_none()), Relaxed);
                let (engine, upload, source, strikes) = (self.clone(), upload.clone(), source.clone(), strikes.clone());
                sending.begin(PartSender { engine, upload, source, wanted, strikes }.send(part, lane, memory));
            }
            Ok(())
        };
        let begun = begun.await;
        let mut sent = sending.finish(begun).await?;
        sent.sort_by_key(|sent| sent.part.number);
        Ok(sent)
    }

    /// The parts were read at different times: they are one file only if it did not change meanwhile.
    async fn check_unchanged(&self, source: &Arc<Source>, crc64: u64) -> Result<()> {
        let source = source.clone();
        self.digests.run(move || load::check_unchanged(&source, crc64)).await?
    }

    async fn complete(
        &self,
        upload: &MultipartUpload,
        parts: &[UploadedPart],
        size: u64,
        crc64: u64,
        cancel: &Cancel,
    ) -> Result<()> {
        let mut retry = Retry::new(self.client.options());
        let mut unanswered = false;
        loop {
            retry.begin();
            let whole = Some(encode_crc64(crc64));
            let error = match self.client.complete_multipart(upload, parts, size, whole).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let gone = error.code() == Some("NoSuchUpload");
            // An earlier attempt may have gone through without an answer. Only content can tell.
            let was_sent = !matches!(error.kind(), Kind::Connect | Kind::ConnectTimeout | Kind::Proxy);
            unanswered |= was_sent && classify(&error) == Class::Transient;
            if unanswered && self.is_stored(upload, parts, size, crc64).await {
                // The same bytes may have stood there before: then the upload is still open. They are stored either
                // way, so that an abort that fails is no failure.
                let _left_to_the_lifecycle_rule = self.abort(upload, cancel).await;
                return Ok(());
            }
            if gone && unanswered {
                return Err(unknown(&error));
            }
            if let Err(error) = self.client.wire().pause(&mut retry, error, &upload.bucket, Some(&self.window)).await {
                return Err(if unanswered && error.as_service().is_none() { unknown(&error) } else { error });
            }
        }
    }

    /// Whether the object that stands under the key is what was uploaded: by its checksum, else by an ETag that is
    /// made of the parts' MD5 sums. That there is an object proves nothing.
    async fn is_stored(&self, upload: &MultipartUpload, parts: &[UploadedPart], size: u64, crc64: u64) -> bool {
        let Ok(head) = self.head(&upload.bucket, &upload.key).await else { return false };
        if head.size != size {
            return false;
        }
        let crc64 = Expected { algorithm: CrcAlgorithm::Crc64Nvme, value: crc64 };
        head.expected == Some(crc64) || (head.etag.is_some() && head.etag == etag_of_parts(parts))
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

/// Sends parts of one upload; owns what it needs, since parts are tasks.
struct PartSender {
    engine: Arc<Engine>,
    upload: MultipartUpload,
    source: Arc<Source>,
    wanted: Wanted,
    strikes: Arc<AtomicU32>,
}

impl PartSender {
    async fn send(self, part: Part, _lane: Lane, memory: Option<Reserved>) -> Result<Sent> {
        let engine = &self.engine;
        let (payload, digests) = engine.stretch(&self.source, part.offset, part.length, self.wanted, memory).await?;
        let query = format!("partNumber={}&uploadId={}", part.number, encode_query(&self.upload.id));
        let options = engine.client.options();
        let mut retry = Retry::new(options);
        loop {
            let request = ObjectRequest {
                payload: payload.clone(),
                query: query.clone(),
                sha256: digests.sha256.clone(),
                ..ObjectRequest::new("UploadPart", Method::PUT, &self.upload.bucket, &self.upload.key)
            }
            .checksum(digests.algorithm, digests.checksum.as_deref())?;
            retry.begin();
            let mut limits = Limits::new(options, Some(&engine.window));
            limits.expect_continue = retry.expect_continue();
            let answer = engine.client.wire().attempt(&request, limits).await;
            let answer_time = answer.as_ref().ok().and_then(|response| response.answer_time);
            let is_quick = answer_time.is_some_and(|took| took <= QUICK);
            self.strikes.fetch_add(u32::from(!is_quick), Relaxed);
            let error = match answer {
                Ok(mut response) => match response.header(header::ETAG).map(str::to_owned) {
                    Some(etag) => {
                        response.drain().await;
                        return Ok(sent(part, etag, digests));
                    }
                    None => {
                        let text = format!("part {} was answered without an ETag", part.number);
                        Error::new(Kind::BadResponse, text)
                            .during("UploadPart")
                            .of_object(&self.upload.bucket, &self.upload.key)
                    }
                },
                Err(error) => error,
            };
            engine.client.wire().pause(&mut retry, error, &self.upload.bucket, Some(&engine.window)).await?;
        }
    }
}

fn sent(part: Part, etag: String, digests: Digests) -> Sent {
    Sent {
        part: UploadedPart { number: part.number, etag, checksum: digests.checksum },
        crc64: digests.crc64,
        length: part.length,
    }
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
