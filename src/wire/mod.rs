//! The data plane: one connection pool, signed requests, answers that are read to their end. Nothing here knows files,
//! folders or prefixes.

pub mod body;
pub mod checksum;
mod connector;
pub mod endpoint;
mod error_document;
mod failure;
pub mod object;
pub mod pool;
mod resolve;
pub mod response;
pub mod retry;
pub mod sign;
pub mod socket;
pub mod tls;
mod traffic;

use std::sync::Arc;
use std::time::Instant;

use aws_smithy_runtime_api::client::identity::Identity;

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
    /// S3 said that the known one has expired.
    fn forget(&self);
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
}

impl Wire {
    /// Called after a failed request: mends what can be mended, waits, and returns when the request is worth sending
    /// again; otherwise returns the error, with everything known about it.
    pub async fn pause(&self, retry: &mut Retry, error: Error, bucket: &str, window: Option<&Window>) -> Result<()> {
        let class = classify(&error);
        let Some(pause) = retry.decide(&error, Instant::now(), fastrand::f64()) else {
            let error = error.after_attempts(retry.sent());
            return Err(match class {
                Class::WrongRegion(region) => error.with_note(&format!("the bucket is in region {region}")),
                _ => error,
            });
        };
        match class {
            Class::ExpiredCredentials => self.identities.forget(),
            Class::ClockSkew => {
                let date = error.as_service().and_then(|service| {
                    service.headers.iter().find(|(name, _)| name == "date").map(|(_, value)| value.as_str())
                });
                if !date.is_some_and(|date| self.clock.set_by(date)) {
                    return Err(error.after_attempts(retry.sent()));
                }
            }
            Class::WrongRegion(region) => {
                if !self.endpoints.learn_region(bucket, &region) {
                    let note = format!("the bucket is in region {region}");
                    return Err(error.after_attempts(retry.sent()).with_note(&note));
                }
            }
            Class::Throttle | Class::Exhausted => {
                if let Some(window) = window {
                    window.throttled();
                }
            }
            Class::Transient | Class::Damaged | Class::Fatal => {}
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}
