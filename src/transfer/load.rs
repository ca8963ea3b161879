//! Files read ahead of the network, on the disk threads: small ones whole, large ones in stretches.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::Engine;
use super::digest::{Digesting, Digests};
use crate::disk::{Buffer, Buffers, DiskThreads, Source};
use crate::error::{Error, Kind, Result};
use crate::flow::{Budget, Reserved};
use crate::wire::body::{BoxFuture, FRAME, Frames, Payload, ReadAt};
use crate::wire::checksum::Algorithm;

/// Up to this size a file is read whole before its request is sent. Above it, reading it twice (once for the sums, once
/// for the network) from the page cache is cheaper than the memory.
pub const WHOLE: u64 = 1 << 20;
/// How often a file that changes while it is read is read again (CONTRACT.md).
pub const REREADS: u32 = 2;
/// Memory of a stretch on its way: the frame that is sent, the one that is read, and what hyper queues.
const STRETCH_MEMORY: u64 = 3 * FRAME as u64;

/// Which sums a request needs.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// For the checksum header.
    pub algorithm: Algorithm,
    /// Whether the body is signed.
    pub signed: bool,
}

/// A file as it was found.
pub enum Loaded {
    /// Whole in memory.
    Whole(Bytes, Digests),
    /// To be read when there is memory for it.
    Later(Arc<Source>),
    /// To be sent in stretches.
    Large(Arc<Source>),
}

/// Memory that comes with its part of the budget.
struct Held {
    bytes: Buffer,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Opens a file, and reads it when it is no larger than `whole` and there is memory. Blocks.
pub fn load(path: &Path, whole: u64, buffers: &Arc<Buffers>, budget: &Budget, wanted: Wanted) -> Result<Loaded> {
    let source = Source::open(path)?;
    if source.size() > whole {
        return Ok(Loaded::Large(Arc::new(source)));
    }
    match budget.try_reserve(Buffers::footprint(source.size())) {
        Some(reserved) => {
            let (bytes, digests) = read_whole(&source, buffers, reserved, wanted)?;
            Ok(Loaded::Whole(bytes, digests))
        }
        None => Ok(Loaded::Later(Arc::new(source))),
    }
}

/// Reads a small file so that it is the file at one instant. Blocks.
pub fn read_whole(
    source: &Source,
    buffers: &Arc<Buffers>,
    reserved: Reserved,
    wanted: Wanted,
) -> Result<(Bytes, Digests)> {
    let mut bytes = buffers.take_roomy(source.size() as usize);
    source.read_whole(bytes.as_mut_vec())?;
    let mut digesting = Digesting::new(wanted.algorithm, wanted.signed);
    digesting.update(&bytes);
    let digests = digesting.finish();
    check_unchanged(source, digests.crc64)?;
    Ok((Bytes::from_owner(Held { bytes, _reserved: reserved }), digests))
}

/// Whether a file, of which all was read, is still what it was when it was opened. A new time stamp alone is no change;
/// then its bytes decide. Blocks.
pub fn check_unchanged(source: &Source, crc64: u64) -> Result<()> {
    if source.stamp_now()? == *source.stamp() {
        return Ok(());
    }
    let now = digest_stretch(source, 0, source.size(), Wanted { algorithm: Algorithm::None, signed: false })?;
    let longer = source.stamp_now()?.size != source.size();
    if now.crc64 == crc64 && !longer { Ok(()) } else { Err(changed(source.path())) }
}

/// The error for a file that does not hold still.
fn changed(path: &Path) -> Error {
    Error::new(Kind::SourceChanged, "the file changed while it was read").at_path(path)
}

/// The sums of a stretch of a file. Blocks.
pub fn digest_stretch(source: &Source, offset: u64, length: u64, wanted: Wanted) -> Result<Digests> {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(FRAME, 0);
        let mut digesting = Digesting::new(wanted.algorithm, wanted.signed);
        let mut at = offset;
        while at < offset + length {
            let piece = (offset + length - at).min(FRAME as u64) as usize;
            source.read_exact_at(&mut buffer[..piece], at)?;
            digesting.update(&buffer[..piece]);
            at += piece as u64;
        }
        Ok(digesting.finish())
    })
}

/// A stretch of a file in memory, with its part of the budget.
struct InMemory {
    pieces: Vec<Bytes>,
    length: u64,
    _reserved: Reserved,
}

impl Frames for InMemory {
    fn length(&self) -> u64 {
        self.length
    }

    fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }
}

/// Reads a stretch and sums it up on the way. Blocks.
fn read_stretch(
    source: &Source,
    buffers: &Arc<Buffers>,
    (offset, length): (u64, u64),
    reserved: Reserved,
    wanted: Wanted,
) -> Result<(Payload, Digests)> {
    let mut digesting = Digesting::new(wanted.algorithm, wanted.signed);
    let mut pieces = Vec::with_capacity(length.div_ceil(FRAME as u64) as usize);
    let mut at = offset;
    while at < offset + length {
        let piece = (offset + length - at).min(FRAME as u64) as usize;
        let mut buffer = buffers.take(piece);
        source.read_stretch(buffer.as_mut_vec(), at, piece)?;
        digesting.update(&buffer);
        pieces.push(Bytes::from_owner(buffer));
        at += piece as u64;
    }
    let payload = Payload::Frames(Arc::new(InMemory { pieces, length, _reserved: reserved }));
    Ok((payload, digesting.finish()))
}

/// A file that is read by the disk threads while it is sent. Holds the memory for that.
struct Streamed {
    source: Arc<Source>,
    disk: Arc<DiskThreads>,
    buffers: Arc<Buffers>,
    _reserved: Reserved,
}

impl ReadAt for Streamed {
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<Result<Bytes>> {
        let (source, buffers) = (self.source.clone(), self.buffers.clone());
        let read = self.disk.run(move || {
            let mut bytes = buffers.take(length);
            source.read_stretch(bytes.as_mut_vec(), offset, length)?;
            Ok(Bytes::from_owner(bytes))
        });
        Box::pin(async move { read.await? })
    }
}

impl Engine {
    /// After a transfer: an idle program keeps no buffers.
    pub(super) fn release_buffers(&self) {
        if self.in_flight() == 0 {
            self.buffers.release();
        }
    }

    /// A stretch of a file as a payload, with its sums. With memory for all of it, it is read once and sent from there;
    /// without, it is read for its sums, and again while it is sent (docs/decisions/0003).
    pub(super) async fn stretch(
        &self,
        source: &Arc<Source>,
        offset: u64,
        length: u64,
        wanted: Wanted,
        memory: Option<Reserved>,
    ) -> Result<(Payload, Digests)> {
        let (file, buffers) = (source.clone(), self.buffers.clone());
        let read = self.digests.run(move || {
            let read = match memory {
                Some(reserved) => {
                    let (payload, digests) = read_stretch(&file, &buffers, (offset, length), reserved, wanted)?;
                    (Some(payload), digests)
                }
                None => (None, digest_stretch(&file, offset, length, wanted)?),
            };
            // A whole file must be of one instant. What is sent is what was summed, now or when it is read again.
            if length == file.size() {
                check_unchanged(&file, read.1.crc64)?;
            }
            Ok(read)
        });
        let (in_memory, digests) = read.await??;
        let payload = match in_memory {
            Some(payload) => payload,
            None => self.streamed(source, offset, length, digests.crc64).await,
        };
        Ok((payload, digests))
    }

    /// A stretch that is read while it is sent; waits for the memory it needs.
    async fn streamed(&self, source: &Arc<Source>, offset: u64, length: u64, crc64: u64) -> Payload {
        let reserved = self.budget.reserve(STRETCH_MEMORY.min(length)).await;
        let (source, disk, buffers) = (source.clone(), self.disk.clone(), self.buffers.clone());
        let source = Arc::new(Streamed { source, disk, buffers, _reserved: reserved });
        Payload::Stretch { source, offset, length, crc64 }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};
    use std::io::Write as _;
    use std::time::SystemTime;

    use super::*;

    fn read_after(change: impl FnOnce(&Path)) -> Result<Bytes> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        let source = Source::open(&path).unwrap();
        change(&path);
        let reserved = Budget::new(1 << 20).try_reserve(10).unwrap();
        let wanted = Wanted { algorithm: Algorithm::Crc32, signed: true };
        Ok(read_whole(&source, &Arc::default(), reserved, wanted)?.0)
    }

    #[test]
    fn a_small_file_that_changed_since_it_was_opened_is_not_taken() {
        let write =
            |path: &Path, bytes: &[u8]| OpenOptions::new().write(true).open(path).unwrap().write_all(bytes).unwrap();
        let changes: [fn(&Path); 3] = [
            |path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap(),
            |path| OpenOptions::new().write(true).open(path).unwrap().set_len(5).unwrap(),
            |path| fs::write(path, "").unwrap(),
        ];
        for change in changes {
            assert_eq!(read_after(change).unwrap_err().kind(), &Kind::SourceChanged);
        }
        // Read after the change, all of one size: what was read is the file as it is now.
        assert_eq!(&read_after(|path| write(path, b"ABC")).unwrap()[..], b"ABC3456789");
    }

    #[test]
    fn a_small_file_with_a_new_time_stamp_name_or_mode_is_taken() {
        let changes: [fn(&Path); 4] = [
            |path| File::options().append(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap(),
            |path| {
                let mut permissions = fs::metadata(path).unwrap().permissions();
                permissions.set_readonly(true);
                fs::set_permissions(path, permissions).unwrap();
            },
            |path| fs::rename(path, path.with_extension("moved")).unwrap(),
            |path| fs::remove_file(path).unwrap(),
        ];
        for change in changes {
            assert_eq!(&read_after(change).unwrap()[..], b"0123456789");
        }
    }
}
