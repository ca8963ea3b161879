//! Local files and the rules for keys by themselves, for a program that moves the bytes through another client than ours.

use std::path::{Path, PathBuf};

use crate::disk::{Root, Walk, new_file_at, remove_stale};
use crate::error::{Error, Kind, Result};
use crate::keys::KeyPrefix;

pub use crate::disk::{NewFile, Stale};
pub use crate::keys::KeyCheck;

/// Begins a file that appears whole: at `path`, or below `root`, which it can't leave; `durable`: and is on the disk when
/// it is committed. Blocks.
///
/// # Errors
/// `SuspiciousKey` when a link leads outside `root`; `Io`.
pub fn new_file(path: &Path, root: Option<&Path>, durable: bool) -> Result<NewFile> {
    match (root, path.to_str()) {
        (Some(root), Some(relative)) => Root::create(root, durable)?.new_file(relative),
        // Keys are UTF-8: a path below a root that is not came from something else.
        (Some(_), None) => Err(Error::new(Kind::InvalidName, "a path below a root must be UTF-8").at_path(path)),
        (None, _) => new_file_at(path, durable),
    }
}

/// All files below a directory, in contract order: relative path and path. Blocks.
///
/// # Errors
/// `NotADirectory`; `InvalidName` for a name that is not UTF-8; `Io`.
pub fn files_below(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    Walk::new(directory)?.map(|found| found.map(|file| (file.relative, file.path))).collect()
}

/// Temporary files that killed processes have left below a directory, removed if `remove` says so. Blocks.
///
/// # Errors
/// `NotADirectory`; `Io`.
pub fn stale_files(directory: &Path, stale: Stale, remove: bool) -> Result<Vec<PathBuf>> {
    remove_stale(directory, stale, remove)
}

/// The rules for the keys of a listing.
pub fn key_check(key_prefix: &str) -> KeyCheck {
    KeyCheck::new(&KeyPrefix::new(key_prefix))
}
