//! Bytes as they come, in few pieces: each one costs memory of its own, keeps a buffer of the connection, and is a write.

use bytes::{Bytes, BytesMut};

/// From here on a frame is kept as it is: what is copied below costs less than keeping the buffer that it lies in, of
/// which a chunk of one byte takes six.
const KEPT: usize = 4 << 10;
/// How many small frames are copied into one piece, in bytes. What is grown is never more than twice as much.
const COPIED: usize = 64 << 10;

/// Frames in the order in which they came; small ones are copied together.
#[derive(Debug, Default)]
pub struct Pieces {
    whole: Vec<Bytes>,
    small: BytesMut,
}

impl Pieces {
    /// Adds a frame.
    pub fn push(&mut self, frame: Bytes) {
        if frame.len() < KEPT {
            self.small.extend_from_slice(&frame);
            if self.small.len() >= COPIED {
                self.end_small();
            }
        } else {
            self.end_small();
            self.whole.push(frame);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.small.is_empty()
    }

    /// All of them, in order.
    pub fn finish(mut self) -> Vec<Bytes> {
        self.end_small();
        self.whole
    }

    fn end_small(&mut self) {
        if !self.small.is_empty() {
            self.whole.push(self.small.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(frames: impl IntoIterator<Item = Bytes>) -> Vec<Bytes> {
        let mut pieces = Pieces::default();
        assert!(pieces.is_empty());
        for frame in frames {
            pieces.push(frame);
            assert!(!pieces.is_empty());
        }
        pieces.finish()
    }

    #[test]
    fn tiny_frames_become_few_pieces() {
        let bytes: Bytes = (0..1_u32 << 20).map(|at| at as u8).collect();
        for (length, expected) in [(1, 16), (7, 16), (KEPT - 1, 16), (KEPT, 256), (1 << 20, 1)] {
            let frames = (0..bytes.len()).step_by(length).map(|at| bytes.slice(at..bytes.len().min(at + length)));
            let pieces = pieces(frames);
            assert!(pieces.len() <= expected, "{length}: {}", pieces.len());
            assert!(pieces.concat() == bytes, "{length}");
        }
    }

    #[test]
    fn large_frames_are_not_copied_and_keep_their_place() {
        let large = Bytes::from(vec![1; KEPT]);
        let small = Bytes::from_static(b"small");
        let pieces = pieces([&small, &large, &small, &small, &large, &large].map(Bytes::clone));
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [5, KEPT, 10, KEPT, KEPT]);
        for at in [1, 3, 4] {
            assert_eq!(pieces[at].as_ptr(), large.as_ptr());
        }
    }
}
