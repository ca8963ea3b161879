//! One file up: read, summed, sent, and sent again where that helps.

use std::path::PathBuf;
use std::sync::Arc;

use http::{Method, header};

use super::load::{self, Loaded, REREADS, WHOLE, Wanted};
use super::{Engine, until_cancelled};
use crate::disk::{Buffers, Source};
use crate::error::{Error, Kind, Result};
use crate::flow::{Cancel, Lane};
use crate::plan::Plan;
use crate::transfer::digest::Digests;
use crate::wire::body::Payload;
use crate::wire::object::{Limits, ObjectRequest};
use crate::wire::retry::Retry;
use crate::wire::sign::signed_value;

/// A file and where it goes.
#[derive(Debug, Clone)]
pub struct LocalFile {
    /// Its path.
    pub path: PathBuf,
    /// The bucket.
    pub bucket: Arc<str>,
    /// The key.
    pub key: String,
    /// `Content-Type` of the object; empty: none is sent, and S3 has its own.
    pub content_type: String,
}

impl Engine {
    /// Sends one file; returns its size. The file that is sent is the file at one instant: one that changes is read
    /// again at most twice.
    pub async fn upload_file(self: &Arc<Self>, file: &LocalFile, cancel: &Cancel) -> Result<u64> {
        let lane = self.lane(cancel).await?;
        let uploaded = self.upload_in_lane(file, lane, cancel).await;
        self.release_buffers();
        uploaded
    }

    /// The same in a lane that was taken already.
    pub(super) async fn upload_in_lane(self: &Arc<Self>, file: &LocalFile, lane: Lane, cancel: &Cancel) -> Result<u64> {
        crate::client::Client::check_names(&file.bucket, Some(&file.key))?;
        signed_value(&file.content_type)?;
        let mut lane = Some(lane);
        let mut rereads = 0;
        let mut retry = Retry::new(self.client.options());
        loop {
            // One that went up in parts, which have lanes of their own, and is to be read again has none.
            self.take_lane(&mut lane, cancel).await?;
            let error = match self.upload_once(file, &mut lane, cancel).await {
                Ok(size) => return Ok(size),
                Err(error) => error.at_path(&file.path).of_object(&file.bucket, &file.key),
            };
            let error = match self.wait_for_descriptors(&mut retry, error, &file.bucket, cancel).await {
                Ok(()) => continue,
                Err(error) => error,
            };
            let again = *error.kind() == Kind::SourceChanged || error.code() == Some("NoSuchUpload");
            if !again || rereads == REREADS {
                let note = "it was read three times; upload it when nothing writes to it";
                let error = if *error.kind() == Kind::SourceChanged { error.with_note(note) } else { error };
                return Err(self.at_endpoint(error, &file.bucket).await);
            }
            rereads += 1;
        }
    }

    async fn upload_once(self: &Arc<Self>, file: &LocalFile, lane: &mut Option<Lane>, cancel: &Cancel) -> Result<u64> {
        let load = async {
            let signing = self.client.options().payload_signing;
            let signed = self.client.wire().signs_payload(&file.bucket, signing).await?;
            let wanted = Wanted { algorithm: self.client.wire().accepted.get(), signed };
            let (path, buffers, budget) = (file.path.clone(), self.buffers.clone(), self.budget.clone());
            // A multipart upload is asked for from the threshold on, however small that is.
            let whole = WHOLE.min(self.client.options().multipart_threshold - 1);
            let loaded = self.disk.run(move || load::load(&path, whole, &buffers, &budget, wanted)).await??;
            Ok((loaded, wanted))
        };
        let (loaded, wanted) = until_cancelled(cancel, load).await?;
        let source = match loaded {
            Loaded::Whole(bytes, digests) => {
                let size = bytes.len() as u64;
                until_cancelled(cancel, self.put_object(file, Payload::Bytes(bytes), digests, None)).await?;
                return Ok(size);
            }
            Loaded::Later(source) => {
                let put = async {
                    let reserved = self.budget.reserve(Buffers::footprint(source.size())).await;
                    let buffers = self.buffers.clone();
                    let read = self.disk.run(move || load::read_whole(&source, &buffers, reserved, wanted));
                    let (bytes, digests) = read.await??;
                    let size = bytes.len() as u64;
                    self.put_object(file, Payload::Bytes(bytes), digests, None).await.map(|()| size)
                };
                return until_cancelled(cancel, Box::pin(put)).await;
            }
            Loaded::Large(source) => source,
        };
        let size = source.size();
        if size < self.client.options().multipart_threshold {
            // In a box, as all that is not the way of most files: tasks are moved, and should be small.
            let put = Box::pin(self.put_streamed(file, &source, wanted));
            return until_cancelled(cancel, put).await.map(|()| size);
        }
        // Its parts take lanes of their own.
        drop(lane.take());
        let plan = Plan::upload(size, self.client.options().part_size)?;
        let upload = Box::pin(self.upload_multipart(file, &source, plan, wanted.signed, cancel));
        upload.await.map(|()| size)
    }

    /// A file of middling size.
    async fn put_streamed(&self, file: &LocalFile, source: &Arc<Source>, wanted: Wanted) -> Result<()> {
        let (payload, digests) =
            self.stretch(source, 0, source.size(), wanted, self.budget.try_reserve_spare(source.size())).await?;
        self.put_object(file, payload, digests, Some(source)).await
    }

    /// PutObject with retries. `source` is where sums of another algorithm can be taken from.
    async fn put_object(
        &self,
        file: &LocalFile,
        payload: Payload,
        mut digests: Digests,
        source: Option<&Arc<Source>>,
    ) -> Result<()> {
        let wire = self.client.wire();
        let mut retry = Retry::new(self.client.options());
        loop {
            let mut request = ObjectRequest {
                payload: payload.clone(),
                sha256: digests.sha256.clone(),
                ..ObjectRequest::new("PutObject", Method::PUT, &file.bucket, &file.key)
            }
            .checksum(digests.algorithm, digests.checksum.as_deref())?;
            if !file.content_type.is_empty() {
                request = request.header(header::CONTENT_TYPE, &file.content_type)?;
            }
            retry.begin();
            let mut limits = Limits::new(self.client.options(), Some(&self.window));
            limits.expect_continue = retry.expect_continue();
            let error = match wire.attempt(&request, limits).await {
                // Every S3 names what it stored. An answer without that came from something that stored nothing.
                Ok(mut response) if response.header(header::ETAG).is_some() => {
                    response.drain().await;
                    return Ok(());
                }
                Ok(response) => {
                    response.discard();
                    Error::new(Kind::BadResponse, "PutObject was answered without an ETag")
                        .during("PutObject")
                        .of_object(&file.bucket, &file.key)
                }
                Err(error) => error,
            };
            if wire.accepted.refused(digests.algorithm, &error) {
                let wanted = Wanted { algorithm: wire.accepted.get(), signed: digests.sha256.is_some() };
                digests = Box::pin(self.digest_again(&payload, source, wanted)).await?;
                continue;
            }
            Box::pin(wire.pause(&mut retry, error, &file.bucket, Some(&self.window))).await?;
        }
    }

    /// The sums with another checksum, after a server has refused the better one.
    async fn digest_again(&self, payload: &Payload, source: Option<&Arc<Source>>, wanted: Wanted) -> Result<Digests> {
        match (payload, source) {
            (Payload::Bytes(bytes), _) => {
                let mut digesting = super::digest::Digesting::new(wanted.algorithm, wanted.signed);
                digesting.update(bytes);
                Ok(digesting.finish())
            }
            (Payload::Frames(frames), _) => {
                let mut digesting = super::digest::Digesting::new(wanted.algorithm, wanted.signed);
                frames.pieces().iter().for_each(|piece| digesting.update(piece));
                Ok(digesting.finish())
            }
            (Payload::Stretch { offset, length, .. }, Some(source)) => {
                let (source, offset, length) = (source.clone(), *offset, *length);
                self.digests.run(move || load::digest_stretch(&source, offset, length, wanted)).await?
            }
            (Payload::Stretch { .. }, None) => Err(Error::new(Kind::Internal, "a stretch without its file")),
        }
    }
}
