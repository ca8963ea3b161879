//! One large file up, in parts. It ends in Complete or Abort, whatever happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crc_fast::CrcAlgorithm;
use http::{Method, header};

use super::complete::AllParts;
use super::load::{self, Wanted};
use super::parts::Parts;
use super::upload::LocalFile;
use super::{Engine, cancelled, until_cancelled};
use crate::client::{Aborted, MultipartUpload, UploadedPart};
use crate::disk::Source;
use crate::error::{Error, Kind, Result};
use crate::flow::{Cancel, Lane, Reserved};
use crate::plan::{Part, Plan};
use crate::transfer::digest::Digests;
use crate::wire::combine::combine;
use crate::wire::endpoint::encode_query;
use crate::wire::object::{Limits, ObjectRequest};
use crate::wire::retry::Retry;

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
            let ended = match self.send_all(&upload, source, plan, signed, cancel).await {
                Ok(whole) => self.complete(&upload, &whole, cancel).await,
                Err(error) => Err(self.abandon(&upload, error, cancel).await),
            };
            match ended {
                Err(error) if self.client.wire().accepted.refused(upload.algorithm, &error) => {}
                ended => return ended,
            }
        }
    }

    /// Aborts an upload that has failed. The error says where that was not possible.
    pub(super) async fn abandon(&self, upload: &MultipartUpload, error: Error, cancel: &Cancel) -> Error {
        match self.abort(upload, cancel).await {
            Ok(_) => error,
            Err(left) => error.with_note(&not_aborted(upload, &left)),
        }
    }

    /// Aborts an upload, with as many retries as any request has, unless nobody waits for the transfer any more.
    pub(super) async fn abort(&self, upload: &MultipartUpload, cancel: &Cancel) -> Result<Aborted> {
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

    /// Sends all parts and makes sure that they are one file.
    async fn send_all(
        self: &Arc<Self>,
        upload: &MultipartUpload,
        source: &Arc<Source>,
        plan: Plan,
        signed: bool,
        cancel: &Cancel,
    ) -> Result<AllParts> {
        let sent = self.send_parts(upload, source, plan, signed, cancel).await?;
        let crc64 = sent.iter().fold(None, |whole: Option<u64>, sent| {
            Some(whole.map_or(sent.crc64, |crc| combine(CrcAlgorithm::Crc64Nvme, crc, sent.crc64, sent.length)))
        });
        let crc64 = crc64.unwrap_or_default();
        until_cancelled(cancel, self.check_unchanged(source, crc64)).await?;
        let parts = sent.into_iter().map(|sent| sent.part).collect();
        Ok(AllParts { parts, size: source.size(), crc64 })
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
}

/// What is said of an upload that is left open.
pub(super) fn not_aborted(upload: &MultipartUpload, left: &Error) -> String {
    format!("the upload {} could not be aborted: {left}", upload.id)
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
