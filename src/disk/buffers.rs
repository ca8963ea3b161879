//! Buffers for the bytes of files, used again and again: memory fresh from the kernel costs a page fault for every 4 KiB,
//! which is more than reading them from the page cache (docs/decisions/0003).

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sizes that are kept. A request gets the smallest that is large enough; below the half of the first, and above the
/// last, the allocator does as well.
const SIZES: [usize; 2] = [256 << 10, 1 << 20];

/// A stock of buffers. There are never more than were once in use together, which
/// the byte budget limits.
#[derive(Debug, Default)]
pub struct Buffers {
    free: [Mutex<Vec<Vec<u8>>>; SIZES.len()],
}

/// A buffer on loan. Its memory goes back on drop, on whatever thread.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// Where it goes back to, and which size it is.
    home: Option<(Arc<Buffers>, usize)>,
}

impl Buffers {
    /// An empty buffer with room for `length` bytes, and perhaps more.
    pub fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let size = SIZES.iter().position(|&size| length <= size).filter(|_| length > SIZES[0] / 2);
        let Some(size) = size else {
            return Buffer { bytes: Vec::with_capacity(length), home: None };
        };
        let free = self.lock(size).pop();
        let bytes = free.unwrap_or_else(|| Vec::with_capacity(SIZES[size]));
        Buffer { bytes, home: Some((self.clone(), size)) }
    }

    /// The same with room for a byte more where that costs nothing: who reads a file of `length` bytes into it sees its
    /// end without another call.
    pub fn take_roomy(self: &Arc<Self>, length: usize) -> Buffer {
        self.take(if SIZES.contains(&length) { length } else { length + 1 })
    }

    /// What a buffer for so many bytes takes of memory.
    pub fn footprint(length: u64) -> u64 {
        let size = SIZES.iter().map(|&size| size as u64).find(|&size| length <= size);
        size.filter(|_| length > SIZES[0] as u64 / 2).unwrap_or(length)
    }

    /// Gives up what is free: an idle program keeps nothing.
    pub fn release(&self) {
        for size in 0..SIZES.len() {
            let free = std::mem::take(&mut *self.lock(size));
            drop(free); // not under the lock
        }
    }

    fn lock(&self, size: usize) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // Nothing runs under the lock that could leave a stock half changed.
        self.free[size].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// The vector itself, to be filled.
    pub fn as_mut_vec(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some((home, size)) = self.home.take() {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            home.lock(size).push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_until_it_is_given_up() {
        let buffers = Arc::new(Buffers::default());
        let mut one = buffers.take(200_000);
        one.as_mut_vec().extend_from_slice(b"old bytes");
        let memory = one.as_ptr();
        drop(one);
        let again = buffers.take(SIZES[0]);
        assert_eq!((again.as_ptr(), again.len()), (memory, 0));
        drop(again);
        assert_eq!(buffers.lock(0).len(), 1);
        buffers.release();
        assert_eq!(buffers.lock(0).len(), 0);
    }

    #[test]
    fn a_buffer_has_room_for_what_was_asked_and_says_what_it_takes() {
        let buffers = Arc::new(Buffers::default());
        for (length, footprint) in [
            (0, 0),
            (4096, 4096),
            (SIZES[0] / 2, SIZES[0] / 2),
            (SIZES[0] / 2 + 1, SIZES[0]),
            (SIZES[0], SIZES[0]),
            (SIZES[0] + 1, SIZES[1]),
            (SIZES[1], SIZES[1]),
            (SIZES[1] + 1, SIZES[1] + 1),
        ] {
            let mut buffer = buffers.take(length);
            assert!(buffer.as_mut_vec().capacity() >= length, "{length}");
            assert_eq!(Buffers::footprint(length as u64), footprint as u64, "{length}");
        }
    }
}
