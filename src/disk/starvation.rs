//! Whether disk work waits for want of threads.
//!
//! A second thread makes each small file dearer (10,000 x 4 KiB: 48 to 56 us of CPU with four threads, 35 to 40 with
//! one), so a queue alone is no reason: a thread that is busy with many short jobs is best left alone with them. One that
//! sleeps until a cold or slow disk answers is not, and neither is one that copies long stretches: there the wake-up of
//! another costs nothing beside the work, and a processor may be free for it.

use std::time::Duration;

/// A queue older than this is worth a thread: some 25 small files (40 us each).
const LONG_WAIT: Duration = Duration::from_millis(1);

/// No job ends for so long: stuck on a hung mount, a FIFO without a reader, or one very large piece of work. On a machine
/// with twice as many busy threads as processors, gaps of 10 to 17 ms were seen without any of these.
const STUCK: Duration = Duration::from_millis(50);

/// A job that takes so long moves some 200 KiB and more from or to memory: small files take 40 us.
const LONG_JOB: Duration = Duration::from_micros(150);

/// Above, the threads mostly sleep; below the second figure, they would do with one less. Between them nothing changes,
/// so that the number does not swing.
const MOSTLY_BLOCKED: f64 = 0.5;
const HARDLY_BLOCKED: f64 = 0.1;

/// What was seen of the threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// How long the oldest job has been waiting; `None` when none is.
    pub(super) oldest_wait: Option<Duration>,
    /// Since a job was begun or ended.
    pub(super) unmoved: Duration,
    /// The share of time that a busy thread neither ran nor wanted to run, when it was measured.
    pub(super) blocked: Option<f64>,
    /// How long a job of that thread took in this time.
    pub(super) job: Duration,
    /// Threads that may work at a time, and how many they may be at least and at most.
    pub(super) allowed: usize,
    pub(super) least: usize,
    pub(super) limit: usize,
    /// Processors that this process may use.
    pub(super) processors: usize,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    OneMore,
    Enough,
    OneLess,
}

/// One thread more, one less, or as it is.
pub(super) fn judge(seen: Seen) -> Verdict {
    let wait = seen.oldest_wait.unwrap_or_default();
    let waits = wait >= LONG_WAIT;
    // Nothing moved either before there was anything to do.
    let blocked = seen.unmoved.min(wait) >= STUCK || seen.blocked.is_some_and(|share| share >= MOSTLY_BLOCKED);
    let copies = seen.blocked.is_some() && seen.job >= LONG_JOB;
    let enough = if copies { seen.processors.max(seen.least) } else { seen.least };
    if waits && (blocked || seen.allowed < enough) && seen.allowed < seen.limit {
        Verdict::OneMore
    } else if seen.allowed > enough && seen.blocked.is_some_and(|share| share <= HARDLY_BLOCKED) {
        Verdict::OneLess
    } else {
        Verdict::Enough
    }
}

/// How long a thread has run, and has waited for a processor, since it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Awake {
    pub(super) ran: Duration,
    pub(super) waited: Duration,
}

/// The share of `wall` that a thread spent asleep, from two looks at it.
pub(super) fn blocked_share(before: Awake, after: Awake, wall: Duration) -> Option<f64> {
    let ran = after.ran.saturating_sub(before.ran);
    let waited = after.waited.saturating_sub(before.waited);
    let share = 1.0 - (ran + waited).as_secs_f64() / wall.as_secs_f64();
    (!wall.is_zero()).then(|| share.clamp(0.0, 1.0))
}

/// Nanoseconds spent waiting for a processor: the second figure of `/proc/<pid>/task/<tid>/schedstat` (Linux,
/// Documentation/scheduler/sched-stats.rst).
pub(super) fn parse_waited(text: &str) -> Option<Duration> {
    text.split_ascii_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_added_only_while_jobs_wait_for_sleeping_threads() {
        let milliseconds = Duration::from_millis;
        let long = Some(milliseconds(5));
        for (oldest_wait, unmoved, blocked, allowed, limit, expected) in [
            (None, milliseconds(0), Some(0.9), 1, 4, Verdict::Enough),
            (None, milliseconds(1000), None, 1, 4, Verdict::Enough),
            (Some(Duration::from_micros(900)), milliseconds(0), Some(0.9), 1, 4, Verdict::Enough),
            (long, milliseconds(0), Some(0.9), 1, 4, Verdict::OneMore),
            (long, milliseconds(0), Some(0.5), 3, 4, Verdict::OneMore),
            (long, milliseconds(0), Some(0.9), 4, 4, Verdict::Enough),
            (long, milliseconds(0), Some(0.3), 1, 4, Verdict::Enough),
            (long, milliseconds(0), None, 1, 4, Verdict::Enough),
            (long, milliseconds(1000), None, 1, 4, Verdict::Enough),
            (Some(milliseconds(50)), milliseconds(49), None, 1, 4, Verdict::Enough),
            (Some(milliseconds(50)), milliseconds(50), None, 1, 4, Verdict::OneMore),
            (Some(milliseconds(50)), milliseconds(50), None, 1, 1, Verdict::Enough),
            (long, milliseconds(0), Some(0.05), 1, 4, Verdict::Enough),
            (long, milliseconds(0), Some(0.05), 2, 4, Verdict::OneLess),
            (None, milliseconds(0), Some(0.05), 4, 4, Verdict::OneLess),
            (None, milliseconds(0), Some(0.3), 4, 4, Verdict::Enough),
        ] {
            let job = Duration::from_micros(40);
            let seen = Seen { oldest_wait, unmoved, blocked, job, allowed, least: 1, limit, processors: 2 };
            assert_eq!(judge(seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn threads_that_copy_long_stretches_are_as_many_as_processors() {
        let (microseconds, waits) = (Duration::from_micros, Some(Duration::from_millis(5)));
        for (oldest_wait, blocked, job, allowed, limit, expected) in [
            (waits, Some(0.0), 149, 1, 8, Verdict::Enough),
            (waits, Some(0.0), 150, 1, 8, Verdict::OneMore),
            (waits, Some(0.0), 150, 3, 8, Verdict::OneMore),
            (waits, Some(0.0), 150, 4, 8, Verdict::Enough),
            (waits, Some(0.0), 150, 5, 8, Verdict::OneLess),
            (waits, Some(0.9), 150, 5, 8, Verdict::OneMore),
            (waits, Some(0.0), 150, 2, 2, Verdict::Enough),
            (waits, None, 150, 1, 8, Verdict::Enough),
            (None, Some(0.0), 150, 1, 8, Verdict::Enough),
            (None, Some(0.0), 150, 4, 8, Verdict::Enough),
            (None, Some(0.0), 40, 4, 8, Verdict::OneLess),
        ] {
            let unmoved = Duration::ZERO;
            let job = microseconds(job);
            let seen = Seen { oldest_wait, unmoved, blocked, job, allowed, least: 1, limit, processors: 4 };
            assert_eq!(judge(seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn waiting_for_a_processor_is_not_sleep() {
        let awake =
            |[ran, waited]: [u64; 2]| Awake { ran: Duration::from_millis(ran), waited: Duration::from_millis(waited) };
        for (before, after, expected) in [
            ([0, 0], [1000, 0], 0.0),
            ([0, 0], [100, 900], 0.0),
            ([500, 50], [1000, 50], 0.5),
            ([0, 0], [5000, 0], 0.0),
            ([10, 10], [0, 0], 1.0),
        ] {
            let share = blocked_share(awake(before), awake(after), Duration::from_secs(1));
            assert_eq!(share, Some(expected), "{before:?} {after:?}");
        }
        assert_eq!(blocked_share(awake([0, 0]), awake([0, 0]), Duration::ZERO), None);
    }

    #[test]
    fn statistics_are_read() {
        assert_eq!(parse_waited("123 45 6\n"), Some(Duration::from_nanos(45)));
        assert_eq!(parse_waited("123"), None);
        assert_eq!(parse_waited("1 x 2"), None);
    }
}
