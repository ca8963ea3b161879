//! What hyper's errors mean, by walking down to what lies below them.

use std::error::Error as StdError;
use std::io;

use crate::error::{Error, Kind};

/// The engine's error for a failed request. Errors of our own connector and bodies come through as they are.
pub fn from_hyper(error: &(dyn StdError + 'static), while_doing: &str) -> Error {
    let mut kind = Kind::ConnectionClosed;
    let mut deepest = error.to_string();
    let mut below = Some(error);
    while let Some(current) = below {
        if let Some(ours) = current.downcast_ref::<Error>() {
            return ours.clone();
        }
        if let Some(hyper) = current.downcast_ref::<hyper::Error>()
            && (hyper.is_parse() || hyper.is_parse_status())
        {
            kind = Kind::BadResponse;
        }
        if let Some(io) = current.downcast_ref::<io::Error>() {
            if io.kind() == io::ErrorKind::TimedOut {
                kind = Kind::ReadTimeout;
            }
            if let Some(inner) = io.get_ref() {
                deepest = inner.to_string();
                below = Some(inner as &(dyn StdError + 'static));
                continue;
            }
        }
        deepest = current.to_string();
        below = current.source();
    }
    Error::new(kind, format!("{while_doing}: {deepest}"))
}

/// Whether the write of a request's body was cut: the server may have answered before it, and the answer was lost.
pub fn is_cut_write(error: &(dyn StdError + 'static)) -> bool {
    let mut below = Some(error);
    let mut writing = false;
    while let Some(current) = below {
        writing |= current.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_body_write_aborted)
            || current.to_string().contains("writing a body");
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return matches!(io.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        }
        below = current.source();
    }
    writing
}
