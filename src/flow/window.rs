//! The concurrency window: how many units (small objects, parts) are in flight. It opens while that pays, holds when it
//! doesn't, and shrinks when S3 throttles.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::lanes::Lanes;

/// Lanes at the start: near a server a few keep everything busy, and each one more is a socket, buffers, and a thread of
/// the server's to be woken (docs/decisions/0005: with 8 lanes on loopback 10,000 x 4 KiB cost the server half the time
/// that they cost with the 64 lanes and more that the window opened to).
const START: usize = 8;
/// The least to a service far away, from the first decision on: at 20 ms 64 lanes carry 3,200 requests a second.
const START_FAR: usize = 64;
/// Never fewer: with less a single lost connection would halve the rate.
const FLOOR: usize = 4;
/// What a request costs beyond its bytes, in bytes: makes requests per second and bytes per second one figure.
const UNIT_COST: u64 = 32 << 10;
/// Requests of which even the quickest answer takes so many times as long as the quickest before are waiting for each
/// other, be it in the server, in the network or in this process: then the window shrinks to what is in flight without a
/// queue (TCP Vegas decides likewise). An average would not tell that from a service that takes now 10 ms and now 100 ms.
const QUEUED: f64 = 2.5;
/// Below this nothing waits at all, and with such round trips the window takes two steps at once: between 64 and 512 lanes
/// lie otherwise nine round trips.
const UNQUEUED: f64 = 1.5;
const FAR: Duration = Duration::from_millis(5);
/// Growth that counts as growth: less is within the noise of an interval.
const PAYS: f64 = 1.15;
/// Shortest interval between two decisions; longer where round trips are.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);
/// Near by, where goodput alone decides: in 20 ms some 200 small objects end, or 100, and a step would pay by chance.
const SHORTEST_INTERVAL_NEAR: Duration = Duration::from_millis(100);
/// Longest one, for a server that takes seconds for an answer.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);
/// How fast the quickest answer is forgotten when none is as quick any more: the way to the service has become longer, or
/// requests go to another bucket (BBR asks again after 10 s).
const MEMORY: Duration = Duration::from_secs(30);
/// Round trips per interval: one to fill the wider window, two to see what it brings.
const ROUND_TRIPS: u32 = 3;
/// What is left of the window when S3 throttles: against a limit on requests three quarters keep 89 % of it busy and more,
/// a half as little as 61 % (docs/decisions/0004).
const KEPT: (usize, usize) = (3, 4);
/// Intervals without growth after which a wider window is tried again, since networks change.
const PATIENCE: u32 = 200;

/// What was seen in one interval.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Cost moved per second.
    goodput: f64,
    /// Whether S3 throttled.
    throttled: bool,
    /// Whether all lanes were in use at some time.
    saturated: bool,
    /// How much longer the quickest answer took than the quickest so far, where that tells something: 1 is no longer.
    stretch: Option<f64>,
    /// The time of the quickest so far.
    round_trip: Duration,
}

/// How much longer answers take than they have to, by the quickest one ever and lately, in microseconds. Near by that tells
/// nothing: some request slips through any queue, and a disk takes now one and now ten milliseconds. There goodput decides.
fn stretch(ever: u64, lately: u64) -> Option<f64> {
    (lately != u64::MAX && !is_near(ever)).then(|| lately as f64 / ever as f64)
}

/// The quickest answer as it is remembered after so much time in which the quickest was `lately`.
fn remembered(ever: u64, lately: u64, elapsed: Duration) -> u64 {
    if lately == u64::MAX || lately <= ever {
        return ever;
    }
    let forgotten = (elapsed.as_secs_f64() / MEMORY.as_secs_f64()).min(1.0);
    ever + ((lately - ever) as f64 * forgotten) as u64
}

fn is_near(ever: u64) -> bool {
    Duration::from_micros(ever) < FAR
}

fn shortest_interval(ever: u64) -> Duration {
    if is_near(ever) { SHORTEST_INTERVAL_NEAR } else { SHORTEST_INTERVAL }
}

/// The decision, apart from clocks and counters.
#[derive(Debug, Clone)]
struct Controller {
    limit: usize,
    ceiling: usize,
    /// Goodput before the last step, and the limit it was reached with.
    before: Option<(f64, usize)>,
    /// Goodput and limit before the window shrank because of a queue, until it shows whether there was one.
    shrunk_from: Option<(f64, usize)>,
    /// After throttling the window grows by eighths, not by doubling.
    cautious: bool,
    /// The limit at which S3 began to throttle the last time.
    throttled_at: usize,
    /// Whether that has not ended yet.
    is_throttled: bool,
    quiet: u32,
}

impl Controller {
    fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        Self {
            limit: START.min(ceiling),
            ceiling,
            before: None,
            shrunk_from: None,
            cautious: false,
            throttled_at: 0,
            is_throttled: false,
            quiet: 0,
        }
    }

    /// The next limit.
    fn decide(&mut self, sample: Sample) -> usize {
        if sample.throttled {
            if !std::mem::replace(&mut self.is_throttled, true) {
                self.throttled_at = self.limit;
            }
            self.limit = (self.limit * KEPT.0 / KEPT.1).max(FLOOR.min(self.ceiling));
            (self.cautious, self.before, self.shrunk_from, self.quiet) = (true, None, None, 0);
            return self.limit;
        }
        if !sample.saturated {
            return self.limit;
        }
        self.is_throttled = false;
        if self.limit < self.throttled_at {
            // So many were nearly right. Whether each step pays can't be seen: an eighth more is less than the noise.
            self.limit = (self.limit + (self.limit / 8).max(1)).min(self.ceiling);
            return self.limit;
        }
        if let Some((goodput, limit)) = self.shrunk_from.take()
            && sample.goodput * PAYS < goodput
        {
            // What looked like a queue was none: fewer lanes bring less.
            (self.limit, self.before, self.quiet) = (limit, Some((goodput, limit)), 0);
            return self.limit;
        }
        match self.before {
            Some((goodput, limit)) if sample.goodput < goodput * PAYS => {
                self.quiet += 1;
                if self.quiet == 1 && self.limit > limit {
                    // The last step did not pay: take it back and hold.
                    self.limit = limit;
                } else if self.quiet > PATIENCE {
                    self.quiet = 0;
                    self.before = None;
                }
            }
            // A window that was throttled has room for its queue: it waits for that to end.
            _ if self.cautious && sample.stretch.is_some_and(|stretch| stretch > QUEUED) => {}
            _ if sample.stretch.is_some_and(|stretch| stretch > QUEUED) => {
                // Without a queue so many would be in flight. What they bring is what growth has to exceed.
                self.shrunk_from = Some((sample.goodput, self.limit));
                let enough = self.limit as f64 * UNQUEUED / sample.stretch.unwrap_or(QUEUED);
                // Not below what a service far away is given at least: larger units take longer without a queue.
                self.limit = self.limit.min((enough as usize).max(START_FAR));
                (self.before, self.quiet) = (Some((sample.goodput, self.limit)), 0);
            }
            _ => {
                self.before = Some((sample.goodput, self.limit));
                self.quiet = 0;
                let next = match sample.stretch {
                    _ if self.cautious => self.limit + (self.limit / 8).max(1),
                    Some(stretch) if stretch < UNQUEUED && sample.round_trip >= FAR => 4 * self.limit.max(START_FAR),
                    _ => 2 * self.limit,
                };
                self.limit = next.min(self.ceiling);
            }
        }
        self.limit
    }
}

#[derive(Debug)]
struct Shared {
    lanes: Lanes,
    moved: AtomicU64,
    throttled: AtomicU32,
    saturated: AtomicBool,
    /// Smoothed time of an answer, in microseconds.
    latency: AtomicU64,
    /// The quickest answer, in microseconds: of all, and since the last decision.
    quickest: AtomicU64,
    quickest_lately: AtomicU64,
    began: Instant,
    /// When the next decision is due, in microseconds since `began`.
    due: AtomicU64,
    decisions: Mutex<Decisions>,
}

#[derive(Debug)]
struct Decisions {
    controller: Controller,
    last: Instant,
    moved: u64,
}

/// The window. Clones share it.
#[derive(Debug, Clone)]
pub struct Window(Arc<Shared>);

/// The right to have one unit in flight; given back on drop.
#[derive(Debug)]
pub struct Lane {
    window: Window,
    permit: Option<OwnedSemaphorePermit>,
}

impl Window {
    /// A window that opens to at most `ceiling`.
    pub fn new(ceiling: usize) -> Self {
        let controller = Controller::new(ceiling);
        let began = Instant::now();
        Self(Arc::new(Shared {
            lanes: Lanes::new(controller.limit),
            moved: AtomicU64::new(0),
            throttled: AtomicU32::new(0),
            saturated: AtomicBool::new(false),
            latency: AtomicU64::new(0),
            quickest: AtomicU64::new(u64::MAX),
            quickest_lately: AtomicU64::new(u64::MAX),
            began,
            due: AtomicU64::new(SHORTEST_INTERVAL.as_micros() as u64),
            decisions: Mutex::new(Decisions { controller, last: began, moved: 0 }),
        }))
    }

    /// Waits for a free lane. First come, first served, so that a file in parts and many small files share fairly.
    pub async fn enter(&self) -> Lane {
        let shared = &self.0;
        let permit = match shared.lanes.try_enter() {
            Some(permit) => permit,
            None => {
                shared.saturated.store(true, Relaxed);
                shared.lanes.enter().await
            }
        };
        Lane { window: self.clone(), permit: Some(permit) }
    }

    /// Counts bytes as they move, so that parts that take longer than an interval count too.
    pub fn moved(&self, bytes: u64) {
        self.0.moved.fetch_add(bytes, Relaxed);
    }

    /// Counts an answer and the time that it took after the last byte of its request: the way there and back and the
    /// server's work, whatever the size of the body. One that was not a success says little and does not count.
    pub fn answered(&self, took: Duration) {
        let took = (took.as_micros() as u64).max(1);
        let shared = &self.0;
        shared.moved.fetch_add(UNIT_COST, Relaxed);
        let old = shared.latency.load(Relaxed);
        shared.latency.store(if old == 0 { took } else { (old * 7 + took) / 8 }, Relaxed);
        shared.quickest.fetch_min(took, Relaxed);
        shared.quickest_lately.fetch_min(took, Relaxed);
    }

    /// S3 asked for less.
    pub fn throttled(&self) {
        self.0.throttled.fetch_add(1, Relaxed);
    }

    /// Lanes in use now. Zero when nothing is under way.
    pub fn in_use(&self) -> usize {
        let limit = self.0.decisions.lock().map_or(0, |decisions| decisions.controller.limit);
        (limit + self.0.lanes.debt()).saturating_sub(self.0.lanes.free())
    }

    /// The limit now.
    pub fn limit(&self) -> usize {
        self.0.decisions.lock().map_or(START, |decisions| decisions.controller.limit)
    }

    fn decide_if_due(&self) {
        let shared = &self.0;
        let now = Instant::now();
        if (now - shared.began).as_micros() as u64 <= shared.due.load(Relaxed) {
            return;
        }
        // Whoever comes second finds the decision made.
        let Ok(mut decisions) = shared.decisions.try_lock() else { return };
        let elapsed = now - decisions.last;
        let shortest = shortest_interval(shared.quickest.load(Relaxed));
        if elapsed < shortest {
            shared.due.store((decisions.last + shortest - shared.began).as_micros() as u64, Relaxed);
            return;
        }
        let moved = shared.moved.load(Relaxed);
        let sample = shared.sample((moved - decisions.moved) as f64 / elapsed.as_secs_f64(), elapsed);
        (decisions.last, decisions.moved) = (now, moved);
        let old = decisions.controller.limit;
        let new = decisions.controller.decide(sample);
        shared.lanes.resize(old, new);
        let round_trips = ROUND_TRIPS * Duration::from_micros(shared.latency.load(Relaxed));
        let interval = round_trips.clamp(shortest, LONGEST_INTERVAL);
        shared.due.store((now - shared.began + interval).as_micros() as u64, Relaxed);
    }
}

impl Shared {
    /// What was seen since the last sample, `elapsed` ago.
    fn sample(&self, goodput: f64, elapsed: Duration) -> Sample {
        let (lately, ever) = (self.quickest_lately.swap(u64::MAX, Relaxed), self.quickest.load(Relaxed));
        // A quicker one that came in between stays.
        let _either_way = self.quickest.compare_exchange(ever, remembered(ever, lately, elapsed), Relaxed, Relaxed);
        Sample {
            goodput,
            throttled: self.throttled.swap(0, Relaxed) > 0,
            saturated: self.saturated.swap(false, Relaxed),
            stretch: stretch(ever, lately),
            round_trip: Duration::from_micros(ever),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.window.0.lanes.leave(permit);
        }
        self.window.decide_if_due();
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "window_simulation.rs"]
mod simulation;

#[cfg(test)]
#[path = "window_interleavings.rs"]
mod interleavings;
