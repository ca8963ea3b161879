//! The one connection pool: sends a request and waits for the head of its answer, with every limit of time, and without
//! leaving a connection behind that nobody waits for.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Notify;

use super::body::{BodyState, BoxFuture, Payload, RequestBody};
use super::connector::{Connector, SURPLUS};
use super::failure::{from_hyper, is_cut_write};
use super::proxy::Routes;
use super::resolve::LookUp;
use super::socket::ConnectionHandle;
use super::tls::Tls;
use super::traffic::Traffic;
use crate::error::{Error, Kind, Result};
use crate::flow::Window;

/// S3 closes idle connections after about 20 s, other servers after 5 (PITFALLS 1.7): below both.
const IDLE_LIMIT: Duration = Duration::from_secs(4);
/// hyper's read buffer per connection; it is counted in the memory budget. Twice as much was no faster and cost a third
/// more memory for each range (docs/decisions/0003).
pub const READ_BUFFER: usize = 128 << 10;
/// Objects may have as much metadata as S3 allows in many small headers. hyper's own limit is 100, and it prepares room
/// for all of them at each answer: 64 KiB for this many, so that only answers that need it are read this way.
const MAXIMUM_HEADERS: usize = 2048;
/// How often a request is sent again at once because a kept connection turned out to be closed. The first other one may
/// have been idle for as long; a third time it is no coincidence (PITFALLS 1.6).
const STALE_RESENDS: usize = 2;
/// How often a request that was refused a connection of its own looks for a free one. Each look costs no time; one is
/// nearly always enough, since a connection is refused only when others are as many as the requests.
const SURPLUS_WAITS: usize = 3;
/// How hyper says that there are more headers than it has room for.
const HEAD_TOO_LARGE: &str = "message head is too large";
/// How long `100 Continue` is waited for (RFC 9110 section 10.1.1 leaves it to the client; curl waits 1 s).
const CONTINUE_LIMIT: Duration = Duration::from_secs(1);
/// The slowest transfer that counts as one, in bytes per second (DESIGN.md decision 2).
const MINIMUM_RATE: f64 = 1024.0;

/// Limits of time for one request.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Without progress.
    pub read: Duration,
}

/// How a request is sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Limits of time.
    pub timeouts: Timeouts,
    /// Whether the same bytes may be sent again when a kept connection turns out to be closed.
    pub replayable: bool,
    /// Whether nothing makes up for an answer that can't be read: with room for many headers from the first attempt on, on a
    /// connection that may be one more.
    pub only_once: bool,
    /// Whether the body waits for `100 Continue`.
    pub expect_continue: bool,
    /// Where moved bytes are counted.
    pub window: Option<Window>,
}

/// The pool. Clones share it.
#[derive(Clone)]
pub struct Pool {
    client: Client<Connector, RequestBody>,
    /// For the rare answers with more headers than usual, and those that can't be had twice; opens no connection before.
    wide: Client<Connector, RequestBody>,
    routes: Routes,
    traffic: Arc<Traffic>,
    wide_traffic: Arc<Traffic>,
}

/// An answer's head, and its body still on the connection.
pub struct Answer {
    /// Status, headers, body.
    pub response: Response<Incoming>,
    /// What is known of the connection.
    pub connection: Option<ConnectionHandle>,
    /// From the last byte that was written to the head of the answer, where the connection is known.
    pub answer_time: Option<Duration>,
    /// The request's body, when the head came before its end.
    pub unfinished: Option<Unfinished>,
}

/// A body that the server did not want to the end. It is held, so that the answer can be read: a connection that is
/// closed takes along what was not read yet. When nobody reads any more, body and connection end.
pub struct Unfinished {
    state: Arc<BodyState>,
    connection: Option<ConnectionHandle>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.state.stop();
        if let Some(connection) = &self.connection {
            connection.kill();
        }
    }
}

impl Pool {
    /// A pool whose connections must stand within `connect_limit`, whatever a request allows.
    pub fn new(tls: Tls, routes: Routes, look_up: Arc<LookUp>, connect_limit: Duration) -> Self {
        let tls = Arc::new(tls);
        let (traffic, wide_traffic) = (Arc::<Traffic>::default(), Arc::<Traffic>::default());
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(READ_BUFFER)
            .retry_canceled_requests(true)
            .set_host(false);
        let client =
            builder.build(Connector::new(tls.clone(), routes.clone(), look_up.clone(), connect_limit, traffic.clone()));
        builder.http1_max_headers(MAXIMUM_HEADERS);
        let wide = builder.build(Connector::new(tls, routes.clone(), look_up, connect_limit, wide_traffic.clone()));
        Self { client, wide, routes, traffic, wide_traffic }
    }

    /// Sends a request. `head` holds everything but the body.
    pub async fn send(&self, head: &Request<()>, payload: &Payload, sending: &Sending) -> Result<Answer> {
        let mut refused = 0;
        let mut resends = 0;
        let mut wide = sending.only_once;
        loop {
            let failure = match self.send_once(head, payload, sending, wide).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if failure.error.message() == SURPLUS {
                // Somebody's connection has become free, or is about to. If not, one is made after all.
                refused += 1;
                if refused > SURPLUS_WAITS {
                    self.traffic(wide).host(head.uri()).demand();
                }
                tokio::task::yield_now().await;
            } else if failure.stale && sending.replayable && resends < STALE_RESENDS {
                resends += 1;
            } else if failure.error.message().ends_with(HEAD_TOO_LARGE) && sending.replayable && !wide {
                wide = true;
            } else {
                return Err(failure.error);
            }
        }
    }

    fn traffic(&self, wide: bool) -> &Traffic {
        if wide { &self.wide_traffic } else { &self.traffic }
    }

    async fn send_once(
        &self,
        head: &Request<()>,
        payload: &Payload,
        sending: &Sending,
        wide: bool,
    ) -> Result<Answer, Failure> {
        let _counted = self.traffic(wide).host(head.uri()).request();
        let gate = sending.expect_continue.then(|| Arc::new(Notify::new()));
        let (body, state) = RequestBody::new(payload.clone(), sending.window.clone(), gate.clone().map(opened));
        let mut request = Request::new(body);
        *request.method_mut() = head.method().clone();
        *request.uri_mut() = head.uri().clone();
        *request.headers_mut() = head.headers().clone();
        if let Some(authorization) = self.routes.authorization(head.uri()) {
            request.headers_mut().insert(http::header::PROXY_AUTHORIZATION, authorization);
        }
        if let Some(gate) = gate {
            request.headers_mut().insert(http::header::EXPECT, http::HeaderValue::from_static("100-continue"));
            hyper::ext::on_informational(&mut request, move |_| gate.notify_one());
        }
        let mut guard = Guard { captured: capture_connection(&mut request), state, armed: true };
        let answered = self.wait(request, &guard, sending.timeouts, wide).await;
        let connection = guard.connection();
        match answered {
            Ok(response) => {
                guard.armed = false;
                let answer_time = connection.as_ref().map(|connection| connection.last_write().elapsed());
                if let Some(connection) = &connection {
                    connection.served();
                }
                let unfinished = (!guard.state.is_finished()).then(|| {
                    // hyper would go on sending the rest into the void.
                    guard.state.hold();
                    Unfinished { state: guard.state.clone(), connection: connection.clone() }
                });
                Ok(Answer { response, connection, answer_time, unfinished })
            }
            Err(error) => {
                // The body's own error is the cause; the network's is its consequence.
                let error = guard.state.error().cloned().unwrap_or(error);
                let stale = error.kind() == &Kind::ConnectionClosed
                    && connection.as_ref().is_some_and(ConnectionHandle::was_stale);
                Err(Failure { error, stale })
            }
        }
    }

    /// Waits for the head. No limit on the whole, only on times without progress.
    async fn wait(
        &self,
        request: Request<RequestBody>,
        guard: &Guard,
        limits: Timeouts,
        wide: bool,
    ) -> Result<Response<Incoming>> {
        let client = if wide { &self.wide } else { &self.client };
        let mut answer = pin!(client.request(request));
        let began = Instant::now();
        let mut deadline = began + limits.connect.min(limits.read);
        let mut counted = (began, 0, Duration::ZERO);
        loop {
            let expired = tokio::time::sleep_until(deadline.into());
            tokio::select! {
                biased;
                answered = &mut answer => return answered.map_err(|error| describe(&error)),
                () = expired => {}
            }
            let now = Instant::now();
            let Some(connection) = guard.connection() else {
                if now - began >= limits.connect {
                    return Err(Error::new(Kind::ConnectTimeout, format!("no connection within {:?}", limits.connect)));
                }
                deadline = began + limits.connect;
                continue;
            };
            let source = guard.state.source_time();
            if source.is_waiting() {
                // The server waits for our file, not we for the server.
                deadline = now + limits.read;
                continue;
            }
            // A kept connection wrote last for another request, perhaps long ago.
            let quiet_since = connection.last_write().max(began).max(source.ended.unwrap_or(began));
            if now.saturating_duration_since(quiet_since) >= limits.read {
                let text = format!("no answer within {:?}", limits.read);
                return Err(Error::new(Kind::ReadTimeout, text));
            }
            let (at, written, waited) = counted;
            let time = (now - at).saturating_sub(source.total() - waited);
            if !guard.state.is_finished() && time >= limits.read {
                let moved = connection.written() - written;
                if is_too_slow(moved, time) && written > 0 {
                    let text = format!("the server took only {moved} bytes in {time:?}");
                    return Err(Error::new(Kind::ReadTimeout, text));
                }
                counted = (now, connection.written(), source.total());
            }
            deadline = quiet_since + limits.read;
        }
    }
}

/// Whether so many bytes in so much time are no transfer any more.
pub fn is_too_slow(bytes: u64, time: Duration) -> bool {
    (bytes as f64) < MINIMUM_RATE * time.as_secs_f64()
}

/// Why one sending failed.
struct Failure {
    error: Error,
    /// A kept connection was closed before the server saw the request.
    stale: bool,
}

fn describe(error: &hyper_util::client::legacy::Error) -> Error {
    let described = from_hyper(error, "the connection ended before an answer came");
    if is_cut_write(error) && described.kind() == &Kind::ConnectionClosed {
        return Error::new(Kind::ConnectionClosed, CUT_WRITE).caused_by(described);
    }
    described
}

/// The message of an error after which the answer may have been lost together with the connection.
pub const CUT_WRITE: &str = "the server closed the connection while the body was sent; its answer may be lost";

async fn until_open(gate: Arc<Notify>) {
    // Without an answer the body goes out all the same.
    let _either_way = tokio::time::timeout(CONTINUE_LIMIT, gate.notified()).await;
}

fn opened(gate: Arc<Notify>) -> BoxFuture<()> {
    Box::pin(until_open(gate))
}

/// Ends body and connection when nobody waits for the answer any more: a request that was given up must not go on.
struct Guard {
    captured: CaptureConnection,
    state: Arc<BodyState>,
    armed: bool,
}

impl Guard {
    fn connection(&self) -> Option<ConnectionHandle> {
        let metadata = self.captured.connection_metadata();
        let mut extras = Extensions::new();
        metadata.as_ref()?.get_extras(&mut extras);
        extras.remove()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            self.state.stop();
            if let Some(connection) = self.connection() {
                connection.kill();
            }
        }
    }
}
