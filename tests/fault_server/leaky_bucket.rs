//! A limit on requests per second for one prefix, as S3 has it: what is above gets 503 SlowDown.

use std::time::Instant;

/// What a script says.
#[derive(Clone, Debug)]
pub struct Limit {
    pub id: String,
    pub prefix: String,
    pub per_second: f64,
    /// Requests that may come at once.
    pub burst: f64,
}

/// What is left of it.
#[derive(Debug)]
pub struct LeakyBucket {
    limit: Limit,
    level: f64,
    at: Instant,
}

impl LeakyBucket {
    pub fn new(limit: Limit) -> LeakyBucket {
        LeakyBucket { limit, level: 0.0, at: Instant::now() }
    }

    pub fn is_for(&self, key: &str) -> bool {
        key.starts_with(&self.limit.prefix)
    }

    pub fn id(&self) -> &str {
        &self.limit.id
    }

    /// Whether a request at this time is one too many. Then it does not count.
    pub fn overflows(&mut self, now: Instant) -> bool {
        self.level = (self.level - (now - self.at).as_secs_f64() * self.limit.per_second).max(0.0);
        self.at = now;
        let over = self.level + 1.0 > self.limit.burst;
        if !over {
            self.level += 1.0;
        }
        over
    }
}
