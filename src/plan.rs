//! Pure: how a file is cut into parts and an object into ranges, within S3's limits.

use crate::error::{Error, Kind, Result};

/// The smallest part of a multipart upload that isn't the last one (Amazon S3 user guide, "Multipart upload limits").
pub const MINIMUM_PART_SIZE: u64 = 5 << 20;
/// The largest part, and the largest object one PutObject takes (same source).
pub const MAXIMUM_PART_SIZE: u64 = 5 << 30;
/// The most parts an upload may have (same source).
pub const MAXIMUM_PARTS: u64 = 10_000;

/// Part sizes are whole mebibytes: object stores keep and checksum aligned blocks.
const GRAIN: u64 = 1 << 20;

/// One stretch of a file or an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Part number as S3 counts: from 1.
    pub number: u32,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// A file or object cut into parts of one size (some servers refuse others); the last one may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    part_size: u64,
}

impl Plan {
    /// A multipart upload: `part_size`, grown so that no more than 10,000 parts are needed.
    pub fn upload(size: u64, part_size: u64) -> Result<Self> {
        let needed = size.div_ceil(MAXIMUM_PARTS).next_multiple_of(GRAIN);
        let part_size = part_size.max(needed);
        if part_size > MAXIMUM_PART_SIZE {
            let text = format!("{size} bytes are more than S3 takes in {MAXIMUM_PARTS} parts of 5 GiB");
            return Err(Error::new(Kind::InvalidParameter, text));
        }
        Ok(Self { size, part_size })
    }

    /// Ranged GETs: no limit on their number.
    pub fn download(size: u64, part_size: u64) -> Self {
        Self { size, part_size: part_size.max(1) }
    }

    /// Bytes of every part but the last.
    pub fn part_size(&self) -> u64 {
        self.part_size
    }

    /// How many parts there are; an empty file has one empty part.
    pub fn count(&self) -> u64 {
        self.size.div_ceil(self.part_size).max(1)
    }

    /// The parts in order.
    pub fn parts(self) -> impl Iterator<Item = Part> {
        (0..self.count()).map(move |index| {
            let offset = index * self.part_size;
            Part {
                number: u32::try_from(index + 1).unwrap_or(u32::MAX),
                offset,
                length: self.part_size.min(self.size - offset),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn parts_cover_the_file_and_keep_s3s_limits() {
        for (size, wanted, part_size, count) in [
            (0, 8 * MIB, 8 * MIB, 1),
            (1, 8 * MIB, 8 * MIB, 1),
            (8 * MIB, 8 * MIB, 8 * MIB, 1),
            (8 * MIB + 1, 8 * MIB, 8 * MIB, 2),
            (80_000 * MIB, 8 * MIB, 8 * MIB, 10_000),
            (80_000 * MIB + 1, 8 * MIB, 9 * MIB, 8_889),
            (5 << 40, 8 * MIB, 525 * MIB, 9_987),
            (50_000 << 30, 8 * MIB, 5 << 30, 10_000),
        ] {
            let plan = Plan::upload(size, wanted).unwrap();
            assert_eq!((plan.part_size(), plan.count()), (part_size, count), "{size}");
            let mut next = 0;
            for (index, part) in plan.parts().enumerate() {
                assert_eq!((part.offset, part.number as usize), (next, index + 1));
                assert!(part.length <= part_size);
                next += part.length;
            }
            assert_eq!(next, size);
        }
    }

    #[test]
    fn more_than_s3_takes_is_refused() {
        let error = Plan::upload((50_000 << 30) + 1, 8 * MIB).unwrap_err();
        assert_eq!(error.kind(), &Kind::InvalidParameter);
    }

    #[test]
    fn ranges_are_not_limited_in_number() {
        assert_eq!(Plan::download(1 << 40, 5 * MIB).count(), 209_716);
    }
}
