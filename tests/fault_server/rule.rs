//! A rule: an id, a matcher, an occurrence, faults.

use std::sync::Arc;

use super::fault::Fault;
use super::matcher::{Matcher, Occurrence};
use super::operation::Operation;

/// Rules are asked in order; the first one that takes a request ends the search, unless it is `shared`.
/// A rule counts only the requests that reach it, so two rules with `first(1)` act one after the other.
#[derive(Clone)]
pub struct Rule {
    pub(super) id: String,
    pub(super) matcher: Matcher,
    pub(super) occurrence: Occurrence,
    pub(super) faults: Vec<Fault>,
    pub(super) shared: bool,
}

impl Rule {
    pub fn new(id: &str) -> Rule {
        Rule {
            id: id.to_owned(),
            matcher: Matcher::default(),
            occurrence: Occurrence::Always,
            faults: Vec::new(),
            shared: false,
        }
    }

    /// May be called several times; any of the operations will do. Without it: every request.
    pub fn on(mut self, operation: Operation) -> Self {
        self.matcher.operations.push(operation);
        self
    }

    pub fn bucket(mut self, bucket: &str) -> Self {
        self.matcher.bucket = Some(bucket.to_owned());
        self
    }

    pub fn key(self, key: &str) -> Self {
        let wanted = key.to_owned();
        self.key_where(move |key| key == wanted)
    }

    pub fn key_where(mut self, predicate: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.matcher.key = Some(Arc::new(predicate));
        self
    }

    pub fn part_number(mut self, part_number: u32) -> Self {
        self.matcher.part_number = Some(part_number);
        self
    }

    pub fn range_start(mut self, start: u64) -> Self {
        self.matcher.range_start = Some(start);
        self
    }

    /// Only requests that carry this header.
    pub fn with_header(mut self, name: &str) -> Self {
        self.matcher.header = Some(name.to_owned());
        self
    }

    /// Only requests with this `Host`.
    pub fn host(mut self, host: &str) -> Self {
        self.matcher.host = Some(host.to_owned());
        self
    }

    /// Only requests on a connection that has served one before.
    pub fn reused_connection(mut self) -> Self {
        self.matcher.reused_connection = true;
        self
    }

    pub fn nth(self, number: usize) -> Self {
        self.occurrence(Occurrence::Nth(number))
    }

    pub fn first(self, count: usize) -> Self {
        self.occurrence(Occurrence::First(count))
    }

    pub fn from(self, number: usize) -> Self {
        self.occurrence(Occurrence::From(number))
    }

    pub fn every(self, step: usize) -> Self {
        self.occurrence(Occurrence::Every(step))
    }

    pub fn probability(self, share: f64, seed: u64) -> Self {
        self.occurrence(Occurrence::Probability { share, seed })
    }

    pub(super) fn occurrence(mut self, occurrence: Occurrence) -> Self {
        self.occurrence = occurrence;
        self
    }

    /// May be called several times; the faults act together.
    pub fn then(mut self, fault: impl Into<Fault>) -> Self {
        self.faults.push(fault.into());
        self
    }

    /// Lets rules after this one add their faults to the same request.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }
}
