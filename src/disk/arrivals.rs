//! What one transfer has put in place, so that no file of its takes the place of another one of its.
//!
//! Names that differ may still be one place, and only the disk knows: a link stands there, or the file system takes `A`
//! and `a` for one name. A file is announced before it gets its name, so that whoever finds it there knows whose it is.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::folder::Folder;
use super::position::read_at;
use super::root::Root;
use super::standing::{Identity, Standing, identity_of};
use crate::error::Result;
use crate::keys::same_place;

/// Folders in which files may take places at the same time, unless they fall on one turn by chance: as many as are
/// remembered with a handle.
const TURNS: usize = 64;

/// Bytes that are compared at a time.
const COMPARED: usize = 64 << 10;

/// What has arrived by one transfer.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// What stands before all names in the messages.
    listing: String,
    /// The names by hashed identity, 24 bytes each: the texts are the report's own.
    names: Mutex<HashMap<u64, Arc<str>>>,
    turns: [Mutex<()>; TURNS],
    hasher: RandomState,
}

/// A file on its way into a root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) root: &'a Root,
    pub(super) name: &'a Arc<str>,
}

impl Arrivals {
    /// Nothing yet. `listing` is the prefix of the keys.
    pub(super) fn new(listing: String) -> Self {
        let turns = [const { Mutex::new(()) }; TURNS];
        Self { listing, names: Mutex::default(), turns, hasher: RandomState::new() }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<u64, Arc<str>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose file that was when it was announced.
    fn announced(&self, identity: Identity) -> Option<Arc<str>> {
        self.names().get(&self.hasher.hash_one(identity)).cloned()
    }
}

impl<'a> Arrival<'a> {
    /// Says whose `file` is, which has no name yet, or a temporary one.
    pub(super) fn announce(&self, file: &File) -> io::Result<()> {
        if let Some(identity) = identity_of(&file.metadata()?) {
            let arrivals = self.root.arrivals();
            let place = arrivals.hasher.hash_one(identity);
            arrivals.names().insert(place, Arc::clone(self.name));
        }
        Ok(())
    }

    /// Waits until no other file of this root takes a place in `folder`, and keeps it so. The kernel has one rename in a
    /// folder at a time anyway.
    pub(super) fn turn(&self, folder: &Folder) -> io::Result<MutexGuard<'a, ()>> {
        let arrivals = self.root.arrivals();
        let turn = arrivals.hasher.hash_one(folder.identity()?) % TURNS as u64;
        #[expect(clippy::cast_possible_truncation, clippy::indexing_slicing, reason = "less than there are turns")]
        let turn = &arrivals.turns[turn as usize];
        Ok(turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses to let `new` replace what arrived in `folder` under another name, unless that holds the same bytes: a folder
    /// with links to files has several keys for one, and may be fetched into itself.
    ///
    /// # Errors
    /// `KeyCollision`.
    pub(super) fn admit(&self, new: &File, folder: &Folder, name: &OsStr, standing: &Standing) -> Result<()> {
        let Some(identity) = standing.identity else { return Ok(()) };
        let arrivals = self.root.arrivals();
        let Some(other) = arrivals.announced(identity).filter(|other| other != self.name) else { return Ok(()) };
        // The number of a file that somebody removed or replaced is used again: what counts is where it stands now.
        if self.root.identity_at(&other) != Some(identity) {
            return Ok(());
        }
        // What can't be compared counts as different.
        if folder.open_file(name).and_then(|there| hold_the_same(new, &there)).unwrap_or(false) {
            return Ok(());
        }
        Err(same_place(&format!("{}{other}", arrivals.listing), &format!("{}{}", arrivals.listing, self.name)))
    }
}

fn hold_the_same(one: &File, other: &File) -> io::Result<bool> {
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut of_one, mut of_other) = (vec![0; COMPARED], vec![0; COMPARED]);
    let mut at = 0;
    loop {
        let (read, read_too) = (read_at(one, &mut of_one, at)?, read_at(other, &mut of_other, at)?);
        if of_one.get(..read) != of_other.get(..read_too) {
            return Ok(false);
        }
        if read < COMPARED {
            return Ok(true);
        }
        at += read as u64;
    }
}

#[cfg(all(test, unix))]
#[path = "arrivals_tests.rs"]
mod tests;
