//! Where requests of a bucket go and how they are signed: the rules are AWS's own, from the SDK's resolver.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::ClientConfig;
use crate::error::{Error, Kind, Result};

/// What stays as it is in a path: RFC 3986's unreserved characters, and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
/// The same for a value in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a bucket's requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
    /// Path before the key: empty, or the endpoint's own path and the bucket.
    base: String,
    /// Region to sign for.
    pub region: String,
}

impl Target {
    /// The place that a URL without a key names.
    fn parse(url: &str, region: &str) -> Result<Self> {
        if HeaderValue::from_str(region).is_err() {
            return Err(Error::new(Kind::InvalidRegion, format!("no request can be signed for region {region:?}")));
        }
        let unusable = |text: String| Error::new(Kind::InvalidConfiguration, text);
        let parsed: Uri = url.parse().map_err(|error| unusable(format!("endpoint {url}: {error}")))?;
        let (Some(scheme), Some(authority)) = (parsed.scheme(), parsed.authority()) else {
            return Err(unusable(format!("endpoint {url} has no scheme or host")));
        };
        Ok(Self {
            scheme: scheme.clone(),
            authority: authority.clone(),
            base: parsed.path().trim_end_matches('/').to_owned(),
            region: region.to_owned(),
        })
    }

    /// Whether requests go over TLS.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Scheme and authority, for messages.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The URL without a key.
    pub fn base_url(&self) -> String {
        format!("{}{}", self.endpoint(), self.base)
    }

    /// The `Host` header: without the scheme's own port, as servers compare it.
    pub fn host(&self) -> &str {
        let default = if self.is_https() { 443 } else { 80 };
        let text = self.authority.as_str();
        match self.authority.port_u16() {
            Some(port) if port == default => text.rsplit_once(':').map_or(text, |(host, _)| host),
            _ => text,
        }
    }

    /// The URL of a key, percent-encoded and otherwise untouched: `//`, `.` and `..` are part of a key.
    pub fn url(&self, key: &str, query: &str) -> Result<Uri> {
        let mut path = String::with_capacity(self.base.len() + key.len() + query.len() + 16);
        path.push_str(&self.base);
        path.push('/');
        path.extend(utf8_percent_encode(key, PATH));
        if !query.is_empty() {
            path.push('?');
            path.push_str(query);
        }
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| Error::new(Kind::InvalidParameter, "the key makes no URL").caused_by(error))
    }
}

/// A value for a query.
pub fn encode_query(value: &str) -> String {
    utf8_percent_encode(value, QUERY).to_string()
}

/// Finds and remembers where buckets are.
#[derive(Debug)]
pub struct Endpoints {
    config: ClientConfig,
    resolver: DefaultResolver,
    targets: RwLock<HashMap<String, Arc<Target>>>,
    regions: RwLock<HashMap<String, String>>,
}

impl Endpoints {
    /// For clients of this configuration.
    pub fn new(config: ClientConfig) -> Self {
        Self { config, resolver: DefaultResolver::new(), targets: RwLock::default(), regions: RwLock::default() }
    }

    /// Where requests of a bucket go.
    pub async fn target(&self, bucket: &str) -> Result<Arc<Target>> {
        if let Some(known) = self.targets.read().unwrap_or_else(PoisonError::into_inner).get(bucket) {
            return Ok(known.clone());
        }
        loop {
            let region = self.region(bucket);
            let target = Arc::new(self.resolve(bucket, &region).await?);
            if self.remember(bucket, &region, &target) {
                return Ok(target);
            }
        }
    }

    /// Says where requests of a bucket go from now on, for an adopted client.
    pub fn place(&self, bucket: &str, url: &str, region: &str) -> Result<()> {
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        let known = targets.get(bucket);
        if !known.is_some_and(|known| known.region == region && known.base_url() == url) {
            targets.insert(bucket.to_owned(), Arc::new(Target::parse(url, region)?));
        }
        Ok(())
    }

    /// Remembers where requests of a bucket go, unless another region was learned while that was found out.
    fn remember(&self, bucket: &str, region: &str, target: &Arc<Target>) -> bool {
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        if self.region(bucket) != region {
            return false;
        }
        targets.insert(bucket.to_owned(), target.clone());
        true
    }

    /// Whether requests of a bucket go elsewhere by now than the one that went to `endpoint`.
    pub async fn moved_from(&self, bucket: &str, endpoint: &str) -> bool {
        self.target(bucket).await.is_ok_and(|target| target.endpoint() != endpoint)
    }

    /// The region that requests of a bucket are signed for, as far as known.
    pub fn region(&self, bucket: &str) -> String {
        let regions = self.regions.read().unwrap_or_else(PoisonError::into_inner);
        regions.get(bucket).unwrap_or(&self.config.region).clone()
    }

    /// Whether the caller has named the place itself: from there nobody is sent elsewhere, only signed for another region.
    pub fn is_fixed(&self) -> bool {
        self.config.endpoint_url.is_some()
    }

    /// Remembers where a bucket really is, once: two places that name each other must not send us to and fro. False when
    /// that can't help. What is known already helps too: another request has learned it since the one that failed was
    /// signed.
    pub fn learn_region(&self, bucket: &str, region: &str) -> bool {
        if self.config.adopted.is_some() || region.is_empty() {
            return false;
        }
        {
            let mut regions = self.regions.write().unwrap_or_else(PoisonError::into_inner);
            match regions.get(bucket) {
                Some(known) => return known == region,
                None if self.config.region == region => return true,
                None => regions.insert(bucket.to_owned(), region.to_owned()),
            };
        }
        self.targets.write().unwrap_or_else(PoisonError::into_inner).remove(bucket);
        true
    }

    async fn resolve(&self, bucket: &str, region: &str) -> Result<Target> {
        let unusable = |text: String| Error::new(Kind::InvalidConfiguration, text).of_object(bucket, "");
        if self.config.adopted.is_some() {
            return Err(Error::new(Kind::Internal, "nobody said where the bucket is").of_object(bucket, ""));
        }
        let params = Params::builder()
            .bucket(bucket)
            .region(region)
            .set_endpoint(self.config.endpoint())
            .force_path_style(self.config.force_path_style())
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let endpoint =
            self.resolver.resolve_endpoint(&params).await.map_err(|error| unusable(format!("no endpoint: {error}")))?;
        let mut target = Target::parse(endpoint.url(), region).map_err(|error| error.of_object(bucket, ""))?;
        if let Some(scheme) = endpoint.auth_schemes().first() {
            let signing = |name: &str| scheme.get(name).and_then(|value| value.as_string());
            if scheme.name() != "sigv4" || signing("signingName").is_some_and(|name| name != "s3") {
                let text = format!(
                    "bucket {bucket} needs {} signatures, which the native path does not make; use the boto3 client",
                    scheme.name()
                );
                return Err(Error::new(Kind::Unsupported, text));
            }
            if let Some(region) = signing("signingRegion") {
                region.clone_into(&mut target.region);
            }
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AddressingStyle, CredentialSource};

    fn endpoints(url: Option<&str>, region: &str, style: AddressingStyle) -> Endpoints {
        Endpoints::new(ClientConfig {
            endpoint_url: url.map(str::to_owned),
            region: region.into(),
            addressing_style: style,
            credentials: CredentialSource::DefaultChain { profile: None },
            ca_bundle: None,
            proxies: crate::config::Proxies::default(),
            adopted: None,
        })
    }

    #[tokio::test]
    async fn addressing_is_botocores() {
        use AddressingStyle::{Auto, Path, Virtual};
        for (url, style, bucket, expected) in [
            (Some("http://127.0.0.1:9"), Auto, "bucket", "http://127.0.0.1:9/bucket/k"),
            (Some("http://127.0.0.1:9/base"), Auto, "bucket", "http://127.0.0.1:9/base/bucket/k"),
            (Some("http://127.0.0.1:9/base/"), Auto, "bucket", "http://127.0.0.1:9/base/bucket/k"),
            (Some("http://s3.test:9/a/b"), Path, "bucket", "http://s3.test:9/a/b/bucket/k"),
            (Some("http://s3.test:9/a/b"), Virtual, "bucket", "http://bucket.s3.test:9/a/b/k"),
            (Some("http://127.0.0.1:9"), Virtual, "bucket", "http://127.0.0.1:9/bucket/k"),
            (Some("http://s3.test:9"), Virtual, "bucket", "http://bucket.s3.test:9/k"),
            (Some("http://s3.test"), Path, "bucket", "http://s3.test/bucket/k"),
            (None, Auto, "bucket", "https://bucket.s3.eu-west-1.amazonaws.com/k"),
            (None, Auto, "a.b", "https://s3.eu-west-1.amazonaws.com/a.b/k"),
            (None, Path, "bucket", "https://s3.eu-west-1.amazonaws.com/bucket/k"),
        ] {
            let target = endpoints(url, "eu-west-1", style).target(bucket).await.unwrap();
            assert_eq!(target.url("k", "").unwrap().to_string(), expected, "{url:?} {style:?} {bucket}");
            assert_eq!(target.region, "eu-west-1");
        }
    }

    #[tokio::test]
    async fn keys_are_encoded_and_never_normalised() {
        let target = endpoints(Some("http://h"), "r", AddressingStyle::Path).target("b").await.unwrap();
        for (key, path) in [
            ("a b+c", "/b/a%20b%2Bc"),
            ("a//b/./c/../d", "/b/a//b/./c/../d"),
            ("é#?&=~", "/b/%C3%A9%23%3F%26%3D~"),
            ("/x", "/b//x"),
            ("\u{1}\n", "/b/%01%0A"),
        ] {
            assert_eq!(target.url(key, "").unwrap().path(), path, "{key:?}");
        }
        let long = "é".repeat(512);
        assert_eq!(target.url(&long, "x=1").unwrap().path().len(), 3 + 512 * 6);
    }

    #[tokio::test]
    async fn the_host_header_has_no_default_port() {
        for (url, host) in [
            ("http://h:80", "h"),
            ("http://h:8080", "h:8080"),
            ("https://h:443", "h"),
            ("https://h:80", "h:80"),
            ("http://[::1]:80", "[::1]"),
            ("http://[::1]:9", "[::1]:9"),
        ] {
            let target = endpoints(Some(url), "r", AddressingStyle::Path).target("b").await.unwrap();
            assert_eq!(target.host(), host, "{url}");
        }
    }

    #[tokio::test]
    async fn a_region_is_learned_and_a_place_of_the_callers_own_stays() {
        let aws = endpoints(None, "us-east-1", AddressingStyle::Auto);
        assert!(aws.target("bucket").await.is_ok());
        assert!(aws.learn_region("bucket", "eu-west-1"));
        // Many requests may be told at once; each is worth sending again.
        assert!(aws.learn_region("bucket", "eu-west-1"));
        assert!(!aws.learn_region("bucket", ""));
        // Where it was sent back to, nobody is sent again.
        assert!(!aws.learn_region("bucket", "us-east-1"));
        let target = aws.target("bucket").await.unwrap();
        assert_eq!((target.region.as_str(), target.is_https()), ("eu-west-1", true));
        assert!(aws.moved_from("bucket", "https://bucket.s3.us-east-1.amazonaws.com").await);
        assert!(!aws.moved_from("bucket", "https://bucket.s3.eu-west-1.amazonaws.com").await);
        let own = endpoints(Some("http://h"), "us-east-1", AddressingStyle::Auto);
        assert!((own.is_fixed(), aws.is_fixed()) == (true, false) && own.learn_region("b", "eu-west-1"));
        let target = own.target("b").await.unwrap();
        assert_eq!((target.region.as_str(), target.endpoint().as_str()), ("eu-west-1", "http://h"));
    }

    #[tokio::test]
    async fn what_was_found_out_before_a_region_was_learned_is_not_remembered() {
        let aws = endpoints(None, "us-east-1", AddressingStyle::Auto);
        let stale = Arc::new(aws.resolve("bucket", "us-east-1").await.unwrap());
        assert!(aws.learn_region("bucket", "eu-west-1"));
        assert!(!aws.remember("bucket", "us-east-1", &stale));
        assert_eq!(aws.target("bucket").await.unwrap().region, "eu-west-1");
    }

    #[tokio::test]
    async fn an_adopted_clients_bucket_is_where_it_was_said_to_be_and_nowhere_else() {
        let adopted = crate::config::Adopted {
            verify: true,
            request_checksums: true,
            response_checksums: true,
            user_agent_extra: None,
        };
        let mut endpoints = endpoints(None, "us-east-1", AddressingStyle::Auto);
        endpoints.config.adopted = Some(adopted);
        assert_eq!(endpoints.target("b").await.unwrap_err().kind(), &Kind::Internal);
        for (url, region) in [("https://h:1/base/b", "eu-west-1"), ("https://b.h", "eu-west-1"), ("https://b.h", "x")] {
            endpoints.place("b", url, region).unwrap();
            let target = endpoints.target("b").await.unwrap();
            assert_eq!((target.base_url().as_str(), target.region.as_str()), (url, region));
        }
        assert!(!endpoints.learn_region("b", "eu-central-1"));
        assert!(endpoints.place("b", "no URL", "x").is_err());
        assert_eq!(endpoints.target("b").await.unwrap().base_url(), "https://b.h");
    }

    #[tokio::test]
    async fn what_needs_other_signatures_is_refused_clearly() {
        let express = endpoints(None, "us-east-1", AddressingStyle::Auto);
        let error = express.target("name--use1-az4--x-s3").await.unwrap_err();
        assert_eq!(error.kind(), &Kind::Unsupported, "{error}");
    }
}
