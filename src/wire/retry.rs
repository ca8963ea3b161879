//! Which failures are worth another request, after which pause, and how often.

use std::time::{Duration, Instant};

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
/// Time that throttling may cost one request (DESIGN.md decision 2).
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
    throttled_since: Option<Instant>,
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
            throttled_since: None,
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
        self.transient = 0;
    }

    /// The pause before the next request; `None` when there should be none. `chance` is between 0 and 1.
    pub fn decide(&mut self, error: &Error, now: Instant, chance: f64) -> Option<Duration> {
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
                self.within_budget(pause, now)
            }
            Class::Exhausted => self.within_budget(pause(EXHAUSTED_PAUSE, 1, chance), now),
        }
    }

    /// The pause, unless throttling and the like have cost their time.
    fn within_budget(&mut self, pause: Duration, now: Instant) -> Option<Duration> {
        let since = *self.throttled_since.get_or_insert(now);
        (now + pause - since <= THROTTLE_TIME).then_some(pause)
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
mod tests {
    use super::*;

    fn answered(status: u16, code: &str) -> Error {
        Error::service(ServiceError { status, code: code.into(), ..ServiceError::default() })
    }

    fn answered_with(status: u16, code: &str, header: (&str, &str)) -> Error {
        Error::service(ServiceError {
            status,
            code: code.into(),
            headers: vec![(header.0.into(), header.1.into())],
            ..ServiceError::default()
        })
    }

    #[test]
    fn failures_are_classified() {
        use Class::{ClockSkew, Damaged, ExpiredCredentials, Fatal, Throttle, Transient};
        for (status, code, class) in [
            (503, "SlowDown", Throttle),
            (503, "503", Throttle),
            (429, "429", Throttle),
            (400, "ThrottlingException", Throttle),
            (500, "InternalError", Transient),
            (500, "500", Transient),
            (502, "502", Transient),
            (504, "504", Transient),
            (408, "408", Transient),
            (400, "RequestTimeout", Transient),
            (200, "InternalError", Transient),
            (409, "ConditionalRequestConflict", Transient),
            (501, "NotImplemented", Fatal),
            (400, "BadDigest", Damaged),
            (400, "ExpiredToken", ExpiredCredentials),
            (403, "RequestTimeTooSkewed", ClockSkew),
            (403, "AccessDenied", Fatal),
            (403, "SignatureDoesNotMatch", Fatal),
            (404, "NoSuchKey", Fatal),
            (412, "PreconditionFailed", Fatal),
            (416, "InvalidRange", Fatal),
        ] {
            assert_eq!(classify(&answered(status, code)), class, "{status} {code}");
        }
        for (kind, class) in [
            (Kind::Connect, Transient),
            (Kind::ReadTimeout, Transient),
            (Kind::BodyCut, Transient),
            (Kind::Tls, Fatal),
            (Kind::ChecksumMismatch, Damaged),
            (Kind::SourceChanged, Fatal),
            (Kind::NoCredentials, Fatal),
        ] {
            assert_eq!(classify(&Error::new(kind.clone(), "")), class, "{kind:?}");
        }
    }

    #[test]
    fn a_wrong_region_is_found_in_header_or_document() {
        let region = ("x-amz-bucket-region", "eu-west-1");
        for (status, code) in [
            (301, "PermanentRedirect"),
            (307, "TemporaryRedirect"),
            (301, "301"),
            (400, "400"),
            (400, "AuthorizationHeaderMalformed"),
            (403, "AccessDenied"),
            (403, "403"),
        ] {
            let class = classify(&answered_with(status, code, region));
            assert_eq!(class, Class::WrongRegion("eu-west-1".into()), "{status} {code}");
        }
        assert_eq!(classify(&answered_with(404, "NoSuchKey", region)), Class::Fatal);
        assert_eq!(classify(&answered_with(403, "RequestTimeTooSkewed", region)), Class::ClockSkew);
    }

    #[test]
    fn transient_failures_are_bounded_and_pauses_grow() {
        let mut retry = Retry::new(&TransferOptions::default());
        let error = Error::new(Kind::Connect, "");
        let pauses: Vec<_> = (0..6).map(|_| retry.decide(&error, Instant::now(), 1.0)).collect();
        let milliseconds = [Some(50), Some(100), Some(200), Some(400), None, None];
        assert_eq!(pauses, milliseconds.map(|pause| pause.map(Duration::from_millis)));
    }

    #[test]
    fn throttling_has_a_budget_of_time() {
        let mut retry = Retry::new(&TransferOptions::default());
        let (began, mut now, mut times) = (Instant::now(), Instant::now(), 0);
        while let Some(pause) = retry.decide(&answered(503, "SlowDown"), now, 1.0) {
            assert!(pause <= LONGEST_PAUSE);
            now += pause;
            times += 1;
        }
        assert!(now - began <= THROTTLE_TIME && times > 5, "{times}");
    }

    #[test]
    fn running_out_of_descriptors_is_waited_for_even_by_one_attempt() {
        let exhausted = |kind: Kind| {
            let number = rustix::io::Errno::MFILE.raw_os_error();
            Error::new(kind, "").caused_by(std::io::Error::from_raw_os_error(number))
        };
        let mut retry = Retry::new(&TransferOptions { max_attempts: 1, ..TransferOptions::default() });
        for error in [exhausted(Kind::Connect), exhausted(Kind::Io(std::io::ErrorKind::Other, None))] {
            assert_eq!(classify(&error), Class::Exhausted);
            assert!(retry.decide(&error, Instant::now(), 0.5).is_some());
        }
        let full = Error::new(Kind::Io(std::io::ErrorKind::StorageFull, None), "");
        assert_eq!(classify(&full), Class::Fatal);
    }

    proptest::proptest! {
        #[test]
        fn whatever_goes_wrong_attempts_and_time_have_a_bound(
            failures in proptest::collection::vec((0_usize..10, 0.0_f64..1.0), 400),
            maximum in 1_u32..12,
        ) {
            let mut retry = Retry::new(&TransferOptions { max_attempts: maximum, ..TransferOptions::default() });
            let began = Instant::now();
            let (mut now, mut quick) = (began, 0);
            for (which, chance) in failures {
                let error = match which {
                    0 => answered(503, "SlowDown"),
                    1 => answered_with(503, "SlowDown", ("retry-after", "9999")),
                    2 => answered(500, "InternalError"),
                    3 => answered(400, "ExpiredToken"),
                    4 => answered(403, "RequestTimeTooSkewed"),
                    5 => answered(400, "BadDigest"),
                    6 => answered_with(301, "PermanentRedirect", ("x-amz-bucket-region", "r")),
                    7 => Error::new(Kind::ReadTimeout, ""),
                    8 => Error::new(Kind::ConnectionClosed, super::super::pool::CUT_WRITE),
                    _ => Error::new(Kind::BodyCut, ""),
                };
                retry.begin();
                let Some(pause) = retry.decide(&error, now, chance) else { break };
                now += pause;
                quick += u32::from(which != 0 && which != 1);
            }
            // Three kinds are mended once, damage is fetched twice.
            proptest::prop_assert!(quick <= maximum + 3 + CHECKSUM_REFETCHES, "{quick}");
            proptest::prop_assert!(now - began <= THROTTLE_TIME + maximum * LONGEST_PAUSE, "{:?}", now - began);
        }
    }

    #[test]
    fn one_attempt_is_one_attempt() {
        let mut retry = Retry::new(&TransferOptions { max_attempts: 1, ..TransferOptions::default() });
        assert_eq!(retry.decide(&answered(503, "SlowDown"), Instant::now(), 0.5), None);
        assert_eq!(retry.decide(&Error::new(Kind::Connect, ""), Instant::now(), 0.5), None);
    }

    #[test]
    fn what_is_mended_once_is_tried_once() {
        let mut retry = Retry::new(&TransferOptions::default());
        for error in [answered(400, "ExpiredToken"), answered(403, "RequestTimeTooSkewed")] {
            assert_eq!(retry.decide(&error, Instant::now(), 0.5), Some(Duration::ZERO));
            assert_eq!(retry.decide(&error, Instant::now(), 0.5), None);
        }
    }

    #[test]
    fn the_server_may_ask_for_a_longer_pause_but_not_for_ever() {
        for (header, expected) in
            [(("retry-after", "3"), 3_000), (("x-amz-retry-after", "1500"), 1_500), (("retry-after", "9999"), 20_000)]
        {
            let mut retry = Retry::new(&TransferOptions::default());
            let pause = retry.decide(&answered_with(503, "SlowDown", header), Instant::now(), 0.0);
            assert_eq!(pause, Some(Duration::from_millis(expected)), "{header:?}");
        }
    }

    #[test]
    fn after_two_cut_writes_the_answer_is_asked_for_first() {
        let mut retry = Retry::new(&TransferOptions::default());
        let cut = Error::new(Kind::ConnectionClosed, super::super::pool::CUT_WRITE);
        retry.decide(&cut, Instant::now(), 0.5);
        assert!(!retry.expect_continue());
        retry.decide(&cut, Instant::now(), 0.5);
        assert!(retry.expect_continue());
    }
}
