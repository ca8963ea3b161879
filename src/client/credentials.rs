//! Identities for both planes: static keys, or the SDK's default chain behind one cache that refreshes in time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_types::region::Region;
use http::HeaderValue;
use tokio::sync::OnceCell;

use super::desk::{Desk, Keys};
use super::http::SdkHttp;
use crate::config::CredentialSource;
use crate::error::{Error, Kind, Result};
use crate::wire::Identities;
use crate::wire::body::BoxFuture;
use crate::wire::sign::Anonymous;

/// Refresh so long before the end, or a quarter of the lifetime where that is less (PITFALLS 2.8).
const EARLY: Duration = Duration::from_secs(300);
/// Between two tries while the old credentials still hold.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// The one place both planes take identities from.
#[derive(Debug)]
pub struct CredentialCache {
    source: CredentialSource,
    region: String,
    http: SdkHttp,
    chain: OnceCell<Box<dyn ProvideCredentials>>,
    known: Mutex<Option<Known>>,
    desk: Desk,
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Known {
    identity: Identity,
    /// When to ask again; `None`: never.
    refresh_at: Option<SystemTime>,
    tried: Instant,
    /// Whether another call has begun since; only callers' keys are looked at so often.
    of_a_call_before: bool,
    /// Access key and token go into headers.
    fits_headers: Result<()>,
}

impl Known {
    fn new(credentials: Credentials) -> Self {
        let refresh_at = credentials.expiry().map(|expiry| refresh_time(SystemTime::now(), expiry));
        Self::asked_now(credentials, refresh_at)
    }

    fn anonymous() -> Self {
        let (identity, tried) = (Anonymous::identity(), Instant::now());
        Self { identity, refresh_at: None, tried, of_a_call_before: false, fits_headers: Ok(()) }
    }

    fn of_caller(keys: Keys) -> Self {
        let token = keys.session_token.map(|token| token.expose().to_owned());
        let credentials = Credentials::new(keys.access_key, keys.secret_key.expose(), token, None, "caller");
        Self::asked_now(credentials, keys.lasting.and_then(|lasting| SystemTime::now().checked_add(lasting)))
    }

    fn asked_now(credentials: Credentials, refresh_at: Option<SystemTime>) -> Self {
        let fits_headers = check_header_values(&credentials);
        let tried = Instant::now();
        Self { identity: credentials.into(), refresh_at, tried, of_a_call_before: false, fits_headers }
    }

    fn usable(&self) -> Result<Identity> {
        self.fits_headers.clone().map(|()| self.identity.clone())
    }

    fn is_due(&self, now: SystemTime) -> bool {
        self.of_a_call_before || self.refresh_at.is_some_and(|at| now >= at)
    }

    fn has_expired(&self, now: SystemTime) -> bool {
        self.identity.expiration().is_some_and(|expiry| now >= expiry)
    }
}

/// The SDK panics at what no header can hold, such as a key with the line break of its file.
fn check_header_values(credentials: &Credentials) -> Result<()> {
    for (name, value) in
        [("access key", Some(credentials.access_key_id())), ("session token", credentials.session_token())]
    {
        if value.is_some_and(|value| HeaderValue::from_str(value).is_err()) {
            let text =
                format!("the {name} holds a character that no header can hold; is there a line break at its end?");
            return Err(Error::new(Kind::Credentials, text));
        }
    }
    Ok(())
}

/// When credentials that end at `expiry` are asked for again.
fn refresh_time(now: SystemTime, expiry: SystemTime) -> SystemTime {
    let lifetime = expiry.duration_since(now).unwrap_or_default();
    expiry.checked_sub(EARLY.min(lifetime / 4)).unwrap_or(now)
}

impl CredentialCache {
    /// A cache over a source. Asks nobody yet.
    pub fn new(source: CredentialSource, region: String, http: SdkHttp) -> Arc<Self> {
        let known = match &source {
            CredentialSource::Static { access_key, secret_key, session_token } => {
                let token = session_token.as_ref().map(|token| token.expose().to_owned());
                Some(Known::new(Credentials::new(access_key, secret_key.expose(), token, None, "s3bulk")))
            }
            CredentialSource::Anonymous => Some(Known::anonymous()),
            CredentialSource::DefaultChain { .. }
            | CredentialSource::ProfileChain { .. }
            | CredentialSource::WebIdentity { .. }
            | CredentialSource::Caller => None,
        };
        Arc::new(Self {
            source,
            region,
            http,
            chain: OnceCell::new(),
            known: Mutex::new(known),
            desk: Desk::default(),
            refreshing: tokio::sync::Mutex::new(()),
        })
    }

    /// A call begins: the caller may have other keys by now. Those known are for clean-up, when nobody can be asked.
    pub fn renew(&self) {
        if matches!(self.source, CredentialSource::Caller)
            && let Some(known) = self.slot().as_mut()
        {
            known.of_a_call_before = true;
        }
    }

    /// Where the callers are known who can be asked.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    fn slot(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The identity that still holds, while another request fetches the next one.
    fn still_valid(&self) -> Option<Result<Identity>> {
        let is_valid = |known: &&Known| !known.of_a_call_before && !known.has_expired(SystemTime::now());
        self.slot().as_ref().filter(is_valid).map(Known::usable)
    }

    async fn current(&self) -> Result<Identity> {
        let _one_at_a_time = match self.refreshing.try_lock() {
            Ok(turn) => turn,
            Err(_) => match self.still_valid() {
                Some(known) => return known,
                None => self.refreshing.lock().await,
            },
        };
        let now = SystemTime::now();
        if let Some(known) = self.slot().as_ref()
            && (!known.is_due(now)
                || (!known.of_a_call_before && !known.has_expired(now) && known.tried.elapsed() < BETWEEN_TRIES))
        {
            return known.usable();
        }
        match self.ask().await {
            Ok(fresh) => {
                let identity = fresh.usable();
                *self.slot() = Some(fresh);
                identity
            }
            Err(error) => match self.slot().as_mut() {
                // The old ones still hold: S3 decides, and there will be another try in a second.
                Some(known) if !known.has_expired(now) => {
                    known.tried = Instant::now();
                    known.usable()
                }
                _ => Err(error),
            },
        }
    }

    async fn ask(&self) -> Result<Known> {
        match &self.source {
            CredentialSource::DefaultChain { .. }
            | CredentialSource::ProfileChain { .. }
            | CredentialSource::WebIdentity { .. } => {}
            CredentialSource::Caller => {
                let keys = self.desk.ask().await;
                return keys.map(Known::of_caller).ok_or_else(|| {
                    Error::new(Kind::Credentials, "the call whose client has the credentials has ended")
                });
            }
            CredentialSource::Static { .. } | CredentialSource::Anonymous => {
                return Err(Error::new(Kind::Credentials, "S3 says that the credentials given have expired"));
            }
        }
        let chain = self.chain.get_or_init(|| self.build_chain()).await;
        chain.provide_credentials().await.map(Known::new).map_err(|error| match error {
            CredentialsError::CredentialsNotLoaded(_) => {
                Error::new(Kind::NoCredentials, "Unable to locate credentials").caused_by(error)
            }
            other => {
                let text = format!("credentials could not be loaded: {}", chain_text(&other));
                Error::new(Kind::Credentials, text).caused_by(other)
            }
        })
    }

    async fn build_chain(&self) -> Box<dyn ProvideCredentials> {
        let region = Region::new(self.region.clone());
        let config = ProviderConfig::default().with_http_client(self.http.clone()).with_region(Some(region.clone()));
        match &self.source {
            CredentialSource::WebIdentity { token_file, role_arn, session_name } => {
                let made_up = || {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    format!("s3bulk-session-{}", now.as_secs())
                };
                let session = StaticConfiguration {
                    web_identity_token_file: token_file.clone(),
                    role_arn: role_arn.clone(),
                    session_name: session_name.clone().unwrap_or_else(made_up),
                };
                let builder = WebIdentityTokenCredentialsProvider::builder().configure(&config);
                Box::new(builder.static_configuration(session).build())
            }
            CredentialSource::ProfileChain { profile } => {
                // Named in any case: else the SDK would look for the name in the environment again.
                let profile = profile.as_deref().unwrap_or("default");
                let profile = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile);
                let container = EcsCredentialsProvider::builder().configure(&config);
                let instance = ImdsCredentialsProvider::builder().configure(&config);
                let chain = CredentialsProviderChain::first_try("Profile", profile.build())
                    .or_else("EcsContainer", container.build())
                    .or_else("Ec2InstanceMetadata", instance.build());
                Box::new(chain)
            }
            CredentialSource::DefaultChain { profile: Some(profile) } => {
                let builder = DefaultCredentialsChain::builder().region(region).configure(config);
                Box::new(builder.profile_name(profile).build().await)
            }
            // The last three are no chain: nobody asks for one.
            CredentialSource::DefaultChain { profile: None }
            | CredentialSource::Static { .. }
            | CredentialSource::Caller
            | CredentialSource::Anonymous => {
                Box::new(DefaultCredentialsChain::builder().region(region).configure(config).build().await)
            }
        }
    }
}

/// The texts of an error and all below it: the SDK's outer ones say little.
fn chain_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(current) = below {
        text = format!("{text}: {current}");
        below = current.source();
    }
    text
}

/// The cache as the data plane sees it.
#[derive(Debug, Clone)]
pub struct SharedCredentials(pub Arc<CredentialCache>);

impl Identities for SharedCredentials {
    fn identity(&self) -> BoxFuture<Result<Identity>> {
        let cache = self.0.clone();
        Box::pin(async move { cache.current().await })
    }

    fn known(&self) -> Option<Identity> {
        let known = self.0.slot();
        let known = known.as_ref()?;
        known.usable().ok().filter(|_| !known.is_due(SystemTime::now()))
    }

    fn forget(&self, used: &Identity) {
        let mut known = self.0.slot();
        let same = known.as_ref().is_some_and(|known| known.identity.data::<Credentials>() == used.data());
        if same && !matches!(self.0.source, CredentialSource::Static { .. } | CredentialSource::Anonymous) {
            *known = None;
        }
    }
}

/// The cache as the SDK sees it.
impl ProvideCredentials for SharedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let identity = self.0.current().await.map_err(CredentialsError::provider_error)?;
            let credentials = identity.data::<Credentials>().cloned();
            credentials.ok_or_else(|| CredentialsError::unhandled("the identity holds no credentials"))
        })
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
