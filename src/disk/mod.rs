//! Local files: the walk of a folder that is sent, files opened for sending, files that appear whole under a root
//! directory, and the threads that do this work beside the network.
//!
//! Nothing here knows S3. All calls block; callers run them on [`DiskThreads`].

// In tests a panic is the answer.
#![cfg_attr(test, allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used))]

mod arrivals;
mod buffers;
mod checked_close;
mod directories;
mod fault;
mod folder;
mod links;
mod new_file;
mod owner;
mod position;
mod root;
mod source;
mod stale;
mod standing;
mod starvation;
mod temporary;
mod threads;
#[cfg(all(test, unix))]
mod unprivileged;
mod walk;

pub use buffers::{Buffer, Buffers};
pub use new_file::{NewFile, new_file_at};
pub use root::Root;
pub use source::{Source, Stamp};
pub use stale::{Stale, remove_stale};
pub use threads::{DiskThreads, processors};
pub use walk::{Found, Walk};
