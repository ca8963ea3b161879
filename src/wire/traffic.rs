//! How many requests and connections a host has. hyper-util connects whenever no idle connection is at hand, and keeps
//! what it did not need after all; here is decided which connections are made.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Connections that are made at once to a host that is not known yet; each that succeeds allows one more, so that their
/// number doubles with each round trip. A burst of hundreds would overrun the server's backlog: 128 is usual (Linux before
/// 5.4, SOMAXCONN; Python's socketserver has 5).
const FIRST_CONNECTS: usize = 4;
/// The most at once: half of the widest window that options have by default (512).
const MOST_CONNECTS: usize = 256;

/// The hosts of a pool.
#[derive(Debug, Default)]
pub struct Traffic {
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// One host.
#[derive(Debug)]
pub struct Host {
    requests: AtomicUsize,
    connections: AtomicUsize,
    /// Connections that must be made whatever the numbers say.
    demanded: AtomicUsize,
    connecting: Semaphore,
    allowed: AtomicUsize,
}

/// Counts one request or connection until it is dropped.
#[derive(Debug)]
pub struct Counted {
    host: Arc<Host>,
    what: fn(&Host) -> &AtomicUsize,
}

impl Counted {
    fn new(host: &Arc<Host>, what: fn(&Host) -> &AtomicUsize) -> Self {
        what(host).fetch_add(1, SeqCst);
        Self { host: host.clone(), what }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.what)(&self.host).fetch_sub(1, SeqCst);
    }
}

impl Traffic {
    /// The host of a URL.
    pub fn host(&self, uri: &Uri) -> Arc<Host> {
        let name = uri.authority().map_or("", http::uri::Authority::as_str);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        match hosts.get(name) {
            Some(host) => host.clone(),
            None => hosts.entry(name.to_owned()).or_insert_with(|| Arc::new(Host::new())).clone(),
        }
    }
}

impl Host {
    fn new() -> Self {
        Self {
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            demanded: AtomicUsize::new(0),
            connecting: Semaphore::new(FIRST_CONNECTS),
            allowed: AtomicUsize::new(FIRST_CONNECTS),
        }
    }

    /// Counts a request.
    pub fn request(self: &Arc<Self>) -> Counted {
        Counted::new(self, |host| &host.requests)
    }

    /// Makes sure that the next connection is made.
    pub fn demand(&self) {
        self.demanded.fetch_add(1, SeqCst);
    }

    /// Waits for the turn to connect. `None` when there are as many connections as requests: then one is free, or about
    /// to be, and whoever asked has perhaps got one meanwhile.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = self.connecting.acquire().await.ok()?;
        let demanded = self.demanded.fetch_update(SeqCst, SeqCst, |demanded| demanded.checked_sub(1)).is_ok();
        (demanded || self.connections.load(SeqCst) < self.requests.load(SeqCst)).then_some(turn)
    }

    /// Counts a connection that stands, and lets one more be made at the same time.
    pub fn connected(self: &Arc<Self>) -> Counted {
        if self.allowed.fetch_add(1, SeqCst) < MOST_CONNECTS {
            self.connecting.add_permits(1);
        }
        Counted::new(self, |host| &host.connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_connections_than_requests_unless_demanded() {
        let traffic = Traffic::default();
        let host = traffic.host(&Uri::from_static("http://h:1/a"));
        assert!(Arc::ptr_eq(&host, &traffic.host(&Uri::from_static("http://h:1/b"))));
        assert!(host.turn().await.is_none());
        let request = host.request();
        assert!(host.turn().await.is_some());
        let connection = host.connected();
        assert!(host.turn().await.is_none());
        host.demand();
        assert!(host.turn().await.is_some());
        assert!(host.turn().await.is_none());
        drop(connection);
        assert!(host.turn().await.is_some());
        drop(request);
    }

    #[tokio::test]
    async fn connections_at_once_double_with_each_round_trip() {
        let host = Arc::new(Host::new());
        let _requests: Vec<_> = (0..100).map(|_| host.request()).collect();
        assert_eq!(host.connecting.available_permits(), FIRST_CONNECTS);
        let _connections: Vec<_> = (0..FIRST_CONNECTS).map(|_| host.connected()).collect();
        assert_eq!(host.connecting.available_permits(), 2 * FIRST_CONNECTS);
    }
}
