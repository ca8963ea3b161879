//! The data plane: one connection pool, signed requests, answers that are read to their end. Nothing here knows files,
//! folders or prefixes.

pub mod body;
pub mod checksum;
pub mod combine;
mod connector;
pub mod endpoint;
mod error_document;
mod failure;
pub mod object;
pub mod pieces;
pub mod pool;
pub mod proxy;
pub mod resolve;
pub mod response;
pub mod retry;
pub mod sign;
pub mod socket;
pub mod tls;
mod traffic;
mod tunnel;

use std::sync::Arc;

use aws_smithy_runtime_api::client::identity::Identity;
use http::HeaderValue;

use self::body::BoxFuture;
use self::checksum::Accepted;
use self::endpoint::Endpoints;
use self::pool::Pool;
use self::retry::{Class, Retry, classify};
use self::sign::Clock;
use crate::error::{Error, Result};
use crate::flow::Window;

pub use error_document::parse_error;

/// Where identities for signing come from.
pub trait Identities: Send + Sync + 'static {
    /// The identity to sign with now; refreshed when it is about to expire.
    fn identity(&self) -> BoxFuture<Result<Identity>>;
    /// One that is known and fresh enough, without waiting.
    fn known(&self) -> Option<Identity>;
    /// S3 said that this one has expired. Another one that is known by now stays.
    fn forget(&self, used: &Identity);
}

/// What all requests of a client share.
pub struct Wire {
    /// The connections.
    pub pool: Pool,
    /// Where buckets are.
    pub endpoints: Endpoints,
    /// Which checksum header the endpoint takes.
    pub accepted: Accepted,
    /// The server's time.
    pub clock: Clock,
    /// Where identities come from.
    pub identities: Arc<dyn Identities>,
    /// Whether checksums are asked for in downloads.
    pub validates: bool,
    /// `User-Agent`.
    pub user_agent: HeaderValue,
}

/// The text of `User-Agent`, with what the application adds to it.
pub fn user_agent(extra: Option<&str>) -> Result<HeaderValue> {
    const OWN: &str = concat!("s3bulk/", env!("CARGO_PKG_VERSION"));
    match extra {
        Some(extra) => sign::header_value(&format!("{OWN} {extra}")),
        None => Ok(HeaderValue::from_static(OWN)),
    }
}

impl Wire {
    /// The identity to sign with now.
    pub async fn identity(&self) -> Result<Identity> {
        match self.identities.known() {
            Some(identity) => Ok(identity),
            None => self.identities.identity().await,
        }
    }

    /// Called after a failed request with the identity that signed it: one that has expired is not used again.
    pub fn look_at_expiry(&self, error: &Error, used: &Identity) {
        if classify(error) == Class::ExpiredCredentials {
            self.identities.forget(used);
        }
    }

    /// Called after a failed request: mends what can be mended, waits, and returns when the request is worth sending
    /// again; otherwise returns the error, with everything known about it.
    pub async fn pause(&self, retry: &mut Retry, error: Error, bucket: &str, window: Option<&Window>) -> Result<()> {
        let class = classify(&error);
        // A refusal names the region in any case, also where that is not the reason.
        let noted = |error: Error, region: &str| match error.status() {
            Some(403) => error,
            _ => error.with_note(&format!("the bucket is in region {region}")),
        };
        let Some(pause) = retry.decide(&error, fastrand::f64()) else {
            let error = error.after_attempts(retry.sent());
            return Err(match class {
                Class::WrongRegion(region) => noted(error, &region),
                Class::Transient | Class::Throttle => error.with_attempts_used_up(),
                _ => error,
            });
        };
        match class {
            Class::ClockSkew => {
                let date = error.as_service().and_then(|service| {
                    service.headers.iter().find(|(name, _)| name == "date").map(|(_, value)| value.as_str())
                });
                if !date.is_some_and(|date| self.clock.set_by(date)) {
                    return Err(error.after_attempts(retry.sent()));
                }
            }
            Class::WrongRegion(region) => {
                let is_fixed = self.endpoints.is_fixed();
                let helps = (!is_fixed || error.status() == Some(400))
                    && self.endpoints.learn_region(bucket, &region)
                    && match &error.context().endpoint {
                        // The same place with another signature, as in boto3.
                        Some(_) if is_fixed => true,
                        Some(asked) => self.endpoints.moved_from(bucket, asked).await,
                        None => error.status() != Some(403),
                    };
                if !helps {
                    return Err(noted(error.after_attempts(retry.sent()), &region));
                }
            }
            Class::Throttle | Class::Exhausted => {
                if let Some(window) = window {
                    window.throttled();
                }
            }
            Class::ExpiredCredentials | Class::Transient | Class::Damaged | Class::Fatal => {}
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{AddressingStyle, ClientConfig, CredentialSource, TransferOptions};
    use crate::error::{Kind, ServiceError};

    struct Nobody;

    impl Identities for Nobody {
        fn identity(&self) -> BoxFuture<Result<Identity>> {
            Box::pin(async { Err(Error::new(Kind::NoCredentials, "none")) })
        }

        fn known(&self) -> Option<Identity> {
            None
        }

        fn forget(&self, _: &Identity) {}
    }

    fn wire(endpoint_url: Option<&str>) -> Wire {
        let config = ClientConfig {
            endpoint_url: endpoint_url.map(str::to_owned),
            region: "us-east-1".into(),
            addressing_style: AddressingStyle::Auto,
            credentials: CredentialSource::DefaultChain { profile: None },
            ca_bundle: None,
            proxies: crate::config::Proxies::default(),
            adopted: None,
        };
        Wire {
            pool: Pool::new(
                tls::Tls::new(None).unwrap(),
                proxy::Routes::default(),
                resolve::system_look_up(),
                Duration::from_secs(1),
            ),
            endpoints: Endpoints::new(config),
            accepted: Accepted::default(),
            clock: Clock::default(),
            identities: Arc::new(Nobody),
            validates: true,
            user_agent: user_agent(None).unwrap(),
        }
    }

    const HERE: &str = "https://bucket.s3.us-east-1.amazonaws.com";

    fn answered(status: u16, region: &str, endpoint: &str) -> Error {
        let headers = vec![("x-amz-bucket-region".to_owned(), region.to_owned())];
        let code = status.to_string();
        Error::service(ServiceError { status, code, headers, ..ServiceError::default() }).at_endpoint(endpoint)
    }

    #[tokio::test]
    async fn a_refusal_is_followed_to_the_buckets_region_once_and_only_there() {
        let options = TransferOptions::default();
        for status in [301, 403] {
            let wire = wire(None);
            // Two requests were on their way when the first one was answered.
            for _ in 0..2 {
                let mut retry = Retry::new(&options);
                assert!(wire.pause(&mut retry, answered(status, "eu-west-1", HERE), "bucket", None).await.is_ok());
                assert_eq!(wire.endpoints.target("bucket").await.unwrap().region, "eu-west-1");
                let there = wire.endpoints.target("bucket").await.unwrap().endpoint();
                // Refused there too, that is the answer.
                assert!(wire.pause(&mut retry, answered(status, "eu-west-1", &there), "bucket", None).await.is_err());
            }
            let mut retry = Retry::new(&options);
            let there = wire.endpoints.target("bucket").await.unwrap().endpoint();
            assert!(wire.pause(&mut retry, answered(status, "us-east-1", &there), "bucket", None).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_refusal_in_the_right_region_is_a_refusal() {
        let options = TransferOptions::default();
        for (wire, region, endpoint) in
            [(wire(None), "us-east-1", HERE), (wire(Some("http://h:1")), "eu-west-1", "http://h:1")]
        {
            let refused = answered(403, region, endpoint);
            let error = wire.pause(&mut Retry::new(&options), refused.clone(), "bucket", None).await.unwrap_err();
            assert_eq!(error.message(), refused.message());
            assert_eq!(wire.endpoints.region("bucket"), "us-east-1");
        }
    }
}
