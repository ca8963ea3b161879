//! The window against a server that takes so many requests a second and no more, on a clock of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// What happens until this second does not count: the window looks for its place.
const WARM_UP: f64 = 10.0;
const END: f64 = 40.0;
/// Back-off of a throttled request, in seconds: full jitter, doubled from the first to the longest (wire::retry).
const FIRST_PAUSE: f64 = 0.5;
const LONGEST_PAUSE: f64 = 20.0;

/// As S3 has it: requests leak out at a rate, and what does not fit is refused.
struct LeakyBucket {
    rate: f64,
    burst: f64,
    level: f64,
    at: f64,
}

impl LeakyBucket {
    fn takes(&mut self, now: f64) -> bool {
        self.level = (self.level - (now - self.at) * self.rate).max(0.0);
        self.at = now;
        let fits = self.level + 1.0 <= self.burst;
        self.level += f64::from(u8::from(fits));
        fits
    }
}

/// One unit in its lane: when its request reaches the server, when that was sent, how often it was refused. Times in
/// nanoseconds, so that they have an order.
type Unit = Reverse<(u64, u64, u32)>;

/// What the window itself does with a unit that ends, apart from locks.
struct Clockwork {
    controller: Controller,
    due: f64,
    last: f64,
    moved: u32,
    is_throttled: bool,
    /// In seconds.
    latency: f64,
    /// In microseconds.
    quickest: u64,
    quickest_lately: u64,
}

impl Clockwork {
    fn new(ceiling: usize) -> Self {
        let due = SHORTEST_INTERVAL.as_secs_f64();
        Self {
            controller: Controller::new(ceiling),
            due,
            last: 0.0,
            moved: 0,
            is_throttled: false,
            latency: 0.0,
            quickest: u64::MAX,
            quickest_lately: u64::MAX,
        }
    }

    fn unit_ended(&mut self, now: f64, took: f64) {
        self.moved += 1;
        self.latency = if self.latency == 0.0 { took } else { (self.latency * 7.0 + took) / 8.0 };
        self.quickest = self.quickest.min(microseconds(took));
        self.quickest_lately = self.quickest_lately.min(microseconds(took));
        let elapsed = now - self.last;
        let shortest = shortest_interval(self.quickest).as_secs_f64();
        if now <= self.due || elapsed < shortest {
            return;
        }
        let (lately, ever) = (std::mem::replace(&mut self.quickest_lately, u64::MAX), self.quickest);
        self.quickest = remembered(ever, lately, Duration::from_secs_f64(elapsed));
        self.controller.decide(Sample {
            goodput: f64::from(std::mem::take(&mut self.moved)) / elapsed,
            throttled: std::mem::take(&mut self.is_throttled),
            saturated: true,
            stretch: stretch(ever, lately),
            round_trip: Duration::from_micros(ever),
        });
        self.last = now;
        self.due = now + (f64::from(ROUND_TRIPS) * self.latency).clamp(shortest, LONGEST_INTERVAL.as_secs_f64());
    }
}

fn microseconds(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

/// The share of what the server would take that it was given.
fn goodput(rate: f64, round_trip: f64, seed: u64) -> f64 {
    const CEILING: usize = 512;
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut bucket = LeakyBucket { rate, burst: rate / 10.0, level: 0.0, at: 0.0 };
    let mut clockwork = Clockwork::new(CEILING);
    let mut units: BinaryHeap<Unit> = BinaryHeap::new();
    let mut good = 0_u32;
    let mut now = 0.0;
    let nanoseconds = |seconds: f64| (seconds * 1e9) as u64;
    while now < END {
        while units.len() < clockwork.controller.limit {
            let arrives = now + round_trip * (0.9 + chance.f64() / 5.0);
            units.push(Reverse((nanoseconds(arrives), nanoseconds(now), 0)));
        }
        let Some(Reverse((at, sent, refused))) = units.pop() else { break };
        now = at as f64 / 1e9;
        if bucket.takes(now) {
            good += u32::from(now > WARM_UP);
            clockwork.unit_ended(now, now - sent as f64 / 1e9);
        } else {
            clockwork.is_throttled = true;
            let longest = (FIRST_PAUSE * f64::from(1_u32 << refused.min(16))).min(LONGEST_PAUSE);
            let again = now + chance.f64() * longest;
            units.push(Reverse((nanoseconds(again + round_trip), nanoseconds(again), refused + 1)));
        }
    }
    f64::from(good) / (END - WARM_UP) / rate.min(CEILING as f64 / round_trip)
}

#[test]
fn a_throttling_server_gets_four_fifths_of_what_it_takes() {
    for rate in [300.0, 1_000.0, 3_500.0, 5_500.0] {
        for round_trip in [0.005, 0.02, 0.1] {
            for seed in 0..2 {
                let share = goodput(rate, round_trip, seed);
                assert!(share >= 0.8, "{rate} requests a second at {round_trip} s: only {share:.2} of them");
            }
        }
    }
}
