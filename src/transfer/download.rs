//! One object down: by one GET or by ranges, into a file that appears whole or not at all.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use http::{Method, header};

use super::fetch::{Remote, SharedFile, Stopped, Stretch};
use super::load::WHOLE;
use super::parts::Parts;
use super::whole::{Whole, compare, read_whole};
use super::{Engine, until_cancelled};
use crate::client::Client;
use crate::disk::{NewFile, Root, new_file_at};
use crate::error::{Error, Kind, Result};
use crate::flow::{Cancel, Lane};
use crate::plan::Plan;
use crate::wire::checksum::Expected;
use crate::wire::combine::combine;
use crate::wire::object::{Limits, ObjectRequest};
use crate::wire::retry::Retry;

/// How often an object that is replaced while it is read is begun again (PITFALLS 2.11).
const RESTARTS: u32 = 3;
/// How often an object is fetched again whose bytes don't match its checksum (PITFALLS 2.14).
const REFETCHES: u32 = 2;
/// How often an object is fetched again that could not be written for want of descriptors or memory.
const REWRITES: u32 = 10;
/// Memory of a range on its way: hyper's read buffer, the batch that arrives, the one that is written, the blocks that
/// these pin, and what the allocator keeps beside them. Measured: 1.4 MiB (docs/decisions/0003).
const RANGE_MEMORY: u64 = 3 << 19;
/// What a small object takes beyond its bytes: hyper's read buffer, which grows with what it reads.
const SMALL_MEMORY: u64 = 8 << 10;

/// How long a failed file may take to be let go by a write that is under way.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// Where an object goes.
#[derive(Clone)]
pub enum Place {
    /// Below a root, which it can't leave.
    Below(Arc<Root>, Arc<str>),
    /// At a path; durable or not.
    At(PathBuf, bool),
}

impl Place {
    fn new_file(&self) -> Result<NewFile> {
        match self {
            Self::Below(root, name) => root.new_file(name),
            Self::At(path, durable) => new_file_at(path, *durable),
        }
    }

    fn commit(&self, file: SharedFile) -> Result<()> {
        match self {
            Self::Below(root, name) => root.commit(file.into_file(), name),
            Self::At(..) => file.into_file().commit(),
        }
    }

    fn write(&self, frames: &[Bytes]) -> Result<()> {
        match self {
            Self::Below(root, name) => root.write_file(name, frames),
            Self::At(..) => {
                let file = self.new_file()?;
                let mut at = 0;
                for bytes in frames {
                    file.write_all_at(bytes, at)?;
                    at += bytes.len() as u64;
                }
                file.commit()
            }
        }
    }
}

impl Engine {
    /// Fetches one object to a path; returns its size. HeadObject comes first, as in boto3.
    pub async fn download_file(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        path: PathBuf,
        cancel: &Cancel,
    ) -> Result<u64> {
        Client::check_names(bucket, Some(key))?;
        let head = async {
            let object = self.head(bucket, key).await?;
            Ok((object, self.window.enter().await))
        };
        let (object, lane) = until_cancelled(cancel, head).await?;
        let named = |error: Error| error.at_path(&path).of_object(bucket, key);
        let place = Place::At(path.clone(), self.client.options().durable);
        self.download_in_lane(object, place, lane, cancel).await.map_err(named)
    }

    /// HeadObject: size, ETag and checksum.
    pub(super) async fn head(&self, bucket: &str, key: &str) -> Result<Remote> {
        let request = ObjectRequest::new("HeadObject", Method::HEAD, bucket, key)
            .header(http::HeaderName::from_static("x-amz-checksum-mode"), "ENABLED")?;
        let mut retry = Retry::new(self.client.options());
        loop {
            retry.begin();
            let limits = Limits::new(self.client.options(), Some(&self.window));
            let error = match self.client.wire().attempt(&request, limits).await {
                Ok(response) => match response.content_length() {
                    Some(size) => {
                        return Ok(Remote {
                            bucket: bucket.into(),
                            key: key.into(),
                            size,
                            etag: response.header(header::ETAG).map(str::to_owned),
                            expected: Expected::from_headers(&response.headers),
                        });
                    }
                    None => Error::new(Kind::BadResponse, "HeadObject was answered without a length")
                        .during("HeadObject")
                        .of_object(bucket, key),
                },
                Err(error) => error,
            };
            let wire = self.client.wire();
            let error = self.at_endpoint(error, bucket).await;
            if let Err(error) = wire.pause(&mut retry, error, bucket, Some(&self.window)).await {
                return Err(if error.status() == Some(403) {
                    error.with_note("without permission to list, S3 answers so for a missing key too")
                } else {
                    error
                });
            }
        }
    }

    /// Fetches an object in a lane that was taken already.
    pub(super) async fn download_in_lane(
        self: &Arc<Self>,
        object: Remote,
        place: Place,
        lane: Lane,
        cancel: &Cancel,
    ) -> Result<u64> {
        let bucket = object.bucket.clone();
        match self.download_restarting(object, place, lane, cancel).await {
            Ok(size) => Ok(size),
            Err(error) => Err(self.at_endpoint(error, &bucket).await),
        }
    }

    /// Begins again where the object changed or bytes were damaged.
    async fn download_restarting(
        self: &Arc<Self>,
        mut object: Remote,
        place: Place,
        lane: Lane,
        cancel: &Cancel,
    ) -> Result<u64> {
        let mut lane = Some(lane);
        let (mut restarts, mut refetches, mut rewrites, mut ranges) = (0, 0, 0, true);
        let mut retry = Retry::new(self.client.options());
        loop {
            let attempt = self.attempt(&object, &place, &mut lane, ranges, cancel).await;
            rewrites += u32::from(matches!(attempt, Err(Stopped::Unwritten(_))));
            let error = match attempt {
                Ok(size) => return Ok(size),
                Err(Stopped::NoRanges(_)) if ranges => {
                    ranges = false;
                    // The ranges had lanes of their own; the one GET for the whole takes one again.
                    self.take_lane(&mut lane, cancel).await?;
                    continue;
                }
                Err(Stopped::NoRanges(error) | Stopped::ForGood(error)) => return Err(error),
                Err(Stopped::Changed(error)) if restarts < RESTARTS => {
                    restarts += 1;
                    error
                }
                Err(Stopped::Changed(error)) => {
                    let text =
                        format!("the object was replaced again and again while it was read ({})", error.message());
                    let changed = Error::new(Kind::ObjectChanged, text).during("GetObject");
                    return Err(changed.of_object(&object.bucket, &object.key).caused_by(error));
                }
                Err(Stopped::Failed(error)) if *error.kind() == Kind::ChecksumMismatch && refetches < REFETCHES => {
                    refetches += 1;
                    error
                }
                Err(Stopped::Unwritten(error)) if rewrites > REWRITES => return Err(error),
                Err(Stopped::Failed(error) | Stopped::Unwritten(error)) => {
                    self.wait_for_descriptors(&mut retry, error, &object.bucket, cancel).await?;
                    self.take_lane(&mut lane, cancel).await?;
                    continue;
                }
            };
            self.take_lane(&mut lane, cancel).await?;
            let fresh = until_cancelled(cancel, Box::pin(self.head(&object.bucket, &object.key))).await;
            object = fresh.map_err(|head| head.with_note(&format!("it was asked for because {}", error.message())))?;
        }
    }

    async fn attempt(
        self: &Arc<Self>,
        object: &Remote,
        place: &Place,
        lane: &mut Option<Lane>,
        ranges: bool,
        cancel: &Cancel,
    ) -> Result<u64, Stopped> {
        if object.size <= WHOLE {
            let whole = until_cancelled(cancel, self.fetch_whole(object)).await?;
            return self.write_whole(whole, place, lane).await;
        }
        // In a box, as all that is not the way of most objects: tasks are moved, and should be small.
        Box::pin(self.download_large(object, place, lane, ranges, cancel)).await
    }

    /// An object that does not go through memory as a whole.
    async fn download_large(
        self: &Arc<Self>,
        object: &Remote,
        place: &Place,
        lane: &mut Option<Lane>,
        ranges: bool,
        cancel: &Cancel,
    ) -> Result<u64, Stopped> {
        let (file, gone) = {
            let (place, size) = (place.clone(), object.size);
            let create = self.disk.run(move || {
                let file = place.new_file()?;
                file.preallocate(size)?;
                Ok::<_, Error>(file)
            });
            SharedFile::new(create.await??)
        };
        if let Err(stopped) = self.fill(object, &file, lane, ranges, cancel).await {
            // A write may still be under way. Who is told of a failure finds no temporary file; a hung disk is not
            // waited for.
            let is_begun = file.is_begun();
            drop(file);
            let _either_way = tokio::time::timeout(LAST_WRITE, gone).await;
            return Err(if is_begun { stopped.for_good() } else { stopped });
        }
        let Some(file) = Arc::into_inner(file) else {
            return Err(Error::new(Kind::Internal, "a finished file is still being written").into());
        };
        let place = place.clone();
        self.disk.run(move || place.commit(file)).await?.map_err(Stopped::Unwritten)?;
        Ok(object.size)
    }

    /// Fetches a large object into its file, verified.
    async fn fill(
        self: &Arc<Self>,
        object: &Remote,
        file: &Arc<SharedFile>,
        lane: &mut Option<Lane>,
        ranges: bool,
        cancel: &Cancel,
    ) -> Result<(), Stopped> {
        let multipart = object.size >= self.client.options().multipart_threshold;
        let ranged = ranges && multipart && object.strong_etag().is_some() && !file.is_sequential();
        if ranged {
            // Its ranges take lanes of their own.
            drop(lane.take());
            self.download_ranges(object, file, cancel).await
        } else {
            let whole = Stretch { offset: 0, length: object.size, ranged: false };
            let asked = object.expected.map_or(CrcAlgorithm::Crc64Nvme, |expected| expected.algorithm);
            let fetch = async {
                let _reserved = self.budget.reserve(RANGE_MEMORY).await;
                self.fetch(object, whole, file, asked).await
            };
            let (sum, told) = until_cancelled(cancel, fetch).await?;
            let expected = told.or(object.expected);
            compare(expected, told.map_or(asked, |told| told.algorithm), sum, object)
        }
    }

    /// A small object: one GET, checked in memory.
    async fn fetch_whole(&self, object: &Remote) -> Result<Whole, Stopped> {
        let reserved = self.budget.reserve(2 * object.size + SMALL_MEMORY).await;
        let wire = self.client.wire();
        let mut retry = Retry::new(self.client.options());
        let request = ObjectRequest::new("GetObject", Method::GET, &object.bucket, &object.key)
            .header(http::HeaderName::from_static("x-amz-checksum-mode"), "ENABLED")?;
        loop {
            retry.begin();
            let limits = Limits::new(self.client.options(), Some(&self.window));
            let error = match wire.attempt(&request, limits).await {
                Ok(mut response) => match read_whole(&mut response, object).await {
                    Ok((frames, size)) => return Ok(Whole { frames, size, reserved }),
                    // One whose bytes are damaged is begun again by who asked for it, and by nobody else.
                    Err(Stopped::Failed(error)) if *error.kind() != Kind::ChecksumMismatch => {
                        response.discard();
                        error.during("GetObject").of_object(&object.bucket, &object.key)
                    }
                    Err(stopped) => {
                        response.discard();
                        return Err(stopped);
                    }
                },
                Err(error) => error,
            };
            Box::pin(wire.pause(&mut retry, error, &object.bucket, Some(&self.window))).await?;
        }
    }

    /// Written by a disk thread while the lane goes on. A write that has begun is not given up: who is told that a
    /// transfer was cancelled finds that nothing is written any more.
    async fn write_whole(&self, whole: Whole, place: &Place, lane: &mut Option<Lane>) -> Result<u64, Stopped> {
        let Whole { frames, size, reserved } = whole;
        drop(lane.take());
        let place = place.clone();
        let write = self.disk.run(move || {
            let written = place.write(&frames);
            drop((frames, reserved));
            written
        });
        write.await??;
        Ok(size)
    }

    /// A large object: ranges in parallel, their checksums combined.
    async fn download_ranges(
        self: &Arc<Self>,
        object: &Remote,
        file: &Arc<SharedFile>,
        cancel: &Cancel,
    ) -> Result<(), Stopped> {
        // Listings don't show checksums. One HEAD is little beside many ranges.
        let object = if object.expected.is_none() {
            let head = until_cancelled(cancel, self.head(&object.bucket, &object.key)).await?;
            if head.etag.is_none() || object.is_another(head.etag.as_deref()) || head.size != object.size {
                let text = "the object was replaced since it was listed";
                return Err(Stopped::Changed(Error::new(Kind::ObjectChanged, text)));
            }
            // The listing's ETag: it is a strong one, and ranges are held together by it.
            Arc::new(Remote { etag: object.etag.clone(), ..head })
        } else {
            Arc::new(object.clone())
        };
        let algorithm = object.expected.map_or(CrcAlgorithm::Crc64Nvme, |expected| expected.algorithm);
        let plan = Plan::download(object.size, self.client.options().part_size);
        let mut fetching = Parts::<_, Stopped>::new(cancel);
        let begun = async {
            for part in plan.parts() {
                let room = async {
                    let lane = self.window.enter().await;
                    (lane, self.budget.reserve(RANGE_MEMORY).await)
                };
                let (lane, reserved) = fetching.meanwhile(room).await?;
                let engine = self.clone();
                let (object, file) = (object.clone(), file.clone());
                fetching.begin(async move {
                    let _held = (lane, reserved);
                    let stretch = Stretch { offset: part.offset, length: part.length, ranged: true };
                    let (sum, _) = engine.fetch(&object, stretch, &file, algorithm).await?;
                    Ok((part.number, sum, part.length))
                });
            }
            Ok(())
        };
        let begun = begun.await;
        let mut sums = fetching.finish(begun).await?;
        sums.sort_unstable_by_key(|(number, ..)| *number);
        let sums = sums.into_iter().map(|(_, sum, length)| (sum, length));
        let whole = sums.reduce(|(sum, length), (next, next_length)| {
            (combine(algorithm, sum, next, next_length), length + next_length)
        });
        compare(object.expected, algorithm, whole.map_or(0, |(sum, _)| sum), &object)
    }
}
