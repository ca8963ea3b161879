//! How many threads there are: what the environment says, else what was measured.

use std::ops::RangeInclusive;

use crate::error::{Error, Kind, Result};
use crate::transfer::{DISK_THREADS, processors};

/// More threads for the network than this never paid (DESIGN.md decision 7); two cores saturate loopback.
const MOST_OF_ITSELF: usize = 4;
/// What may be asked for. More is a mistake: nothing has a thread of its own here.
const MAY_BE_ASKED: RangeInclusive<usize> = 1..=64;
/// The variable for the network. One thread costs the least CPU time: 10 to 15 % less for small files.
const NETWORK: &str = "S3BULK_THREADS";
/// The variable for the disk: a file system on a network may take more at a time than a disk.
const DISK: &str = "S3BULK_DISK_THREADS";

/// Threads that the network's side runs on: as many as the processors that this process or its container may use.
pub fn for_the_network() -> Result<usize> {
    Ok(asked(NETWORK)?.unwrap_or_else(|| processors().min(MOST_OF_ITSELF)))
}

/// The most threads for the disk.
pub fn for_the_disk() -> Result<usize> {
    Ok(asked(DISK)?.unwrap_or(DISK_THREADS))
}

fn asked(variable: &str) -> Result<Option<usize>> {
    let Some(value) = std::env::var_os(variable) else { return Ok(None) };
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(threads) if MAY_BE_ASKED.contains(&threads) => Ok(Some(threads)),
        _ => {
            let (least, most) = (MAY_BE_ASKED.start(), MAY_BE_ASKED.end());
            let text = format!("{variable} must be a number from {least} to {most}, not {value:?}");
            Err(Error::new(Kind::InvalidConfiguration, text))
        }
    }
}
