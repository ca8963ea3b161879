//! Moves folders and key prefixes to and from S3, and everything that speaks S3: in parallel, verified, in bounded memory.
//!
//! [`transfer::Engine`] does the work. It belongs to a [`client::Client`], and is shared by all transfers of that client:
//!
//! ```
//! use std::sync::Arc;
//!
//! use s3bulk::client::Client;
//! use s3bulk::config::{AddressingStyle, ClientConfig, CredentialSource, Proxies, Secret, TransferOptions};
//! use s3bulk::flow::Cancel;
//! use s3bulk::transfer::{Engine, Host, SilentHost};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ClientConfig {
//!     endpoint_url: Some("http://127.0.0.1:9000".into()),
//!     region: "us-east-1".into(),
//!     addressing_style: AddressingStyle::Auto,
//!     credentials: CredentialSource::Static {
//!         access_key: "key".into(),
//!         secret_key: Secret::new("secret"),
//!         session_token: None,
//!     },
//!     ca_bundle: None,
//!     proxies: Proxies::from_environment(),
//!     adopted: None,
//! };
//! let engine = Engine::new(Client::new(config, TransferOptions::default())?);
//! let folder = tempfile::tempdir()?; // an empty one makes no request
//! let host: Arc<dyn Host> = Arc::new(SilentHost);
//! let (report, error) = engine.upload_folder(folder.path(), "results", "runs/17", &host, &Cancel::new()).await;
//! assert!(error.is_none());
//! assert_eq!((report.done.len(), report.bytes), (0, 0));
//! # Ok(())
//! # }
//! ```
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`transfer`] | one file, one object, a folder, a prefix, the report |
//! | [`client`] | the client, its credentials, bucket operations, listings (aws-sdk-s3) |
//! | [`wire`] | the data plane: connections, signing, requests, answers, retries, bodies |
//! | [`disk`] | safe files under a root, temporary files, disk threads, the folder walk |
//! | [`flow`] | the window (concurrency), the budget (bytes), cancellation |
//! | [`keys`], [`plan`] | pure: keys and paths, part sizes and ranges |
//! | [`config`], [`error`] | settings with their sources, the one error type |
//!
//! The Python package is made of the same crate with the feature `python`.

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
