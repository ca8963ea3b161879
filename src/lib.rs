//! s3bulk
pub mod client;
pub mod config;
pub mod disk;
pub mod error;
pub mod flow;
pub mod keys;
pub mod plan;
pub mod wire;
