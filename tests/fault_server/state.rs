//! What all connections of one server share.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::fault::Fault;
use super::leaky_bucket::LeakyBucket;
use super::matcher::Event;
use super::operation::Operation;
use super::request_log::RequestRecord;
use super::rule::Rule;
use super::script::Script;
use super::stats::Stats;
use super::store::Store;

pub struct State {
    pub script: Script,
    pub stats: watch::Sender<Stats>,
    pub accepting: watch::Sender<bool>,
    clock_shift: AtomicI64,
    /// With the number of requests that each has seen.
    rules: Mutex<Vec<(Rule, usize)>>,
    buckets: Mutex<Vec<LeakyBucket>>,
    store: Mutex<Store>,
    log: Mutex<Vec<RequestRecord>>,
}

impl State {
    pub fn new(script: Script) -> State {
        State {
            stats: watch::Sender::default(),
            accepting: watch::Sender::new(true),
            clock_shift: AtomicI64::new(script.clock_shift),
            rules: Mutex::new(script.rules.iter().map(|rule| (rule.clone(), 0)).collect()),
            buckets: Mutex::new(script.limits.iter().cloned().map(LeakyBucket::new).collect()),
            store: Mutex::default(),
            log: Mutex::default(),
            script,
        }
    }

    /// Ids and faults of the rules that take this event; they count as fired from here on.
    pub fn choose(&self, event: &Event<'_>) -> (Vec<String>, Vec<Fault>) {
        let (mut ids, mut faults) = (Vec::new(), Vec::new());
        for (rule, seen) in lock(&self.rules).iter_mut() {
            if !rule.matcher.matches(event) {
                continue;
            }
            *seen += 1;
            if rule.occurrence.takes(*seen) {
                ids.push(rule.id.clone());
                faults.extend(rule.faults.iter().cloned());
                if !rule.shared {
                    break;
                }
            }
        }
        if let Some(key) = event.request.and_then(|request| request.key.as_deref()) {
            for bucket in lock(&self.buckets).iter_mut().filter(|bucket| bucket.is_for(key)) {
                if bucket.overflows(Instant::now()) {
                    ids.push(bucket.id().to_owned());
                    faults.push(Fault::status(503, "SlowDown").into());
                }
            }
        }
        if !ids.is_empty() {
            self.stats.send_modify(|stats| {
                for id in &ids {
                    *stats.fired.entry(id.clone()).or_default() += 1;
                }
            });
        }
        (ids, faults)
    }

    pub fn add_rule(&self, rule: Rule) {
        lock(&self.rules).push((rule, 0));
    }

    pub fn clear_rules(&self) {
        lock(&self.rules).clear();
    }

    /// Runs `change` on the store and brings the count of open uploads up to date.
    pub fn with_store<Outcome>(&self, change: impl FnOnce(&mut Store) -> Outcome) -> Outcome {
        let mut store = lock(&self.store);
        let outcome = change(&mut store);
        let uploads_open = store.uploads.len();
        self.stats.send_if_modified(|stats| std::mem::replace(&mut stats.uploads_open, uploads_open) != uploads_open);
        outcome
    }

    pub fn clock_shift(&self) -> i64 {
        self.clock_shift.load(Ordering::Relaxed)
    }

    pub fn set_clock_shift(&self, seconds: i64) {
        self.clock_shift.store(seconds, Ordering::Relaxed);
    }

    /// Takes a request into the log and returns its place there.
    pub fn record(&self, record: RequestRecord) -> usize {
        let mut log = lock(&self.log);
        log.push(record);
        log.len() - 1
    }

    pub fn amend_record(&self, place: usize, change: impl FnOnce(&mut RequestRecord)) {
        if let Some(record) = lock(&self.log).get_mut(place) {
            change(record);
        }
    }

    pub fn requests(&self) -> Vec<RequestRecord> {
        lock(&self.log).clone()
    }

    pub fn count_in(&self, bytes: usize) {
        self.stats.send_modify(|stats| stats.bytes_in += bytes as u64);
    }

    pub fn count_out(&self, bytes: usize) {
        self.stats.send_modify(|stats| stats.bytes_out += bytes as u64);
    }

    pub fn connection_opened(&self) -> Counted<'_> {
        self.stats.send_modify(|stats| {
            stats.connections_accepted += 1;
            stats.connections_open += 1;
            stats.connections_peak = stats.connections_peak.max(stats.connections_open);
        });
        Counted { state: self, release: |stats| stats.connections_open -= 1 }
    }

    pub fn request_begun(&self, operation: Operation) -> Counted<'_> {
        self.stats.send_modify(|stats| {
            *stats.operations.entry(operation).or_default() += 1;
            stats.requests_in_flight += 1;
            stats.requests_peak = stats.requests_peak.max(stats.requests_in_flight);
        });
        Counted { state: self, release: |stats| stats.requests_in_flight -= 1 }
    }

    pub fn hold_begun(&self) -> Counted<'_> {
        self.stats.send_modify(|stats| stats.held += 1);
        Counted {
            state: self,
            release: |stats| {
                stats.held -= 1;
                stats.held_until_peer_closed += 1;
            },
        }
    }
}

/// Takes its part back out of the counters when dropped, however the task ends.
pub struct Counted<'a> {
    state: &'a State,
    release: fn(&mut Stats),
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.state.stats.send_modify(self.release);
    }
}

/// A panic of one test's closure must not turn every later look into a panic of its own.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
