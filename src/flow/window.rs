//! The concurrency window: how many units (small objects, parts) are in flight. It opens while that pays, holds when it
//! doesn't, and shrinks when S3 throttles.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lanes at the start: at 20 ms latency 64 lanes reach 3,200 requests a second in the first round trip, and on loopback
/// 64 small units were measured to be no slower than 32 (docs/decisions/0001).
const START: usize = 64;
/// Never fewer: with less a single lost connection would halve the rate.
const FLOOR: usize = 4;
/// What a small object costs beyond its bytes, in bytes: makes requests per second and bytes per second one figure.
const UNIT_COST: u64 = 32 << 10;
/// Units that take so many times as long as the quickest one are waiting for each other, be it in the server, in the
/// network or in this process: then a wider window only makes the queue longer (TCP Vegas decides likewise).
const QUEUED: f64 = 2.5;
/// Growth that counts as growth: less is within the noise of an interval.
const PAYS: f64 = 1.15;
/// Shortest interval between two decisions; longer where round trips are.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);
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
    /// How much longer small units took than the quickest one so far: 1 is no longer. Nothing is known without any.
    stretch: f64,
}

/// The decision, apart from clocks and counters.
#[derive(Debug, Clone)]
struct Controller {
    limit: usize,
    ceiling: usize,
    /// Goodput before the last step, and the limit it was reached with.
    before: Option<(f64, usize)>,
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
            (self.cautious, self.before, self.quiet) = (true, None, 0);
            return self.limit;
        }
        if !sample.saturated {
            return self.limit;
        }
        self.is_throttled = false;
        if self.limit < self.throttled_at {
            // So many were nearly right. Whether each step pays can't be seen: lanes that rest after a refusal look like
            // a queue, and an eighth more is less than the noise.
            self.limit = (self.limit + (self.limit / 8).max(1)).min(self.ceiling);
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
            _ if sample.stretch > QUEUED => {}
            _ => {
                self.before = Some((sample.goodput, self.limit));
                self.quiet = 0;
                let step = if self.cautious { (self.limit / 8).max(1) } else { self.limit };
                self.limit = (self.limit + step).min(self.ceiling);
            }
        }
        self.limit
    }
}

#[derive(Debug)]
struct Shared {
    lanes: Arc<Semaphore>,
    /// Lanes to be taken away as they come free, after the window shrank.
    debt: AtomicUsize,
    moved: AtomicU64,
    throttled: AtomicU32,
    saturated: AtomicBool,
    /// Smoothed duration of small units, in microseconds.
    latency: AtomicU64,
    /// The quickest small unit, in microseconds.
    quickest: AtomicU64,
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
    began: Instant,
    permit: Option<OwnedSemaphorePermit>,
}

impl Window {
    /// A window that opens to at most `ceiling`.
    pub fn new(ceiling: usize) -> Self {
        let controller = Controller::new(ceiling);
        let began = Instant::now();
        Self(Arc::new(Shared {
            lanes: Arc::new(Semaphore::new(controller.limit)),
            debt: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            throttled: AtomicU32::new(0),
            saturated: AtomicBool::new(false),
            latency: AtomicU64::new(0),
            quickest: AtomicU64::new(u64::MAX),
            began,
            due: AtomicU64::new(SHORTEST_INTERVAL.as_micros() as u64),
            decisions: Mutex::new(Decisions { controller, last: began, moved: 0 }),
        }))
    }

    /// Waits for a free lane. First come, first served, so that a file in parts and many small files share fairly.
    pub async fn enter(&self) -> Lane {
        let shared = &self.0;
        let permit = match shared.lanes.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                shared.saturated.store(true, Relaxed);
                match shared.lanes.clone().acquire_owned().await {
                    Ok(permit) => permit,
                    // The semaphore is never closed.
                    Err(_) => std::future::pending().await,
                }
            }
        };
        Lane { window: self.clone(), began: Instant::now(), permit: Some(permit) }
    }

    /// Counts bytes as they move, so that parts that take longer than an interval count too.
    pub fn moved(&self, bytes: u64) {
        self.0.moved.fetch_add(bytes, Relaxed);
    }

    /// S3 asked for less.
    pub fn throttled(&self) {
        self.0.throttled.fetch_add(1, Relaxed);
    }

    /// Lanes in use now. Zero when nothing is under way.
    pub fn in_use(&self) -> usize {
        let limit = self.0.decisions.lock().map_or(0, |decisions| decisions.controller.limit);
        (limit + self.0.debt.load(Relaxed)).saturating_sub(self.0.lanes.available_permits())
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
        if elapsed < SHORTEST_INTERVAL {
            return;
        }
        let moved = shared.moved.load(Relaxed);
        let sample = Sample {
            goodput: (moved - decisions.moved) as f64 / elapsed.as_secs_f64(),
            throttled: shared.throttled.swap(0, Relaxed) > 0,
            saturated: shared.saturated.swap(false, Relaxed),
            stretch: shared.latency.load(Relaxed) as f64 / shared.quickest.load(Relaxed) as f64,
        };
        (decisions.last, decisions.moved) = (now, moved);
        let old = decisions.controller.limit;
        let new = decisions.controller.decide(sample);
        shared.resize(old, new);
        let interval = (ROUND_TRIPS * Duration::from_micros(shared.latency.load(Relaxed))).max(SHORTEST_INTERVAL);
        shared.due.store((now - shared.began + interval).as_micros() as u64, Relaxed);
    }
}

impl Shared {
    /// Adds lanes, or lets some be taken away as they come free.
    fn resize(&self, old: usize, new: usize) {
        if new > old {
            // Lanes owed from an earlier shrinking are forgiven first.
            let mut add = new - old;
            while add > 0 && self.settle_one() {
                add -= 1;
            }
            self.lanes.add_permits(add);
        } else {
            self.debt.fetch_add(old - new, Relaxed);
        }
    }

    /// Pays one lane of the debt, if there is any.
    fn settle_one(&self) -> bool {
        self.debt.fetch_update(Relaxed, Relaxed, |debt| debt.checked_sub(1)).is_ok()
    }
}

impl Lane {
    /// Says that the unit was a small one whose duration shows the round trip time.
    pub fn finished_small(&self) {
        let took = self.began.elapsed().as_micros() as u64;
        let shared = &self.window.0;
        shared.moved.fetch_add(UNIT_COST, Relaxed);
        let old = shared.latency.load(Relaxed);
        shared.latency.store(if old == 0 { took } else { (old * 7 + took) / 8 }, Relaxed);
        shared.quickest.fetch_min(took.max(1), Relaxed);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.window.0.debt.load(Relaxed) > 0
            && self.window.0.settle_one()
        {
            permit.forget();
        }
        self.window.decide_if_due();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(goodput: f64) -> Sample {
        Sample { goodput, throttled: false, saturated: true, stretch: 1.0 }
    }

    #[test]
    fn the_window_doubles_while_that_pays_and_takes_the_last_step_back() {
        let mut controller = Controller::new(512);
        let limits: Vec<usize> =
            [100.0, 200.0, 210.0, 210.0, 190.0].map(|goodput| controller.decide(sample(goodput))).to_vec();
        assert_eq!(limits, [128, 256, 128, 128, 128]);
    }

    #[test]
    fn the_ceiling_holds() {
        let mut controller = Controller::new(100);
        assert_eq!(controller.decide(sample(1.0)), 100);
        assert_eq!(controller.decide(sample(9.0)), 100);
        assert_eq!(Controller::new(2).limit, 2);
    }

    #[test]
    fn throttling_takes_a_quarter_and_growth_is_cautious_after_it() {
        let mut controller = Controller::new(512);
        let throttled = Sample { goodput: 5.0, throttled: true, saturated: true, stretch: 1.0 };
        assert_eq!(controller.decide(throttled), 48);
        assert_eq!(controller.decide(throttled), 36);
        // Back to where it began, whatever each step brings.
        let regrown: Vec<usize> = (0..6).map(|_| controller.decide(sample(1.0))).collect();
        assert_eq!(regrown, [40, 45, 50, 56, 63, 70]);
        assert_eq!(controller.decide(sample(1.0)), 78);
        assert_eq!(controller.decide(sample(1.0)), 70, "beyond, a step has to pay");
        for _ in 0..15 {
            controller.decide(throttled);
        }
        assert_eq!(controller.limit, FLOOR);
    }

    #[test]
    fn a_window_that_is_not_full_stays() {
        let mut controller = Controller::new(512);
        let idle = Sample { goodput: 1e9, throttled: false, saturated: false, stretch: 1.0 };
        assert_eq!(controller.decide(idle), START);
    }

    /// A server with a round trip time and a limit on requests per second, on a clock of its own.
    fn simulate(round_trip: f64, rate: f64, ceiling: usize) -> Vec<usize> {
        let mut controller = Controller::new(ceiling);
        (0..60)
            .map(|_| {
                let goodput = (controller.limit as f64 / round_trip).min(rate);
                let latency = controller.limit as f64 / goodput;
                controller.decide(Sample { stretch: latency / round_trip, ..sample(goodput) })
            })
            .collect()
    }

    #[test]
    fn it_converges_without_oscillation() {
        for (round_trip, rate, expected) in
            [(0.020, 1e9, 512), (0.020, 3_500.0, 64), (0.000_2, 40_000.0, 64), (0.100, 2_000.0, 256)]
        {
            let limits = simulate(round_trip, rate, 512);
            assert_eq!(limits.last(), Some(&expected), "{round_trip} {rate}: {limits:?}");
            assert!(limits[8..].iter().all(|limit| *limit == expected), "{limits:?}");
        }
    }

    #[tokio::test]
    async fn lanes_come_back() {
        let window = Window::new(2);
        let one = window.enter().await;
        let two = window.enter().await;
        assert_eq!(window.in_use(), 2);
        drop(one);
        let three = window.enter().await;
        drop((two, three));
        assert_eq!(window.in_use(), 0);
    }
}

#[cfg(test)]
#[path = "window_simulation.rs"]
mod simulation;

#[cfg(test)]
#[path = "window_interleavings.rs"]
mod interleavings;
