//! Threads for blocking disk work.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::position::read_at;
use super::starvation::{Awake, Seen, Verdict, blocked_share, judge, parse_waited};
use crate::error::{Error, Kind, Result};

/// A thread without work ends after so long. Long enough for the pauses of one transfer, short enough that an idle
/// program has no threads of ours.
const IDLE: Duration = Duration::from_secs(2);

/// How often a spare thread looks whether the queue is stuck: 50 wake-ups a second while there is work.
const WATCH: Duration = Duration::from_millis(20);

/// How often a busy thread looks at its own statistics (3 us): 0.06 % of its time.
const MEASURE: Duration = Duration::from_millis(5);

/// A thread that had work for so long may be in for a stretch of it. Before, it doesn't look at all: a job that comes
/// alone should not pay for it.
const BUSY: Duration = Duration::from_millis(1);

type Job = Box<dyn FnOnce() + Send>;

/// Processors that this process may use: affinity and the container's quota count.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Runs blocking jobs in the order they came, on one thread while that is enough and on more, up to a limit, while jobs
/// wait for threads that sleep on the disk. Threads are started by the first job and end when idle.
///
/// Dropping it ends the threads: jobs begun end, jobs not begun are dropped unrun and their futures say `Cancelled`.
#[derive(Debug)]
pub struct DiskThreads {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    least: usize,
    limit: usize,
    processors: usize,
}

struct State {
    queue: VecDeque<(Instant, Job)>,
    /// Threads that live, those of them that wait, and those that run a job.
    threads: usize,
    idle: usize,
    working: usize,
    /// How many may work at a time.
    allowed: usize,
    /// When a job last began or ended.
    moved: Instant,
    /// A spare thread looks after a stuck queue.
    watched: bool,
    closed: bool,
}

impl DiskThreads {
    /// At most `limit` threads (at least one). None is started yet.
    pub fn new(limit: usize) -> Arc<Self> {
        Self::with_least(1, limit)
    }

    /// The same for jobs that compute: `least` threads work whenever there is work for them, without being asked
    /// whether they sleep.
    pub fn with_least(least: usize, limit: usize) -> Arc<Self> {
        let least = least.max(1);
        let state = State {
            queue: VecDeque::new(),
            threads: 0,
            idle: 0,
            working: 0,
            allowed: least,
            moved: Instant::now(),
            watched: false,
            closed: false,
        };
        let limit = limit.max(least);
        let shared = Shared { state: Mutex::new(state), wake: Condvar::new(), least, limit, processors: processors() };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    /// Queues `job` now, and gives its result when awaited. Dropping the future doesn't take the job back.
    ///
    /// # Errors
    /// `Internal` when the job panicked; `Cancelled` when the threads were dropped before it began.
    pub fn run<T, J>(&self, job: J) -> impl Future<Output = Result<T>> + Send + use<T, J>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(job)).map_err(|panic| {
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                Error::new(Kind::Internal, format!("a disk job panicked: {}", text.unwrap_or("no message")))
            });
            // Nobody may be waiting any more.
            let _ = sender.send(result);
        });
        async move {
            let ended = |_| Error::new(Kind::Cancelled, "the disk threads ended before the job began");
            receiver.await.map_err(ended)?
        }
    }

    /// Queues `job` and forgets it. A panic in it is dropped. Where no thread can be started the job is done here: that
    /// holds the caller up, and a lack of threads makes a transfer slower instead of ending it.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.lock();
        state.queue.push_back((Instant::now(), Box::new(job)));
        let notify = self.shared.call_hand(&mut state);
        // No thread to be had (EAGAIN), and no other that would do it.
        let orphaned = if state.threads == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        drop(state);
        if notify {
            self.shared.wake.notify_one();
        }
        for (_, job) in orphaned {
            do_one(job);
        }
    }

    /// Jobs that wait.
    pub fn depth(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// Threads that live.
    pub fn threads(&self) -> usize {
        self.shared.lock().threads
    }
}

impl Drop for DiskThreads {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.queue);
        drop(state);
        self.shared.wake.notify_all();
        drop(dropped); // not under the lock: what a job holds may do anything when it goes
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No job runs under the lock, so a poisoned one is as good as ever.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>, state: &mut State) {
        let shared = Arc::clone(self);
        // Where none is to be had, those alive do it, or who brings a job.
        if thread::Builder::new().name("s3bulk-disk".into()).spawn(move || shared.work()).is_ok() {
            state.threads += 1;
        }
    }

    /// Sees to it that somebody takes the waiting jobs: one more hand where one may work, else a spare one that watches
    /// over the queue. `true`: an idle thread is to be woken, which is cheaper without the lock.
    fn call_hand(self: &Arc<Self>, state: &mut State) -> bool {
        let may_work = state.working < state.allowed;
        if state.queue.is_empty() || (!may_work && (state.watched || state.allowed == self.limit)) {
            return false;
        }
        if state.idle == 0 && state.threads < state.allowed + usize::from(!may_work) {
            self.start(state);
        }
        state.idle > 0
    }

    /// The life of a thread.
    fn work(self: Arc<Self>) {
        let mut measure = Measure::begin();
        let mut state = self.lock();
        loop {
            let working = state.working < state.allowed;
            let Some((_, job)) = (if working { state.queue.pop_front() } else { None }) else {
                match self.wait(state) {
                    Some(woken) => state = woken,
                    None => return,
                }
                measure.restart();
                continue;
            };
            state.working += 1;
            state.moved = Instant::now();
            let notify = self.call_hand(&mut state);
            drop(state);
            if notify {
                self.wake.notify_one();
            }
            do_one(job);
            let now = Instant::now();
            let measured = measure.after_a_job(now);
            state = self.lock();
            state.working -= 1;
            state.moved = now;
            if measured.is_some() {
                self.adjust(&mut state, measured, now);
            }
        }
    }

    /// Sleeps until there may be work. `None`: the thread's life is over.
    fn wait<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> Option<MutexGuard<'a, State>> {
        let since = Instant::now();
        state.idle += 1;
        loop {
            let may_work = state.working < state.allowed && !state.queue.is_empty();
            if state.closed || may_work {
                break;
            }
            let watches = state.working > 0 && !state.watched && state.allowed < self.limit;
            state.watched |= watches;
            let (woken, timed_out) = self
                .wake
                .wait_timeout(state, if watches { WATCH } else { IDLE })
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if watches {
                state.watched = false;
                self.adjust(&mut state, None, Instant::now());
            }
            let idle_enough = !watches && timed_out.timed_out() && since.elapsed() >= IDLE;
            if idle_enough && state.queue.is_empty() {
                state.allowed = state.allowed.min(state.threads - 1).max(self.least);
                state.threads -= 1;
                state.idle -= 1;
                return None;
            }
        }
        state.idle -= 1;
        if state.closed {
            state.threads -= 1;
            return None;
        }
        Some(state)
    }

    fn adjust(self: &Arc<Self>, state: &mut State, measured: Option<Measured>, now: Instant) {
        let seen = Seen {
            oldest_wait: state.queue.front().map(|(queued, _)| now.saturating_duration_since(*queued)),
            unmoved: now.saturating_duration_since(state.moved),
            blocked: measured.map(|measured| measured.blocked),
            job: measured.map(|measured| measured.job).unwrap_or_default(),
            allowed: state.allowed,
            least: self.least,
            limit: self.limit,
            processors: self.processors,
        };
        match judge(seen) {
            Verdict::OneMore => {
                state.allowed += 1;
                if self.call_hand(state) {
                    self.wake.notify_one();
                }
            }
            Verdict::Enough => {}
            Verdict::OneLess => state.allowed -= 1,
        }
    }
}

fn do_one(job: Job) {
    // A panic costs one job, not the thread.
    let _ = catch_unwind(AssertUnwindSafe(job));
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("DiskThreads")
            .field("limit", &self.limit)
            .field("threads", &state.threads)
            .field("working", &state.working)
            .field("waiting", &state.queue.len())
            .finish()
    }
}

/// A thread's look at itself, over stretches in which it always had work.
struct Measure {
    /// `None` where the kernel keeps no statistics: then only a stuck queue counts.
    statistics: Option<File>,
    before: Option<Awake>,
    since: Instant,
    jobs: u32,
}

/// What a look showed: the share of time spent asleep, and how long a job took.
#[derive(Debug, Clone, Copy)]
struct Measured {
    blocked: f64,
    job: Duration,
}

impl Measure {
    fn begin() -> Self {
        let statistics = if cfg!(target_os = "linux") { File::open("/proc/thread-self/schedstat").ok() } else { None };
        Self { statistics, before: None, since: Instant::now(), jobs: 0 }
    }

    fn restart(&mut self) {
        self.before = None;
        self.since = Instant::now();
        self.jobs = 0;
    }

    /// Something once per [`MEASURE`] of uninterrupted work.
    fn after_a_job(&mut self, now: Instant) -> Option<Measured> {
        self.jobs += 1;
        let wall = now.saturating_duration_since(self.since);
        if wall < if self.before.is_some() { MEASURE } else { BUSY } {
            return None;
        }
        let after = self.awake()?;
        let blocked = self.before.and_then(|before| blocked_share(before, after, wall));
        let job = wall / self.jobs;
        (self.before, self.since, self.jobs) = (Some(after), now, 0);
        blocked.map(|blocked| Measured { blocked, job })
    }

    fn awake(&self) -> Option<Awake> {
        let mut text = [0; 64];
        let read = read_at(self.statistics.as_ref()?, &mut text, 0).ok()?;
        let waited = parse_waited(std::str::from_utf8(&text[..read]).ok()?)?;
        Some(Awake { ran: time_run()?, waited })
    }
}

/// The time that this thread has run. Not from the statistics, whose figure moves only with the scheduler's tick (4 ms).
#[cfg(target_os = "linux")]
fn time_run() -> Option<Duration> {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().ok()
}

#[cfg(not(target_os = "linux"))]
fn time_run() -> Option<Duration> {
    None
}

#[cfg(test)]
#[path = "threads_tests.rs"]
mod tests;
