//! An engine with short limits, a fault server, and a folder: what the tests of one fault need.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use s3bulk::client::Client;
use s3bulk::config::{AddressingStyle, ClientConfig, CredentialSource, Proxies, Secret, TransferOptions};
use s3bulk::error::{Error, Result};
use s3bulk::flow::Cancel;
use s3bulk::transfer::{Engine, Host, LocalFile, Report, SilentHost};
use tempfile::TempDir;

use crate::fault_server::{FaultServer, Script};

pub const SMALL: usize = 1_000;
/// More than is read whole, less than is sent in parts.
pub const MIDDLING: usize = (2 << 20) + 7;
/// Three parts or ranges.
pub const LARGE: usize = (11 << 20) + 13;

/// No test may hang: far more than any of them takes, half a minute of 503 with its pauses included.
pub const WATCHDOG: Duration = Duration::from_secs(120);

pub struct Rig {
    pub server: FaultServer,
    pub engine: Arc<Engine>,
    pub folder: TempDir,
}

pub fn options() -> TransferOptions {
    TransferOptions {
        part_size: 5 << 20,
        multipart_threshold: 6 << 20,
        max_attempts: 4,
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_millis(400),
        ..TransferOptions::default()
    }
}

/// For tests in which nobody falls silent: on a busy machine one of a thousand answers may take long.
pub fn unhurried() -> TransferOptions {
    TransferOptions { read_timeout: Duration::from_secs(10), ..options() }
}

/// Bytes that don't repeat, the same each time.
pub fn content(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(length as u64);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

impl Rig {
    pub fn new(script: Script) -> Self {
        Self::with(script, options())
    }

    pub fn with(script: Script, options: TransferOptions) -> Self {
        Self::over(FaultServer::start(script), options, |_| ())
    }

    /// With a client that is configured otherwise.
    pub fn over(server: FaultServer, options: TransferOptions, change: impl FnOnce(&mut ClientConfig)) -> Self {
        server.create_bucket("bucket");
        let mut config = ClientConfig {
            endpoint_url: Some(server.endpoint()),
            region: "us-east-1".into(),
            addressing_style: AddressingStyle::Path,
            credentials: CredentialSource::Static {
                access_key: "access".into(),
                secret_key: Secret::new("secret"),
                session_token: None,
            },
            ca_bundle: None,
            proxies: Proxies::default(),
            adopted: None,
        };
        change(&mut config);
        let engine = Engine::new(Client::new(config, options).unwrap());
        Self { server, engine, folder: tempfile::tempdir().unwrap() }
    }

    pub fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Everything in the folder, hidden names too.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub async fn upload(&self, bytes: &[u8]) -> Result<u64> {
        std::fs::write(self.source(), bytes).unwrap();
        self.upload_source(&Cancel::new()).await
    }

    pub async fn upload_source(&self, cancel: &Cancel) -> Result<u64> {
        let file = LocalFile {
            path: self.source(),
            bucket: "bucket".into(),
            key: "key".into(),
            content_type: "text/x-test".into(),
        };
        watched(self.engine.upload_file(&file, cancel)).await
    }

    pub async fn download(&self) -> Result<u64> {
        watched(self.engine.download_file("bucket", "key", self.target(), &Cancel::new())).await
    }

    pub async fn download_prefix(&self, prefix: &str, cancel: &Cancel) -> (Report, Option<Error>) {
        let host: Arc<dyn Host> = Arc::new(SilentHost);
        watched(self.engine.download_prefix("bucket", prefix, &self.target(), &host, cancel)).await
    }

    pub async fn upload_folder(&self, cancel: &Cancel) -> (Report, Option<Error>) {
        let host: Arc<dyn Host> = Arc::new(SilentHost);
        watched(self.engine.upload_folder(&self.source(), "bucket", "p", &host, cancel)).await
    }

    /// Nothing is left: no upload on the server, no buffer and no lane in the engine.
    pub async fn assert_clean(&self) {
        let is_clean =
            || self.server.stats().uploads_open == 0 && self.engine.buffered() == 0 && self.engine.in_flight() == 0;
        let clean = tokio::time::timeout(WATCHDOG / 4, async {
            // The engine gives no sign when hyper has dropped the last buffer: looked for again and again.
            let mut look = tokio::time::interval(Duration::from_millis(2));
            while !is_clean() {
                look.tick().await;
            }
        });
        let (engine, stats) = (&self.engine, || self.server.stats());
        if clean.await.is_err() {
            panic!("{:?}, buffered {}, in flight {}", stats(), engine.buffered(), engine.in_flight());
        }
    }
}

pub async fn watched<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(WATCHDOG, work).await.expect("the watchdog: something hangs")
}

/// The error names what was done, and where.
pub fn assert_named(error: &Error, rig: &Rig) {
    let context = error.context();
    assert!(context.operation.is_some(), "{error}");
    assert_eq!(context.bucket.as_deref(), Some("bucket"), "{error}");
    assert_eq!(context.key.as_deref(), Some("key"), "{error}");
    assert_eq!(context.endpoint.as_deref(), Some(rig.server.endpoint().as_str()), "{error}");
}
