//! s3bulk
pub mod client;
pub mod config;
pub mod disk;
pub mod error;
pub mod flow;
pub mod keys;
pub mod plan;
#[cfg(feature = "python")]
mod python;
pub mod transfer;
pub mod wire;
