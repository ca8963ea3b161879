//! Local files and the rules for keys by themselves, for a program that moves the bytes through another client than ours.

use std::path::{Path, PathBuf};

use crate::disk::{Walk, remove_stale};
use crate::error::Result;
use crate::keys::KeyPrefix;

pub use crate::disk::{NewFile, Root, Stale, new_file_at};
pub use crate::keys::KeyCheck;

/// The directory of one download, made unless it is there: its files can't leave it, and don't take each other's places
/// when they are committed by it. `durable`: they are on the disk then. Blocks.
///
/// # Errors
/// `Io`.
pub fn root(directory: &Path, key_prefix: &str, durable: bool) -> Result<Root> {
    Ok(Root::create(directory, durable)?.for_keys(KeyPrefix::new(key_prefix).listing()))
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
