//! What generated scripts of faults are made of: the fate of each request, or of each kind of them.
//!
//! `PROPTEST_CASES` says how many scripts are tried; `make test-all` tries many.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;
use s3bulk::config::TransferOptions;

use crate::fault_server::{Ending, Fault, Moment, Operation, Rule};
use crate::rig::options;

/// Scripts in `make test`: some seconds.
const CASES: u32 = 16;

/// What is to become of a file or an object.
#[derive(Clone, Debug)]
pub enum Fate {
    Untouched,
    /// So many requests go wrong, then none.
    Mended(Fault, usize),
    /// An answer that is odd and good.
    Odd(Fault),
    /// Every request goes wrong.
    Lost(Fault),
}

impl Fate {
    pub fn rule(&self, operation: Operation, key: &str) -> Option<Rule> {
        self.falls_on(Rule::new(key).on(operation).key(key))
    }

    /// The rule for the requests that `rule` takes.
    pub fn falls_on(&self, rule: Rule) -> Option<Rule> {
        match self {
            Fate::Untouched => None,
            Fate::Mended(fault, times) => Some(rule.first(*times).then(fault.clone())),
            Fate::Odd(fault) | Fate::Lost(fault) => Some(rule.then(fault.clone())),
        }
    }

    pub fn is_lost(&self) -> bool {
        matches!(self, Fate::Lost(_))
    }

    /// Of a file that is done or has failed by itself, whose fault the server has counted.
    pub fn assert_happened(&self, fired: usize) {
        match self {
            Fate::Untouched => assert_eq!(fired, 0),
            Fate::Mended(_, times) => assert_eq!(fired, *times, "{self:?}"),
            Fate::Odd(_) | Fate::Lost(_) => assert!(fired > 0, "{self:?} did not happen"),
        }
    }
}

pub fn pick(faults: Vec<Fault>) -> BoxedStrategy<Fault> {
    proptest::sample::select(faults).boxed()
}

/// Faults of any answer that are worth another request.
pub fn transient() -> Vec<Fault> {
    vec![
        Fault::status(500, "InternalError").into(),
        Fault::status(502, "x").html().into(),
        Fault::status(503, "SlowDown").into(),
        Fault::status(504, "x").empty().into(),
        Fault::status(429, "TooManyRequests").into(),
        Fault::status(400, "RequestTimeout").into(),
        Fault::CloseUnanswered { moment: Moment::BeforeBody, ending: Ending::Reset },
        Fault::CloseUnanswered { moment: Moment::AfterBody, ending: Ending::Fin },
        Fault::DropAnswer(Ending::Reset),
        Fault::CutHead { after: 30, ending: Ending::Reset },
        Fault::Garbage(b"\x00\x01\r\n\r\n".to_vec()),
        Fault::HangBeforeHead,
        Fault::HangInHead { after: 30 },
        Fault::ErrorInside200 { code: "InternalError".into() },
    ]
}

/// Silence takes its time: once is enough.
pub fn mended_after((fault, times): (Fault, usize)) -> Fate {
    let is_silence = matches!(fault, Fault::HangBeforeHead | Fault::HangInHead { .. } | Fault::HangInBody { .. });
    Fate::Mended(fault, if is_silence { 1 } else { times })
}

/// Answers to a GET that are odd and good.
pub fn odd_answers() -> Vec<Fault> {
    vec![
        Fault::RemoveHeader("etag".into()),
        Fault::RemoveHeader("x-amz-checksum-crc64nvme".into()),
        Fault::WeakEtag,
        Fault::Chunked,
        Fault::CloseDelimited,
        Fault::ManyHeaders(200),
        Fault::set_header("content-encoding", "gzip"),
        Fault::set_header("connection", "close"),
    ]
}

pub fn refused() -> Vec<Fault> {
    vec![
        Fault::status(403, "AccessDenied").into(),
        Fault::status(404, "NoSuchKey").into(),
        Fault::status(501, "NotImplemented").html().into(),
    ]
}

/// Long enough for a busy machine, short enough for the servers here that fall silent.
pub fn quiet_for_three_seconds() -> TransferOptions {
    TransferOptions { read_timeout: Duration::from_secs(3), ..options() }
}

pub fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    // Each case takes a second: what is wrong is shown as it is rather than made small for minutes.
    Config { cases, max_shrink_iters: 20, failure_persistence: None, ..Config::default() }
}

pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}
