//! How a Python thread waits for a transfer: without the GIL, in slices, so that signals are seen; it is the only
//! thread that calls Python, for content types, credentials and log records too.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::failure::to_python;
use super::runtime::{Active, enter};
use super::visit::Visit;
use crate::client::{Desk, Keys, Question};
use crate::config::Secret;
use crate::error::{Error, Kind};
use crate::transfer::{Answer, Cancel, Host};

/// How long a signal may go unseen (DESIGN.md decision 6).
const SLICE: Duration = Duration::from_millis(50);
/// How long a cancelled transfer may take to clean up: an abort that is not answered takes 5 s.
const CLEAN_UP: Duration = Duration::from_secs(6);
/// Python's `logging.DEBUG`.
pub const DEBUG: u8 = 10;
/// Python's `logging.WARNING`.
pub const WARNING: u8 = 30;

/// What a transfer has to say to the thread that waits.
enum Note<T> {
    Done(T),
    ContentType(String, oneshot::Sender<String>),
    Credentials(Question),
    Log(u8, String),
}

/// The Python side of a transfer: what it can be asked.
pub struct Caller<'py> {
    /// `logging.Logger`.
    pub logger: Bound<'py, PyAny>,
    /// `guess_content_type(name) -> str`, where content types are asked for.
    pub guess: Option<Bound<'py, PyAny>>,
    /// `credentials() -> (access_key, secret_key, session_token, seconds)`, where the client is the caller's.
    pub credentials: Option<Bound<'py, PyAny>>,
}

impl Caller<'_> {
    fn wants(&self, level: u8) -> PyResult<bool> {
        self.logger.call_method1("isEnabledFor", (level,))?.extract()
    }

    fn log(&self, level: u8, text: &str) -> PyResult<()> {
        self.logger.call_method1("log", (level, "%s", text)).map(drop)
    }

    fn credentials(&self) -> PyResult<Option<Keys>> {
        self.credentials.as_ref().map(|credentials| keys(&credentials.call0()?)).transpose()
    }

    fn content_type(&self, name: &str) -> PyResult<String> {
        match &self.guess {
            Some(guess) => guess.call1((name,))?.extract(),
            None => Ok("application/octet-stream".to_owned()),
        }
    }
}

/// Keys as Python hands them over.
fn keys(frozen: &Bound<'_, PyAny>) -> PyResult<Keys> {
    let (access_key, secret_key, session_token, seconds): (String, String, Option<String>, Option<f64>) =
        frozen.extract()?;
    Ok(Keys {
        access_key,
        secret_key: Secret::new(secret_key),
        session_token: session_token.map(Secret::new),
        lasting: seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
    })
}

/// The way from a transfer to its caller.
pub struct Line<T> {
    notes: Sender<Note<T>>,
    debug: bool,
}

impl<T> Clone for Line<T> {
    fn clone(&self) -> Self {
        Self { notes: self.notes.clone(), debug: self.debug }
    }
}

impl<T: Send + 'static> Line<T> {
    /// A log record; dropped when nobody waits any more.
    pub fn log(&self, level: u8, text: String) {
        let _nobody_waits = self.notes.send(Note::Log(level, text));
    }
}

impl<T: Send + 'static> Host for Line<T> {
    fn content_type(&self, name: String) -> Answer<String> {
        let (sender, receiver) = oneshot::channel();
        let asked = self.notes.send(Note::ContentType(name, sender));
        Box::pin(async move {
            match asked {
                // Nobody answers only when the transfer is being cancelled.
                Ok(()) => receiver.await.unwrap_or_default(),
                Err(_) => String::new(),
            }
        })
    }

    fn wants_messages(&self) -> bool {
        self.debug
    }

    fn message(&self, text: String) {
        self.log(DEBUG, text);
    }
}

/// Where a handler or callback forks, the child returns into a transfer that goes on in its parent.
const FORKED: &str = "this process was forked by a handler or callback of a transfer, which goes on in its parent only";

/// Runs a transfer and waits for its end. A signal whose handler raises, or a callback that raises, cancels it; it has
/// cleaned up when the exception arrives. `end` turns what the transfer returned into Python's terms.
pub fn run<T, W, R>(
    py: Python<'_>,
    visit: &Visit,
    caller: &Caller<'_>,
    desk: &Desk,
    begin: impl FnOnce(Line<T>, Cancel) -> W,
    end: impl FnOnce(Python<'_>, T, Option<PyErr>) -> PyResult<R>,
) -> PyResult<R>
where
    T: Send + 'static,
    W: Future<Output = T> + Send + 'static,
{
    let active = enter().map_err(|error| to_python(py, &error, None))?;
    let cancel = active.cancel();
    let (notes, received) = channel();
    let line = Line { notes: notes.clone(), debug: caller.wants(DEBUG)? };
    let notes = Arc::new(notes);
    let asked = caller.credentials.is_some().then(|| {
        // Of a transfer that dies nothing may keep the channel open.
        let notes = Arc::downgrade(&notes);
        desk.arrive(move |question| {
            let _nobody_waits = notes.upgrade().map(|notes| notes.send(Note::Credentials(question)));
        })
    });
    let work = begin(line, cancel.clone());
    spawn(active, work, notes);
    let mut received = Waiting { received, visit, process: std::process::id() };
    let served = received.serve(py, caller);
    if received.is_elsewhere() {
        // Whoever held a lock of these at the fork is not in this process.
        std::mem::forget((received, asked, cancel));
        return Err(served.err().unwrap_or_else(|| PyRuntimeError::new_err(FORKED)));
    }
    // From here on nobody here answers.
    drop(asked);
    match served {
        Ok(done) => end(py, done, None),
        Err(interrupted) => {
            cancel.cancel();
            match received.until_clean(py) {
                Some(done) => end(py, done, Some(interrupted)),
                None => Err(interrupted),
            }
        }
    }
}

fn spawn<T: Send + 'static>(
    active: Active,
    work: impl Future<Output = T> + Send + 'static,
    notes: Arc<Sender<Note<T>>>,
) {
    // Counted until the task has ended, not until its caller stops waiting.
    let counted = Arc::new(active);
    counted.clone().spawn(async move {
        let done = work.await;
        let _nobody_waits = notes.send(Note::Done(done));
        drop(counted);
    });
}

/// The waiting end; only one thread ever has it.
struct Waiting<'v, T> {
    received: Receiver<Note<T>>,
    visit: &'v Visit,
    process: u32,
}

impl<T: Send> Waiting<'_, T> {
    fn serve(&mut self, py: Python<'_>, caller: &Caller<'_>) -> PyResult<T> {
        loop {
            let received = &mut self.received;
            match self.visit.detached(py, move || received.recv_timeout(SLICE)) {
                Ok(Note::Done(done)) => return Ok(done),
                Ok(Note::Log(level, text)) => caller.log(level, &text)?,
                Ok(Note::ContentType(name, answer)) => {
                    let found = caller.content_type(&name);
                    let answer = self.here(answer)?;
                    let _cancelled_meanwhile = answer.send(found?);
                }
                Ok(Note::Credentials(question)) => {
                    // Taken only when the answer is there: to find it Python may begin another transfer of this client,
                    // which gets the question too. Somebody else who waits may have been quicker.
                    if question.is_open() {
                        let found = caller.credentials();
                        let question = self.here(question)?;
                        if let Some(keys) = found?
                            && let Some(answer) = question.take()
                        {
                            let _cancelled_meanwhile = answer.send(keys);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let bug = Error::new(Kind::Internal, "a transfer ended without a result; please report this");
                    return Err(to_python(py, &bug, None));
                }
            }
            py.check_signals()?;
            self.here(())?;
        }
    }

    /// A value of the transfer's, which in a forked child is neither used nor dropped: that would wake tasks which are not
    /// there.
    fn here<V>(&self, value: V) -> PyResult<V> {
        if self.is_elsewhere() {
            std::mem::forget(value);
            return Err(PyRuntimeError::new_err(FORKED));
        }
        Ok(value)
    }

    /// Whether this is a forked child, in which nothing of the transfer lives.
    fn is_elsewhere(&self) -> bool {
        self.process != std::process::id()
    }

    /// Waits until a cancelled transfer has cleaned up. Questions are no longer answered.
    fn until_clean(&mut self, py: Python<'_>) -> Option<T> {
        let received = &mut self.received;
        self.visit.detached(py, move || {
            let deadline = Instant::now() + CLEAN_UP;
            loop {
                match received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                    Ok(Note::Done(done)) => return Some(done),
                    Ok(Note::Log(..) | Note::ContentType(..) | Note::Credentials(_)) => {}
                    Err(_) => return None,
                }
            }
        })
    }
}
