//! Answers that take now a little longer and now much longer, as those of a service with many users do.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Times with an exponential distribution. Each connection has its own.
pub struct Jitter {
    mean: Duration,
    state: u64,
}

impl Jitter {
    pub fn new(mean: Duration) -> Self {
        Self { mean, state: RandomState::new().hash_one(0) | 1 }
    }

    pub fn next(&mut self) -> Duration {
        if self.mean.is_zero() {
            return Duration::ZERO;
        }
        // xorshift64 (Marsaglia 2003).
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let uniform = (self.state >> 11) as f64 / (1_u64 << 53) as f64;
        self.mean.mul_f64(-(1.0 - uniform).ln())
    }
}
