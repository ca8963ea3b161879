//! Temporary files that killed processes have left behind.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::folder::Folder;
use super::owner::{Fate, Owner};
use super::standing::Shape;
use crate::error::{Error, Kind, Result};

/// Which of the temporary files count as stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    /// Those that nobody has written to for so long, where it can't be known whether their process lives: it ran on
    /// another machine or in another container, or before this machine's last start. `None`: none of these. Where it is
    /// known to be gone, age does not matter; where it lives, nothing does.
    pub unwritten_for: Option<Duration>,
}

/// Finds the stale temporary files below `directory`, and removes them if `remove` says so. No link is followed but
/// `directory` itself.
///
/// # Errors
/// `NotADirectory`; `Io`: what was removed by then is gone.
pub fn remove_stale(directory: &Path, stale: Stale, remove: bool) -> Result<Vec<PathBuf>> {
    let root = match Folder::open(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let message = format!("local_dir does not exist or is not a directory: {}", directory.display());
            return Err(Error::new(Kind::NotADirectory, message).caused_by(error));
        }
        opened => opened.map_err(|error| Error::io(error, "opening a directory", directory))?,
    };
    let mut found = Vec::new();
    let mut folders = vec![Vec::new()];
    while let Some(names) = folders.pop() {
        let path = || names.iter().fold(directory.to_owned(), |path, name: &OsString| path.join(name));
        let failed = |error| Error::io(error, "looking for temporary files", path());
        // From the top each time: a handle for every level of a deep tree would be more than there are descriptors.
        let below = names
            .iter()
            .try_fold(None, |above: Option<Folder>, name| above.as_ref().unwrap_or(&root).enter(name).map(Some));
        let below = match below {
            // Gone or replaced since it was seen.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            below => below.map_err(failed)?,
        };
        let folder = below.as_ref().unwrap_or(&root);
        let mut entries = folder.entries().map_err(failed)?;
        entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        for (name, shape) in &entries {
            if *shape == Shape::File && stale.includes(folder, name).map_err(failed)? {
                let path = path().join(name);
                if remove {
                    match folder.remove(name) {
                        // Somebody else was faster.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        removed => removed.map_err(|error| Error::io(error, "removing a temporary file", &path))?,
                    }
                }
                found.push(path);
            }
        }
        // The last one in is the first one out.
        for (name, _) in entries.into_iter().rev().filter(|(_, shape)| *shape == Shape::Directory) {
            folders.push([names.as_slice(), &[name]].concat());
        }
    }
    Ok(found)
}

impl Stale {
    fn includes(self, folder: &Folder, name: &OsString) -> io::Result<bool> {
        match Owner::of_name(name).map(Owner::fate) {
            None | Some(Fate::Lives) => Ok(false),
            Some(Fate::Gone) => Ok(true),
            Some(Fate::Unknown) => match (self.unwritten_for, folder.modified(name)) {
                (None, _) => Ok(false),
                (Some(_), Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                // One from the future is not old.
                (Some(least), modified) => {
                    Ok(SystemTime::now().duration_since(modified?).is_ok_and(|unwritten| unwritten >= least))
                }
            },
        }
    }
}

#[cfg(test)]
#[path = "stale_tests.rs"]
mod tests;
