//! The client: credentials, endpoints, and the control plane (buckets, listings, multipart uploads) over aws-sdk-s3.

mod bucket;
mod cache;
mod credentials;
mod desk;
mod failure;
mod http;
mod incomplete;
mod listing;
mod multipart;
mod place;
mod under_way;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::config::endpoint::ResolveEndpoint;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
};

pub use cache::{Cache, CacheInfo};
pub use desk::{Asked, Desk, Keys, Question};
pub use incomplete::IncompleteUpload;
pub use listing::{Listed, Listing};
pub use multipart::{Aborted, MultipartUpload, UploadedPart};
pub use under_way::UploadsUnderWay;

use self::credentials::{CredentialCache, SharedCredentials};
use self::http::SdkHttp;
use self::place::Places;
use crate::config::{ClientConfig, CredentialSource, TransferOptions};
use crate::error::{Error, Kind, Result};
use crate::flow::Window;
use crate::wire::body::BoxFuture;
use crate::wire::checksum::Accepted;
use crate::wire::endpoint::Endpoints;
use crate::wire::pool::{Pool, Timeouts};
use crate::wire::proxy::Routes;
use crate::wire::resolve::{LookUp, system_look_up};
use crate::wire::retry::Retry;
use crate::wire::sign::Clock;
use crate::wire::tls::Tls;
use crate::wire::{Wire, user_agent};

/// The sockets that a forked child has from its parent, to be closed without a word to the other side.
pub use crate::wire::socket::inherited_descriptors;

/// The longest any connection may take, whatever the options of a client on the same pool say. Kernels give up sooner:
/// Linux after 127 s (tcp(7), `tcp_syn_retries`).
const LONGEST_CONNECT: Duration = Duration::from_secs(300);

/// A client. Clones share everything.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    options: Arc<TransferOptions>,
    wire: Arc<Wire>,
    credentials: SharedCredentials,
    sdk: aws_sdk_s3::Client,
}

impl Client {
    /// Builds a client. No network I/O, no files but a CA bundle.
    pub fn new(config: ClientConfig, options: TransferOptions) -> Result<Self> {
        Self::with_look_up(config, options, system_look_up())
    }

    /// The same, for who knows better than the system where hosts are.
    pub fn with_look_up(config: ClientConfig, options: TransferOptions, look_up: Arc<LookUp>) -> Result<Self> {
        config.validate()?;
        options.validate()?;
        let adopted = config.adopted.as_ref();
        let routes = Routes::new(&config.proxies)?;
        let routes = if adopted.is_some() { routes.for_every_host() } else { routes };
        let tls = match adopted {
            Some(adopted) if !adopted.verify => Tls::unverified(),
            _ => Tls::new(config.ca_bundle.as_deref())?,
        };
        let pool = Pool::new(tls, routes, look_up, LONGEST_CONNECT);
        let http = SdkHttp::new(pool.clone(), timeouts(&options));
        let cache = CredentialCache::new(config.credentials.clone(), config.region.clone(), http);
        let credentials = SharedCredentials(cache);
        let wire = Arc::new(Wire {
            pool,
            endpoints: Endpoints::new(config.clone()),
            accepted: match adopted {
                Some(adopted) if !adopted.request_checksums => Accepted::nothing(),
                _ => Accepted::default(),
            },
            clock: Clock::default(),
            identities: Arc::new(credentials.clone()),
            validates: adopted.is_none_or(|adopted| adopted.response_checksums),
            user_agent: user_agent(adopted.and_then(|adopted| adopted.user_agent_extra.as_deref()))?,
        });
        Ok(Self::assemble(Arc::new(config), options, wire, credentials))
    }

    /// The same pool, credentials and memory of endpoints, under other limits.
    pub fn with_options(&self, options: TransferOptions) -> Result<Self> {
        options.validate()?;
        Ok(Self::assemble(self.config.clone(), options, self.wire.clone(), self.credentials.clone()))
    }

    fn assemble(
        config: Arc<ClientConfig>,
        options: TransferOptions,
        wire: Arc<Wire>,
        credentials: SharedCredentials,
    ) -> Self {
        // Retries, time limits and checksums are ours; the SDK's would multiply with them.
        let mut sdk = aws_sdk_s3::Config::builder();
        sdk.set_endpoint_url(config.endpoint());
        let mut http = SdkHttp::new(wire.pool.clone(), timeouts(&options));
        if config.adopted.is_some() {
            sdk.set_endpoint_resolver(Some(Places(wire.clone()).into_shared_resolver()));
            http = http.calling_itself(wire.user_agent.clone());
        }
        sdk = match config.credentials {
            CredentialSource::Anonymous => sdk.allow_no_auth(),
            _ => sdk.credentials_provider(credentials.clone()),
        };
        let sdk = sdk
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .region(Region::new(config.region.clone()))
            .force_path_style(config.force_path_style())
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let sdk = aws_sdk_s3::Client::from_conf(sdk);
        Self { config, options: Arc::new(options), wire, credentials, sdk }
    }

    /// What the client was made of.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The limits of its transfers.
    pub fn options(&self) -> &Arc<TransferOptions> {
        &self.options
    }

    /// For an adopted client, before a call: says where requests of the bucket go, and has its keys asked for again.
    pub fn place(&self, bucket: &str, url: &str, region: &str) -> Result<()> {
        self.credentials.0.renew();
        self.wire.endpoints.place(bucket, url, region)
    }

    /// Where callers who can be asked for keys are known.
    pub fn desk(&self) -> &Desk {
        self.credentials.0.desk()
    }

    /// The data plane.
    pub fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// Refuses what must not reach a server: with an empty key a PutObject would be a CreateBucket.
    pub fn check_names(bucket: &str, key: Option<&str>) -> Result<()> {
        if bucket.is_empty() {
            return Err(Error::new(Kind::InvalidParameter, "the bucket name is empty"));
        }
        if key == Some("") {
            return Err(Error::new(Kind::InvalidParameter, "the key is empty"));
        }
        Ok(())
    }

    /// The settings for a bucket that is in another region than the client.
    fn moved(&self, bucket: &str) -> Option<aws_sdk_s3::config::Builder> {
        let region = self.wire.endpoints.region(bucket);
        (region != self.config.region).then(|| aws_sdk_s3::config::Builder::new().region(Region::new(region)))
    }

    /// Runs one control operation with our retries.
    async fn retried<T>(
        &self,
        operation: &'static str,
        (bucket, key): (&str, &str),
        window: Option<&Window>,
        mut send: impl FnMut() -> BoxFuture<Result<T>> + Send,
    ) -> Result<T> {
        let mut retry = Retry::new(&self.options);
        loop {
            retry.begin();
            // Before: another request may learn meanwhile that the bucket is elsewhere.
            let target = self.wire.endpoints.target(bucket).await;
            let error = match send().await {
                Ok(done) => return Ok(done),
                Err(error) => error.during(operation).of_object(bucket, key),
            };
            let error = match target {
                Ok(target) => error.at_endpoint(&target.endpoint()),
                Err(unresolved) => return Err(unresolved.during(operation)),
            };
            self.wire.pause(&mut retry, error, bucket, window).await?;
        }
    }
}

impl Client {
    /// Runs a request of the SDK, which takes its identity from where the data plane does.
    async fn signed<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let identity = self.wire.identity().await?;
        let answer = request.await;
        if let Err(error) = &answer {
            self.wire.look_at_expiry(error, &identity);
        }
        answer
    }
}

fn timeouts(options: &TransferOptions) -> Timeouts {
    Timeouts { connect: options.connect_timeout, read: options.read_timeout }
}

/// Sends an SDK operation, where the bucket is, and puts its error into our words.
macro_rules! send {
    ($client:expr, $bucket:expr, $operation:expr) => {{
        let operation = $operation.customize();
        let operation = match $client.moved($bucket) {
            Some(settings) => operation.config_override(settings),
            None => operation,
        };
        $client.signed(async { operation.send().await.map_err($crate::client::failure::from_sdk) }).await
    }};
}
pub(crate) use send;
