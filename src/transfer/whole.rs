//! Whole or not: a small object's answer counted and compared, and any object's checksum.

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use http::header;

use super::fetch::{Remote, Stopped};
use super::load::WHOLE;
use crate::error::{Error, Kind};
use crate::flow::Reserved;
use crate::wire::checksum::Expected;
use crate::wire::response::ServerResponse;

/// A small object in memory.
pub struct Whole {
    /// Its bytes as they came.
    pub frames: Vec<Bytes>,
    /// How many.
    pub size: u64,
    /// Their memory.
    pub reserved: Reserved,
}

/// The whole of a small object, counted and compared.
pub async fn read_whole(response: &mut ServerResponse, object: &Remote) -> Result<(Vec<Bytes>, u64), Stopped> {
    if response.status != http::StatusCode::OK {
        let text = format!("a plain GET was answered with status {}", response.status);
        return Err(Error::new(Kind::BadResponse, text).into());
    }
    // What the listing said is old news; what counts is what the object is now. Without a length only the listing
    // tells whether the answer is whole.
    let length = response.content_length();
    let changed = |text: String| Err(Stopped::Changed(Error::new(Kind::ObjectChanged, text)));
    let is_another = object.is_another(response.header(header::ETAG));
    if let Some(length) = length {
        if length > WHOLE {
            return changed(format!("the object has grown to {length} bytes since it was listed"));
        }
        // A replaced object shows by its ETag. The same one with another length is cut, and nothing else may tell.
        if length != object.size && !is_another {
            return changed(format!("the object has {length} bytes now, not {}", object.size));
        }
    } else if is_another {
        // Nothing says how long this one is.
        return changed("the object was replaced since it was listed".into());
    }
    let limit = length.unwrap_or(object.size) as usize;
    let frames = response.frames(limit).await?;
    let size = frames.iter().map(|bytes| bytes.len() as u64).sum();
    let announced = length.unwrap_or(object.size);
    if size != announced {
        return Err(Error::new(Kind::BodyCut, format!("the answer has {size} of {announced} bytes")).into());
    }
    if let Some(expected) = Expected::from_headers(&response.headers) {
        let mut digest = crc_fast::Digest::new(expected.algorithm);
        frames.iter().for_each(|bytes| digest.update(bytes));
        compare(Some(expected), expected.algorithm, digest.finalize(), object)?;
    }
    Ok((frames, size))
}

/// Compares a checksum with the one that the object should have.
pub fn compare(expected: Option<Expected>, algorithm: CrcAlgorithm, sum: u64, object: &Remote) -> Result<(), Stopped> {
    match expected {
        Some(expected) if expected.algorithm == algorithm && expected.value != sum => {
            let text = format!("the bytes that came have checksum {sum:x}, the object has {:x}", expected.value);
            let error = Error::new(Kind::ChecksumMismatch, text).during("GetObject");
            Err(Stopped::Failed(error.of_object(&object.bucket, &object.key)))
        }
        _ => Ok(()),
    }
}
