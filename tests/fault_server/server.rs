//! The server as a test sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::connection;
use super::operation::Operation;
use super::request_log::RequestRecord;
use super::rule::Rule;
use super::script::Script;
use super::state::State;
use super::stats::Stats;
use super::store::Object;
use super::tls::Acceptor;

/// Far above what any awaited condition takes on a loaded machine, below a test's own limit.
const PATIENCE: Duration = Duration::from_secs(20);

/// Serves from `start` until it is dropped, which closes every socket and ends its thread.
pub struct FaultServer {
    address: SocketAddr,
    state: Arc<State>,
    certificate_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    #[cfg(test)]
    _watchdog: super::watchdog::Watchdog,
}

/// A condition did not come true in time.
#[derive(Debug)]
pub struct TimedOut {
    pub what: String,
    pub last: Stats,
}

impl FaultServer {
    /// On 127.0.0.1, any free port unless the script names one. Panics if that fails: then no test can go on.
    pub fn start(script: Script) -> FaultServer {
        Self::try_start(script).unwrap_or_else(|error| panic!("the fault server does not start: {error}"))
    }

    fn try_start(script: Script) -> Result<FaultServer, Box<dyn std::error::Error>> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], script.port)).into())?;
        socket.listen(i32::try_from(script.backlog)?)?;
        socket.set_nonblocking(true)?;
        let listener = std::net::TcpListener::from(socket);
        let address = listener.local_addr()?;
        let (acceptor, certificate_pem) = match script.tls.map(Acceptor::new).transpose()? {
            Some((acceptor, pem)) => (Some(acceptor), Some(pem)),
            None => (None, None),
        };
        let state = Arc::new(State::new(script));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("fault-server".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, shared, acceptor) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(FaultServer {
            address,
            state,
            certificate_pem,
            stop: Some(stop),
            thread: Some(thread),
            #[cfg(test)]
            _watchdog: super::watchdog::Watchdog::start(),
        })
    }

    /// `http://127.0.0.1:<port>`, or `https://` with TLS.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.certificate_pem.is_some() { "https" } else { "http" }, self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client has to trust; `None` without TLS.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    pub fn create_bucket(&self, bucket: &str) {
        self.state.with_store(|store| {
            store.buckets.entry(bucket.to_owned()).or_default();
        });
    }

    pub fn has_bucket(&self, bucket: &str) -> bool {
        self.state.with_store(|store| store.buckets.contains_key(bucket))
    }

    /// Creates the bucket too.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.state.with_store(|store| store.put(bucket, key, Object::new(bytes.into())));
    }

    /// Changes a stored object: another ETag, a content type, a composite checksum. False if there is none.
    pub fn change(&self, bucket: &str, key: &str, change: impl FnOnce(&mut Object)) -> bool {
        self.state.with_store(|store| {
            store.buckets.get_mut(bucket).and_then(|objects| objects.get_mut(key)).map(change).is_some()
        })
    }

    pub fn delete(&self, bucket: &str, key: &str) -> Option<Object> {
        self.state.with_store(|store| store.buckets.get_mut(bucket)?.remove(key))
    }

    pub fn object(&self, bucket: &str, key: &str) -> Option<Object> {
        self.state.with_store(|store| store.buckets.get(bucket)?.get(key).cloned())
    }

    /// In the order of their bytes; none for a bucket that does not exist.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.state.with_store(|store| store.buckets.get(bucket).into_iter().flat_map(|it| it.keys().cloned()).collect())
    }

    pub fn stats(&self) -> Stats {
        self.state.stats.borrow().clone()
    }

    pub fn requests(&self) -> Vec<RequestRecord> {
        self.state.requests()
    }

    /// Only those of one operation.
    pub fn requests_of(&self, operation: Operation) -> Vec<RequestRecord> {
        self.requests().into_iter().filter(|record| record.operation == operation).collect()
    }

    /// How often the rule with this id took a request.
    pub fn fired(&self, id: &str) -> usize {
        self.stats().fired(id)
    }

    /// Returns at once when, or as soon as, the condition holds.
    pub async fn wait_until(&self, what: &str, condition: impl FnMut(&Stats) -> bool) -> Result<Stats, TimedOut> {
        self.wait_at_most(PATIENCE, what, condition).await
    }

    pub async fn wait_at_most(
        &self,
        limit: Duration,
        what: &str,
        condition: impl FnMut(&Stats) -> bool,
    ) -> Result<Stats, TimedOut> {
        let mut stats = self.state.stats.subscribe();
        match tokio::time::timeout(limit, stats.wait_for(condition)).await {
            Ok(Ok(stats)) => Ok(stats.clone()),
            _ => Err(TimedOut { what: what.to_owned(), last: self.stats() }),
        }
    }

    pub fn add_rule(&self, rule: Rule) {
        self.state.add_rule(rule);
    }

    pub fn clear_rules(&self) {
        self.state.clear_rules();
    }

    /// From now on requests with this access key or session token get ExpiredToken.
    pub fn expire(&self, access_key_or_token: &str) {
        self.state.with_store(|store| store.expired_credentials.insert(access_key_or_token.to_owned()));
    }

    pub fn shift_clock(&self, seconds: i64) {
        self.state.set_clock_shift(seconds);
    }

    /// Connections stay in the kernel's queue, and hang in connect once `Script::backlog` is full.
    pub fn pause_accepting(&self) {
        self.state.accepting.send_replace(false);
    }

    pub fn resume_accepting(&self) {
        self.state.accepting.send_replace(true);
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _already_stopped = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _its_panic_was_printed = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, state: Arc<State>, acceptor: Option<Acceptor>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut accepted = 0;
    let mut accepting = state.accepting.subscribe();
    loop {
        if accepting.wait_for(|open| *open).await.is_err() {
            return;
        }
        tokio::select! {
            biased;
            _ = accepting.wait_for(|open| !*open) => {}
            connection = listener.accept() => {
                // An error here is the peer's (it has gone) or a lack of descriptors that will pass.
                let Ok((stream, _)) = connection else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                let number = accepted;
                accepted += 1;
                tokio::spawn(connection::serve(stream, Arc::clone(&state), acceptor.clone(), number));
            }
        }
    }
}
