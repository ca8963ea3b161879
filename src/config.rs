//! The settings of a client and the limits of its transfers, validated once. Every default stands beside its source.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::plan::{MAXIMUM_PART_SIZE, MINIMUM_PART_SIZE};

/// `multipart_chunksize` of boto3's `TransferConfig`: 8 MiB.
pub const DEFAULT_PART_SIZE: u64 = 8 << 20;
/// The threshold of AWS's Rust transfer manager. Below two parts a multipart upload costs two requests and gains nothing.
pub const DEFAULT_MULTIPART_THRESHOLD: u64 = 16 << 20;
/// Measured (docs/decisions/0003): with it a whole Python process stays below 64 MiB, and no transfer at less than 20 ms
/// was slower than with twice as much. Three parts of a file fit.
pub const DEFAULT_MEMORY_LIMIT: u64 = 28 << 20;
/// Total attempts of botocore's `legacy` retry mode.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 5;
/// `connect_timeout` of `botocore.config.Config`.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// `read_timeout` of `botocore.config.Config`.
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The most units (small objects, parts) in flight unless `max_concurrency` says otherwise. At 20 ms latency 512 lanes
/// carry 25,000 requests a second, more than one prefix of S3 accepts (5,500 GET, 3,500 PUT).
pub const DEFAULT_MAX_CONCURRENCY: usize = 512;

/// A secret that no `Debug` and no message shows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for signing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CredentialSource {
    /// Keys that the caller gave, or that the environment held when the client was made.
    Static {
        /// Access key id.
        access_key: String,
        /// Secret access key.
        secret_key: Secret,
        /// Session token of temporary credentials.
        session_token: Option<Secret>,
    },
    /// The SDK's default chain: profile, web identity, container, instance metadata; refreshed while a transfer runs.
    DefaultChain {
        /// Profile name; `None` is `default`.
        profile: Option<String>,
    },
    /// What the chain is without the environment's own keys and web identity: profile, container, instance metadata. For
    /// who has looked at the environment before and decided for the profile.
    ProfileChain {
        /// Profile name; `None` is `default`.
        profile: Option<String>,
    },
    /// A role that is assumed with a token from a file, through STS; again before the session ends.
    WebIdentity {
        /// The file; read for each session, since who writes it renews it.
        token_file: PathBuf,
        /// The role.
        role_arn: String,
        /// Name of the session; `None`: one is made up.
        session_name: Option<String>,
    },
    /// A client of the caller's: the thread that waits for a transfer is asked whenever they may have changed.
    Caller,
    /// Nobody: requests go unsigned.
    Anonymous,
}

/// How bucket names go into URLs, in botocore's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AddressingStyle {
    /// Path style for an endpoint of one's own, virtual-hosted for AWS's.
    #[default]
    Auto,
    /// `https://endpoint/bucket/key`.
    Path,
    /// `https://bucket.endpoint/key`.
    Virtual,
}

impl AddressingStyle {
    /// Reads botocore's name of a style.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "path" => Ok(Self::Path),
            "virtual" => Ok(Self::Virtual),
            other => Err(Error::new(
                Kind::InvalidConfiguration,
                format!("addressing_style must be 'auto', 'path' or 'virtual', not {other:?}"),
            )),
        }
    }
}

/// What a client is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientConfig {
    /// Endpoint with scheme; `None` is AWS's own for the region.
    pub endpoint_url: Option<String>,
    /// Region that requests are signed for.
    pub region: String,
    /// How bucket names go into URLs.
    pub addressing_style: AddressingStyle,
    /// Where credentials come from.
    pub credentials: CredentialSource,
    /// PEM file that replaces the system's trusted certificates (`AWS_CA_BUNDLE`).
    pub ca_bundle: Option<PathBuf>,
    /// Proxies on the way.
    pub proxies: Proxies,
    /// Set where this stands in for a client of the caller's.
    pub adopted: Option<Adopted>,
}

/// How a client of the caller's was set up, where that is not for us to choose. With it every bucket's place is given
/// before a request is made: nothing is resolved and no region is followed. Proxies hold for every host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Adopted {
    /// Whether certificates are checked (`verify`).
    pub verify: bool,
    /// Whether uploads carry a checksum that S3 does not ask for (`request_checksum_calculation`).
    pub request_checksums: bool,
    /// Whether checksums are asked for in downloads (`response_checksum_validation`).
    pub response_checksums: bool,
    /// What stands at the end of `User-Agent` (`user_agent_extra`).
    pub user_agent_extra: Option<String>,
}

/// Proxies by the scheme of the request, and what goes past them. The default is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Proxies {
    /// URL of the proxy for `http://` endpoints, with user name and password if it wants them.
    pub http: Option<Secret>,
    /// URL of the proxy for `https://` endpoints.
    pub https: Option<Secret>,
    /// Hosts that are asked directly, as in `NO_PROXY`; the machine itself and its metadata service always are.
    pub no_proxy: String,
}

impl Proxies {
    /// Those of the environment, as boto3 reads them: lower case wins, even when it is empty.
    pub fn from_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |lower: &str, upper: &str| {
            variable(lower).or_else(|| variable(upper)).filter(|value| !value.trim().is_empty())
        };
        // A CGI server puts the client's `Proxy` header into HTTP_PROXY (CVE-2016-5385).
        let http = if variable("REQUEST_METHOD").is_some() { "http_proxy" } else { "HTTP_PROXY" };
        Self {
            http: read("http_proxy", http).map(Secret::new),
            https: read("https_proxy", "HTTPS_PROXY").map(Secret::new),
            no_proxy: read("no_proxy", "NO_PROXY").unwrap_or_default(),
        }
    }
}

impl ClientConfig {
    /// Whether bucket names stay in the path. botocore's `auto` means path style for an endpoint of one's own.
    pub fn force_path_style(&self) -> bool {
        match self.addressing_style {
            AddressingStyle::Auto => self.endpoint_url.is_some(),
            AddressingStyle::Path => true,
            AddressingStyle::Virtual => false,
        }
    }

    /// The endpoint as the SDK's rules want it: they put a bucket behind a path as it stands, `/base` + `bucket`.
    pub fn endpoint(&self) -> Option<String> {
        let url = self.endpoint_url.as_ref()?;
        Some(if url.ends_with('/') { url.clone() } else { format!("{url}/") })
    }

    /// Refuses what can't be used, before anything is built from it.
    pub fn validate(&self) -> Result<()> {
        if let Some(url) = &self.endpoint_url {
            let parsed: Option<http::Uri> = url.parse().ok();
            let usable = parsed.as_ref().is_some_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some_and(is_host_and_port)
            });
            if !usable {
                // Not shown where it may hold a password.
                let text = match url.contains('@') {
                    true => "a user name or password in it is not used; give access_key and secret_key",
                    false => url,
                };
                return Err(Error::new(Kind::InvalidConfiguration, format!("Invalid endpoint: {text}")));
            }
        }
        Ok(())
    }
}

/// Not so with a user's name, nor with a port that is no number: the beginning of a password that has a slash in it.
fn is_host_and_port(authority: &http::uri::Authority) -> bool {
    let text = authority.as_str();
    let port = authority.port().is_some() || text.trim_end_matches(':') == authority.host();
    !authority.host().is_empty() && port && !text.contains('@')
}

/// Whether the SHA-256 of a body goes into the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PayloadSigning {
    /// Signed on plain http, `UNSIGNED-PAYLOAD` on https, as botocore does; the checksum header goes along in both.
    #[default]
    Auto,
    /// Signed on https too.
    Always,
    /// `UNSIGNED-PAYLOAD` on plain http too: faster, and the checksum header alone protects the body.
    Never,
}

/// The limits of the transfers of one client.
#[derive(Debug, Clone, PartialEq)]
pub struct TransferOptions {
    /// The most units (small objects, parts) in flight; the window adapts below it.
    pub max_concurrency: usize,
    /// Size of parts and ranges in bytes; grown where a file needs more than 10,000.
    pub part_size: u64,
    /// From this size on a file goes up in parts and an object comes down in ranges.
    pub multipart_threshold: u64,
    /// Bytes of all buffers together.
    pub memory_limit: u64,
    /// Requests for one operation, the first included, that transient errors may cost. 1 switches retries off.
    pub max_attempts: u32,
    /// Limit for name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Limit for a time without any progress.
    pub read_timeout: Duration,
    /// Whether the body's SHA-256 is signed.
    pub payload_signing: PayloadSigning,
    /// Whether a downloaded file counts as done only when it is on the disk (fsync), with its name. Off, as in boto3 and
    /// every tool of the kind: a power cut may take what was written last.
    pub durable: bool,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            max_concurrency: DEFAULT_MAX_CONCURRENCY,
            part_size: DEFAULT_PART_SIZE,
            multipart_threshold: DEFAULT_MULTIPART_THRESHOLD,
            memory_limit: DEFAULT_MEMORY_LIMIT,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            read_timeout: DEFAULT_READ_TIMEOUT,
            payload_signing: PayloadSigning::default(),
            durable: false,
        }
    }
}

impl TransferOptions {
    /// Refuses values that can't work, naming the field.
    pub fn validate(&self) -> Result<()> {
        let refuse = |text: String| Err(Error::new(Kind::InvalidConfiguration, text));
        if self.max_concurrency == 0 {
            return refuse("max_concurrency must be at least 1".into());
        }
        if !(MINIMUM_PART_SIZE..=MAXIMUM_PART_SIZE).contains(&self.part_size) {
            return refuse(format!("part_size must be 5 MiB to 5 GiB, not {} bytes", self.part_size));
        }
        if !(1..=MAXIMUM_PART_SIZE).contains(&self.multipart_threshold) {
            return refuse(format!("multipart_threshold must be 1 byte to 5 GiB, not {}", self.multipart_threshold));
        }
        if self.memory_limit < 4 << 20 {
            return refuse(format!("memory_limit must be at least 4 MiB, not {} bytes", self.memory_limit));
        }
        if self.max_attempts == 0 {
            return refuse("max_attempts must be at least 1".into());
        }
        if self.connect_timeout.is_zero() {
            return refuse("connect_timeout must be more than 0".into());
        }
        if self.read_timeout.is_zero() {
            return refuse("read_timeout must be more than 0".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: Option<&str>, style: AddressingStyle) -> ClientConfig {
        ClientConfig {
            endpoint_url: endpoint.map(str::to_owned),
            region: "us-east-1".into(),
            addressing_style: style,
            credentials: CredentialSource::DefaultChain { profile: None },
            ca_bundle: None,
            proxies: Proxies::default(),
            adopted: None,
        }
    }

    #[test]
    fn proxies_are_read_as_boto3_reads_them() {
        let set = |pairs: &'static [(&str, &str)]| {
            Proxies::read(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        let both = set(&[("HTTP_PROXY", "U"), ("http_proxy", "l"), ("HTTPS_PROXY", "S"), ("NO_PROXY", "n")]);
        assert_eq!((both.http.as_ref().unwrap().expose(), both.https.as_ref().unwrap().expose()), ("l", "S"));
        assert_eq!(both.no_proxy, "n");
        assert_eq!(set(&[("HTTPS_PROXY", "S"), ("https_proxy", "")]), Proxies::default());
        assert_eq!(set(&[("HTTP_PROXY", "U"), ("REQUEST_METHOD", "GET")]), Proxies::default());
        assert_eq!(set(&[("ALL_PROXY", "a"), ("all_proxy", "a")]), Proxies::default());
    }

    #[test]
    fn auto_means_path_style_for_an_endpoint_of_ones_own() {
        for (endpoint, style, path) in [
            (Some("http://h:1"), AddressingStyle::Auto, true),
            (None, AddressingStyle::Auto, false),
            (Some("http://h:1"), AddressingStyle::Virtual, false),
            (None, AddressingStyle::Path, true),
        ] {
            assert_eq!(config(endpoint, style).force_path_style(), path, "{endpoint:?} {style:?}");
        }
    }

    #[test]
    fn an_endpoint_needs_scheme_and_host() {
        for (url, good) in [
            ("http://h:1", true),
            ("https://h", true),
            ("http://[::1]:1/p@th", true),
            ("h:1", false),
            ("ftp://h", false),
            ("", false),
        ] {
            assert_eq!(config(Some(url), AddressingStyle::Auto).validate().is_ok(), good, "{url}");
        }
    }

    #[test]
    fn a_password_in_an_endpoint_is_refused_and_not_shown() {
        for url in ["http://user:hush@h", "http://user:hush/hush@h", "user:hush@h:1", "http://user:hu sh@h", "//hush@h"]
        {
            let error = config(Some(url), AddressingStyle::Auto).validate().unwrap_err();
            assert!(
                error.to_string().contains("a user name or password") && !error.to_string().contains("hu"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_bad_limit_is_refused_by_name() {
        let base = TransferOptions::default;
        for (options, field) in [
            (TransferOptions { max_concurrency: 0, ..base() }, "max_concurrency"),
            (TransferOptions { part_size: 1, ..base() }, "part_size"),
            (TransferOptions { multipart_threshold: 0, ..base() }, "multipart_threshold"),
            (TransferOptions { memory_limit: 1, ..base() }, "memory_limit"),
            (TransferOptions { max_attempts: 0, ..base() }, "max_attempts"),
            (TransferOptions { connect_timeout: Duration::ZERO, ..base() }, "connect_timeout"),
            (TransferOptions { read_timeout: Duration::ZERO, ..base() }, "read_timeout"),
        ] {
            let error = options.validate().unwrap_err();
            assert!(error.message().starts_with(field), "{error}");
        }
        assert!(base().validate().is_ok());
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "***");
    }
}
