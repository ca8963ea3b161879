//! Buckets, objects and open uploads.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is sent for bytes that were not kept.
static ZEROS: [u8; 1024 * 1024] = [0; 1024 * 1024];

/// The bytes of an object or a part, in one piece or in its parts; no pieces when they were not kept.
#[derive(Clone, Default)]
pub struct Body {
    pub size: usize,
    kept: Vec<Arc<Vec<u8>>>,
}

impl Body {
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        Self { size: bytes.len(), kept: vec![Arc::new(bytes)] }
    }

    pub fn of_size(size: usize) -> Self {
        Self { size, kept: Vec::new() }
    }

    pub fn joined(parts: impl Iterator<Item = Self>) -> Self {
        parts.fold(Self::default(), |mut whole, part| {
            whole.size += part.size;
            whole.kept.extend(part.kept);
            whole
        })
    }

    /// The slices that make up a range.
    pub fn pieces(&self, range: Range<usize>) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        if self.kept.is_empty() {
            let mut left = range.len();
            while left > 0 {
                let piece = &ZEROS[..left.min(ZEROS.len())];
                left -= piece.len();
                pieces.push(piece);
            }
            return pieces;
        }
        let mut start = 0;
        for kept in &self.kept {
            let from = range.start.clamp(start, start + kept.len());
            let to = range.end.clamp(start, start + kept.len());
            if from < to {
                pieces.push(&kept[from - start..to - start]);
            }
            start += kept.len();
        }
        pieces
    }
}

#[derive(Clone)]
pub struct Object {
    pub body: Body,
    /// With its quotes.
    pub etag: String,
    pub content_type: String,
    /// `x-amz-checksum-*` and `x-amz-meta-*` as the client sent them.
    pub headers: Vec<(String, String)>,
}

pub struct Upload {
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub parts: BTreeMap<u32, Body>,
}

#[derive(Default)]
pub struct Tables {
    pub buckets: HashMap<String, BTreeMap<String, Object>>,
    pub uploads: HashMap<String, Upload>,
    serial: u64,
}

impl Tables {
    /// For ETags and upload ids. Half as long as an MD5, so that no client takes it for one.
    pub fn next(&mut self) -> String {
        self.serial += 1;
        format!("{:016x}", self.serial)
    }
}

#[derive(Default)]
pub struct Store(Mutex<Tables>);

impl Store {
    pub fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
