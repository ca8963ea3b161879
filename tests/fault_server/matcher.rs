//! Which requests a rule is about, and which of those it takes.

use std::sync::Arc;

use super::operation::Operation;
use super::request::Request;

type Predicate = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Everything that is set must hold.
#[derive(Clone, Default)]
pub struct Matcher {
    pub operations: Vec<Operation>,
    pub bucket: Option<String>,
    pub key: Option<Predicate>,
    pub part_number: Option<u32>,
    pub range_start: Option<u64>,
    pub header: Option<String>,
    pub host: Option<String>,
    pub reused_connection: bool,
}

/// What a matcher looks at. `request` is `None` for an accepted connection.
pub struct Event<'a> {
    pub operation: Operation,
    pub request: Option<&'a Request>,
    /// Requests that this connection has carried before.
    pub served_before: usize,
}

impl Matcher {
    pub fn matches(&self, event: &Event<'_>) -> bool {
        // A rule without operations is about every request, but not about connections.
        let operation = if self.operations.is_empty() {
            event.operation != Operation::Connect
        } else {
            self.operations.contains(&event.operation)
        };
        let bucket = event.request.and_then(|request| request.bucket.as_deref());
        let key = event.request.and_then(|request| request.key.as_deref());
        operation
            && self.bucket.as_deref().is_none_or(|wanted| bucket == Some(wanted))
            && self.key.as_ref().is_none_or(|wanted| key.is_some_and(|key| wanted(key)))
            && self.part_number.is_none_or(|wanted| event.request.and_then(Request::part_number) == Some(wanted))
            && self.range_start.is_none_or(|wanted| event.request.and_then(Request::range_start) == Some(wanted))
            && self.header.as_deref().is_none_or(|name| event.request.is_some_and(|it| it.header(name).is_some()))
            && self.host.as_deref().is_none_or(|wanted| event.request.and_then(|it| it.header("host")) == Some(wanted))
            && (!self.reused_connection || event.served_before > 0)
    }
}

/// Which of the matching requests are taken. Numbers begin at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Occurrence {
    #[default]
    Always,
    Nth(usize),
    First(usize),
    From(usize),
    Every(usize),
    /// The same seed always takes the same requests.
    Probability {
        share: f64,
        seed: u64,
    },
}

impl Occurrence {
    pub fn takes(self, number: usize) -> bool {
        match self {
            Occurrence::Always => true,
            Occurrence::Nth(wanted) => number == wanted,
            Occurrence::First(count) => number <= count,
            Occurrence::From(first) => number >= first,
            Occurrence::Every(step) => step > 0 && number.is_multiple_of(step),
            Occurrence::Probability { share, seed } => {
                fastrand::Rng::with_seed(seed.wrapping_add((number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))).f64()
                    < share
            }
        }
    }
}
