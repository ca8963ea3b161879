//! A stretch of an object into a file: requested, checked, resumed where it was cut, written behind.

use std::sync::Arc;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use http::{Method, StatusCode, header};
use tokio::sync::oneshot;

use super::Engine;
use crate::disk::{DiskThreads, NewFile};
use crate::error::{Error, Kind, Result};
use crate::wire::body::BoxFuture;
use crate::wire::checksum::Expected;
use crate::wire::object::{Limits, ObjectRequest};
use crate::wire::pieces::Pieces;
use crate::wire::response::ServerResponse;
use crate::wire::retry::Retry;

/// Bytes that are written at once: fewer system calls, and long enough for a disk to stream.
const BATCH: usize = 256 << 10;

/// New bytes that are worth the attempts anew: about what the slowest transfer that counts as one (1 KiB/s) brings within
/// the default read timeout. With less, one that trickles would go on for ever.
const PROGRESS: u64 = 64 << 10;

/// An object as it was found.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Bucket.
    pub bucket: Arc<str>,
    /// Key.
    pub key: Arc<str>,
    /// Its size.
    pub size: u64,
    /// Its ETag with the quotes.
    pub etag: Option<String>,
    /// The checksum of the whole, where it can be compared.
    pub expected: Option<Expected>,
}

impl Remote {
    /// The ETag when it can be asked for: a weak one never matches.
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }

    /// Whether an ETag is that of another object, where both are known. Compared weakly (RFC 9110, 8.8.3.2): who stands
    /// between may make a strong one weak.
    pub fn is_another(&self, etag: Option<&str>) -> bool {
        self.etag.as_deref().zip(etag).is_some_and(|(known, told)| opaque(known) != opaque(told))
    }
}

fn opaque(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// First byte.
    pub offset: u64,
    /// How many.
    pub length: u64,
    /// Whether it is a range, or the whole object by one plain GET.
    pub ranged: bool,
}

/// Why a stretch could not be had.
pub enum Stopped {
    /// The object is not the one it was: begin again.
    Changed(Error),
    /// The server does not serve ranges: fetch the whole.
    NoRanges(Error),
    /// It failed.
    Failed(Error),
    /// Bytes that came, and may be summed, are not on the disk: nothing can go on behind them. Begin again, if that is a
    /// matter of time.
    Unwritten(Error),
    /// It failed, and nothing can make up for it: what was written to a device or FIFO can't be taken back.
    ForGood(Error),
}

impl Stopped {
    /// As it is where bytes went to a device or FIFO.
    pub(super) fn for_good(self) -> Self {
        match self {
            Self::Changed(error)
            | Self::NoRanges(error)
            | Self::Failed(error)
            | Self::Unwritten(error)
            | Self::ForGood(error) => {
                Self::ForGood(error.with_note("what was written to the device can't be taken back"))
            }
        }
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        match error.status() {
            Some(412 | 416) => Self::Changed(error),
            _ => Self::Failed(error),
        }
    }
}

/// A file that several tasks and disk jobs write, and whose end can be awaited.
pub struct SharedFile {
    file: NewFile,
    /// Goes after the file.
    _gone: oneshot::Sender<()>,
}

impl SharedFile {
    /// Shares a file. The receiver ends when the last holder has let go and nothing is left of the file.
    pub fn new(file: NewFile) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (_gone, gone) = oneshot::channel();
        (Arc::new(Self { file, _gone }), gone)
    }

    /// The file, no longer shared.
    pub fn into_file(self) -> NewFile {
        self.file
    }
}

impl std::ops::Deref for SharedFile {
    type Target = NewFile;

    fn deref(&self) -> &NewFile {
        &self.file
    }
}

/// Writes behind the network: one batch is written while the next one arrives.
struct Writer {
    disk: Arc<DiskThreads>,
    file: Arc<SharedFile>,
    batch: Pieces,
    batched: usize,
    /// Where the batch begins in the file.
    at: u64,
    writing: Option<BoxFuture<Result<()>>>,
}

impl Writer {
    async fn push(&mut self, bytes: Bytes) -> Result<()> {
        self.batched += bytes.len();
        self.batch.push(bytes);
        if self.batched >= BATCH { self.write().await } else { Ok(()) }
    }

    /// Hands the batch over, after the one before it was written.
    async fn write(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.take() {
            writing.await?;
        }
        let (file, batch, mut at) = (self.file.clone(), std::mem::take(&mut self.batch), self.at);
        self.at += std::mem::take(&mut self.batched) as u64;
        let write = self.disk.run(move || {
            for bytes in &batch.finish() {
                file.write_all_at(bytes, at)?;
                at += bytes.len() as u64;
            }
            Ok(())
        });
        self.writing = Some(Box::pin(async move { write.await? }));
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        if !self.batch.is_empty() {
            self.write().await?;
        }
        match self.writing.take() {
            Some(writing) => writing.await,
            None => Ok(()),
        }
    }
}

impl Engine {
    /// Fetches a stretch into a file; returns its checksum by `algorithm`, and what the answer said of the whole
    /// object's.
    pub(super) async fn fetch(
        &self,
        object: &Remote,
        stretch: Stretch,
        file: &Arc<SharedFile>,
        algorithm: CrcAlgorithm,
    ) -> Result<(u64, Option<Expected>), Stopped> {
        let wire = self.client.wire();
        let mut retry = Retry::new(self.client.options());
        let (mut done, mut furthest) = (0, 0);
        let mut digest = crc_fast::Digest::new(algorithm);
        let mut expected = None;
        let mut resumable = object.strong_etag().is_some();
        loop {
            if done > 0 && !resumable && !file.is_sequential() {
                // Nothing proves that the rest would be of the same object.
                (done, digest) = (0, crc_fast::Digest::new(algorithm));
            }
            retry.begin();
            let from = Stretch { offset: stretch.offset + done, length: stretch.length - done, ..stretch };
            let failed = match self.request(object, from, done > 0).await {
                Ok(mut response) => {
                    if done == 0 {
                        expected = Expected::from_headers(&response.headers);
                        // Another algorithm than asked for: only possible before the first byte.
                        let told = expected.filter(|_| !stretch.ranged).map_or(algorithm, |told| told.algorithm);
                        digest = crc_fast::Digest::new(told);
                    }
                    let read = self.read(&mut response, from, file, &mut digest, &mut done).await;
                    // Only new bytes: what is begun again and cut again must come to an end.
                    if done >= furthest + PROGRESS {
                        furthest = done;
                        retry.progressed();
                    }
                    match read {
                        Ok(()) => return Ok((digest.finalize(), expected)),
                        Err(Stopped::Failed(error)) => {
                            response.discard();
                            error.during("GetObject").of_object(&object.bucket, &object.key)
                        }
                        Err(stopped) => {
                            response.discard();
                            return Err(stopped);
                        }
                    }
                }
                Err(Stopped::Failed(error)) => error,
                // Only the rest was asked for as a range: without ranges it begins again, as often as it may.
                Err(Stopped::NoRanges(error)) if !stretch.ranged => {
                    resumable = false;
                    error
                }
                Err(stopped) => return Err(stopped),
            };
            if file.is_sequential() && done > 0 && !resumable {
                return Err(Stopped::Failed(failed));
            }
            wire.pause(&mut retry, failed, &object.bucket, Some(&self.window)).await?;
        }
    }

    /// One GET, with an answer that is what was asked for.
    async fn request(&self, object: &Remote, from: Stretch, resuming: bool) -> Result<ServerResponse, Stopped> {
        let ranged = (from.ranged || resuming) && from.length > 0;
        let mut request = ObjectRequest::new("GetObject", Method::GET, &object.bucket, &object.key)
            .header(http::HeaderName::from_static("x-amz-checksum-mode"), "ENABLED")?;
        if ranged {
            let last = from.offset + from.length - 1;
            request = request.header(header::RANGE, &format!("bytes={}-{last}", from.offset))?;
        }
        if let Some(etag) = object.strong_etag() {
            request = request.header(header::IF_MATCH, etag)?;
        }
        let limits = Limits::new(self.client.options(), Some(&self.window));
        let response = self.client.wire().attempt(&request, limits).await?;
        match check_answer(&response, object, from, ranged) {
            Ok(()) => Ok(response),
            Err(stopped) => {
                response.discard();
                Err(stopped)
            }
        }
    }

    /// Reads an answer to its end into the file. `done` grows with every byte that was taken.
    async fn read(
        &self,
        response: &mut ServerResponse,
        from: Stretch,
        file: &Arc<SharedFile>,
        digest: &mut crc_fast::Digest,
        done: &mut u64,
    ) -> Result<(), Stopped> {
        let mut writer = Writer {
            disk: self.disk.clone(),
            file: file.clone(),
            batch: Pieces::default(),
            batched: 0,
            at: from.offset,
            writing: None,
        };
        let mut left = from.length;
        let outcome = loop {
            let bytes = match response.next().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) if left == 0 => break Ok(()),
                Ok(None) => break Err(Error::new(Kind::BodyCut, format!("the answer ended {left} bytes early"))),
                Err(error) => break Err(error),
            };
            let Some(rest) = left.checked_sub(bytes.len() as u64) else {
                break Err(Error::new(Kind::BadResponse, "the answer is longer than what was asked for"));
            };
            left = rest;
            digest.update(&bytes);
            *done += bytes.len() as u64;
            writer.push(bytes).await.map_err(Stopped::Unwritten)?;
        };
        writer.finish().await.map_err(Stopped::Unwritten)?;
        outcome.map_err(Stopped::Failed)
    }
}

/// Whether an answer is to this request, and of this object.
fn check_answer(response: &ServerResponse, object: &Remote, from: Stretch, ranged: bool) -> Result<(), Stopped> {
    let named =
        |kind: Kind, text: String| Error::new(kind, text).during("GetObject").of_object(&object.bucket, &object.key);
    let etag = response.header(header::ETAG);
    if object.is_another(etag) {
        let (told, known) = (etag.unwrap_or_default(), object.etag.as_deref().unwrap_or_default());
        let text = format!("the object was replaced while it was read: its ETag is {told}, not {known}");
        return Err(Stopped::Changed(named(Kind::ObjectChanged, text)));
    }
    let wrong = |text: String| Err(Stopped::Failed(named(Kind::BadResponse, text)));
    if ranged && response.status != StatusCode::PARTIAL_CONTENT {
        if from.offset == 0 && from.length == object.size && response.status == StatusCode::OK {
            return Ok(());
        }
        let text = format!("the server answers a range with status {}", response.status);
        return Err(Stopped::NoRanges(named(Kind::BadResponse, text)));
    }
    if ranged {
        let told = response.header(header::CONTENT_RANGE).unwrap_or_default();
        let last = from.offset + from.length - 1;
        match parse_content_range(told) {
            Some((first, end, total)) if (first, end) == (from.offset, last) => {
                if let Some(total) = total
                    && total != object.size
                {
                    let text = format!("the object has {total} bytes now, not {}", object.size);
                    return Err(Stopped::Changed(named(Kind::ObjectChanged, text)));
                }
            }
            _ => return wrong(format!("bytes {}-{last} were asked for and {told:?} came", from.offset)),
        }
    } else if response.status != StatusCode::OK {
        return wrong(format!("a plain GET was answered with status {}", response.status));
    }
    if let Some(length) = response.content_length()
        && length != from.length
    {
        if !ranged {
            let text = format!("the object has {length} bytes now, not {}", from.length);
            return Err(Stopped::Changed(named(Kind::ObjectChanged, text)));
        }
        return wrong(format!("{} bytes were asked for and {length} announced", from.length));
    }
    Ok(())
}

/// `bytes first-last/total`; the total may be `*` (RFC 9110 section 14.4).
fn parse_content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_content_range_is_read_or_refused(text in "(bytes)?[ 0-9*/-]{0,30}|\\PC{0,40}", first: u64, last: u64, total: u64) {
            if let Some((first, last, total)) = parse_content_range(&text) {
                let digits = |number: u64| text.contains(&number.to_string());
                let has_digits = text.trim_start_matches("bytes").chars().any(|character| character.is_ascii_digit());
                proptest::prop_assert!(has_digits && text.contains('-') && text.contains('/'), "{text:?}");
                // With leading zeros a number is written otherwise.
                let leading = text.split(|c: char| !c.is_ascii_digit()).any(|word| word.len() > 1 && word.starts_with('0'));
                proptest::prop_assert!(leading || digits(first) && digits(last) && total.is_none_or(digits), "{text:?}");
            }
            let written = format!("bytes {first}-{last}/{total}");
            proptest::prop_assert_eq!(parse_content_range(&written), Some((first, last, Some(total))));
        }
    }

    #[test]
    fn content_ranges_are_read_strictly() {
        for (text, parsed) in [
            ("bytes 0-9/10", Some((0, 9, Some(10)))),
            ("bytes 5-9/*", Some((5, 9, None))),
            ("bytes */10", None),
            ("0-9/10", None),
            ("bytes 0-9", None),
            ("bytes a-b/c", None),
            ("", None),
        ] {
            assert_eq!(parse_content_range(text), parsed, "{text}");
        }
    }
}
