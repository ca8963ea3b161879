//! Counters, as one snapshot.

use std::collections::BTreeMap;

use super::operation::Operation;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests whose head was read, by operation.
    pub operations: BTreeMap<Operation, usize>,
    pub connections_accepted: usize,
    pub connections_open: usize,
    pub connections_peak: usize,
    /// Requests whose head was read and whose answer isn't finished.
    pub requests_in_flight: usize,
    pub requests_peak: usize,
    /// Multipart uploads that are neither completed nor aborted.
    pub uploads_open: usize,
    /// Plain-text bytes read and written, heads included.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Connections that a fault holds at the moment, and those that ended because the peer closed.
    pub held: usize,
    pub held_until_peer_closed: usize,
    pub fired: BTreeMap<String, usize>,
    pub tls_full_handshakes: usize,
    pub tls_resumed_handshakes: usize,
}

impl Stats {
    pub fn count(&self, operation: Operation) -> usize {
        self.operations.get(&operation).copied().unwrap_or_default()
    }

    pub fn fired(&self, id: &str) -> usize {
        self.fired.get(id).copied().unwrap_or_default()
    }

    /// All requests, whatever they were.
    pub fn requests(&self) -> usize {
        self.operations.values().sum()
    }
}
