//! s3bulk
pub mod error;
