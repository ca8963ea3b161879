//! A directory, and what can be done with one name in it.
//!
//! Everything above is built from these few steps, none of which follows a link unless it says so. There are two kinds
//! with the same methods: by handle on Linux, where no link or rename made meanwhile can divert a step, and by path
//! elsewhere (and with the feature `portable-disk`), where a directory is checked before a step but not held.

#[cfg(all(target_os = "linux", not(feature = "portable-disk")))]
mod handle;
#[cfg(all(target_os = "linux", not(feature = "portable-disk")))]
pub(super) use handle::Folder;

#[cfg(not(all(target_os = "linux", not(feature = "portable-disk"))))]
mod path;
#[cfg(not(all(target_os = "linux", not(feature = "portable-disk"))))]
pub(super) use path::Folder;
