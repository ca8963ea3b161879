//! Ends a test process in which something hangs: a runtime that is blocked runs into none of its own time limits.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// More than any test takes on a loaded machine, the long ones included; less than anybody should wait.
const LIMIT: Duration = Duration::from_secs(300);

/// Watches until it is dropped.
pub struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    pub fn start() -> Watchdog {
        let (alive, ended) = channel();
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Its thread ends with the sender.
        std::thread::spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("the watchdog: {test} has not ended within {LIMIT:?}");
                std::process::abort();
            }
        });
        Watchdog { _alive: alive }
    }
}
