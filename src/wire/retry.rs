//! Which failures are worth another request, after which pause, and how often.

use std::time::Duration;

use crate::config::TransferOptions;
use crate::error::{Error, Kind, ServiceError};

/// First pause of transient errors; doubled each time. AWS SDKs, `retry_mode = standard` of 2026 ("new retries").
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// First pause when S3 throttles: it asks for less, not for the same again. `THROTTLING_RETRY_DELAY_BASE` of the AWS SDK for
/// JavaScript.
const FIRST_THROTTLE_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause until a descriptor may have come back: those of small units do so within milliseconds.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause (AWS SDKs, standard mode).
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// Time that throttling may cost one request in pauses (DESIGN.md decision 2). What is sent in between takes its own time.
const THROTTLE_TIME: Duration = Duration::from_secs(120);
/// How often an object is fetched again whose checksum was wrong: after that it is the stored value that is wrong
/// (PITFALLS 2.14).
const CHECKSUM_REFETCHES: u32 = 2;
/// After so many cut writes in a row the answer is asked for before the body: one happens to every busy server, and to ask
/// costs a round trip (PITFALLS 1.1).
const CUT_WRITES: u32 = 2;

/// What a failure calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Again, after a pause.
    Transient,
    /// Again, after a longer pause and with fewer at a time.
    Throttle,
    /// Again, when others have given something back, and with fewer at a time: nothing was sent, because this process or
    /// machine ran out of descriptors, ports or memory.
    Exhausted,
    /// Again, once, with fresh credentials.
    ExpiredCredentials,
    /// Again, once, by the server's clock.
    ClockSkew,
    /// Again, once, where the bucket is.
    WrongRegion(String),
    /// Again, at most twice: bytes were damaged on the way.
    Damaged,
    /// Never again.
    Fatal,
}

/// Classifies a failure.
pub fn classify(error: &Error) -> Class {
    match error.kind() {
        Kind::Service(service) => classify_service(service),
        Kind::Connect | Kind::Io(..) if error.is_exhausted() => Class::Exhausted,
        Kind::Connect | Kind::ConnectTimeout | Kind::ReadTimeout | Kind::ConnectionClosed | Kind::BodyCut => {
            Class::Transient
        }
        Kind::BadResponse => Class::Transient,
        // As what lies below: not reached is worth another try, refused is not.
        Kind::Proxy => match std::error::Error::source(error).and_then(|below| below.downcast_ref::<Error>()) {
            Some(below) => classify(below),
            None => Class::Fatal,
        },
        Kind::ChecksumMismatch => Class::Damaged,
        _ => Class::Fatal,
    }
}

fn classify_service(service: &ServiceError) -> Class {
    if let Some(region) = elsewhere(service) {
        return Class::WrongRegion(region);
    }
    match service.code.as_str() {
        // The list of aws-runtime's retry classifiers; some come with status 400.
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "LimitExceededException"
        | "PriorRequestNotComplete"
        | "TransactionInProgressException"
        | "ProvisionedThroughputExceededException"
        | "EC2ThrottledException" => Class::Throttle,
        "RequestTimeout"
        | "RequestTimeoutException"
        | "InternalError"
        | "ConditionalRequestConflict"
        | "OperationAborted" => Class::Transient,
        "BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => Class::Damaged,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Class::ExpiredCredentials,
        "RequestTimeTooSkewed" | "RequestExpired" => Class::ClockSkew,
        _ => match service.status {
            // Without the right to know more, this header is all that tells (PITFALLS 2.9). Whether it helps shows where
            // the request went.
            403 => region_in(&service.headers, "x-amz-bucket-region").map_or(Class::Fatal, Class::WrongRegion),
            429 | 503 => Class::Throttle,
            408 | 500 | 502 | 504 => Class::Transient,
            // An error document in a good answer (Complete, Copy) is a failed operation.
            200..=299 => Class::Transient,
            _ => Class::Fatal,
        },
    }
}

/// The region where the bucket is, when the answer says that it is not here.
fn elsewhere(service: &ServiceError) -> Option<String> {
    let says_so = matches!(service.status, 301 | 307)
        || matches!(service.code.as_str(), "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed")
        || (service.status == 400 && service.code == "400");
    let region =
        region_in(&service.headers, "x-amz-bucket-region").or_else(|| region_in(&service.details, "Region"))?;
    says_so.then_some(region)
}

fn region_in(list: &[(String, String)], name: &str) -> Option<String> {
    list.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
}

/// The attempts of one operation.
#[derive(Debug)]
pub struct Retry {
    maximum: u32,
    sent: u32,
    transient: u32,
    throttled: u32,
    /// The pauses that throttling and the like have cost.
    throttle_pauses: Duration,
    damaged: u32,
    cut_writes: u32,
    refreshed: bool,
    clock_set: bool,
    moved: bool,
}

impl Retry {
    /// Begins an operation.
    pub fn new(options: &TransferOptions) -> Self {
        Self {
            maximum: options.max_attempts,
            sent: 0,
            transient: 0,
            throttled: 0,
            throttle_pauses: Duration::ZERO,
            damaged: 0,
            cut_writes: 0,
            refreshed: false,
            clock_set: false,
            moved: false,
        }
    }

    /// Counts a request that is about to be sent.
    pub fn begin(&mut self) {
        self.sent += 1;
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Whether the next request should ask before it sends its body: the answer was lost with the connection before.
    pub fn expect_continue(&self) -> bool {
        self.cut_writes >= CUT_WRITES
    }

    /// Bytes came: a body that is cut again and again but goes on does not use up its attempts.
    pub fn progressed(&mut self) {
        (self.transient, self.throttled, self.throttle_pauses) = (0, 0, Duration::ZERO);
    }

    /// The pause before the next request; `None` when there should be none. `chance` is between 0 and 1.
    pub fn decide(&mut self, error: &Error, chance: f64) -> Option<Duration> {
        let class = classify(error);
        // A request that could not be sent is no attempt.
        if self.maximum == 1 && class != Class::Exhausted {
            return None;
        }
        if error.message() == super::pool::CUT_WRITE {
            self.cut_writes += 1;
        } else {
            self.cut_writes = 0;
        }
        let once = |done: &mut bool| (!std::mem::replace(done, true)).then_some(Duration::ZERO);
        match class {
            Class::Fatal => None,
            Class::ExpiredCredentials => once(&mut self.refreshed),
            Class::ClockSkew => once(&mut self.clock_set),
            Class::WrongRegion(_) => once(&mut self.moved),
            Class::Damaged => {
                self.damaged += 1;
                (self.damaged <= CHECKSUM_REFETCHES).then_some(Duration::ZERO)
            }
            Class::Transient => {
                self.transient += 1;
                (self.transient < self.maximum).then(|| pause(FIRST_PAUSE, self.transient, chance).max(asked(error)))
            }
            Class::Throttle => {
                self.throttled += 1;
                let pause = pause(FIRST_THROTTLE_PAUSE, self.throttled, chance).max(asked(error));
                self.within_budget(pause)
            }
            Class::Exhausted => self.within_budget(pause(EXHAUSTED_PAUSE, 1, chance)),
        }
    }

    /// The pause, unless throttling and the like have cost their time.
    fn within_budget(&mut self, pause: Duration) -> Option<Duration> {
        self.throttle_pauses += pause;
        (self.throttle_pauses <= THROTTLE_TIME).then_some(pause)
    }
}

/// Exponential back-off with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter").
fn pause(first: Duration, failures: u32, chance: f64) -> Duration {
    let whole = first.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_PAUSE);
    whole.mul_f64(chance.clamp(0.0, 1.0))
}

/// What the server asks for: `Retry-After` in seconds, `x-amz-retry-after` in milliseconds; never more than the longest
/// pause, since a wrong header must not stop a transfer.
fn asked(error: &Error) -> Duration {
    let Some(service) = error.as_service() else { return Duration::ZERO };
    let number = |name: &str| {
        service.headers.iter().find(|(found, _)| found == name).and_then(|(_, value)| value.trim().parse::<u64>().ok())
    };
    let seconds = number("retry-after").map(Duration::from_secs);
    let milliseconds = number("x-amz-retry-after").map(Duration::from_millis);
    milliseconds.or(seconds).unwrap_or_default().min(LONGEST_PAUSE)
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
