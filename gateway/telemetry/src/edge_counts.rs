//! What the edge counts for the whole process: connections that were turned away, panics, and how full memory is.
//!
//! Plain atomics instead of a worker's shard: all of it is rare, or read once a second.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::exposition::{Exposition, Labels};
use crate::metric_kind::MetricKind::{Counter, Gauge};
use crate::upstream_counts::UpstreamCounts;

/// The counts of the process.
#[derive(Debug, Default)]
pub struct EdgeCounts {
    connections: AtomicU64,
    over_socket: AtomicU64,
    over_process: AtomicU64,
    accept_errors: AtomicU64,
    panics: AtomicU64,
    overload: AtomicU64,
    overloaded: AtomicU64,
    memory_used: AtomicU64,
    memory_limit: AtomicU64,
    upstream: UpstreamCounts,
}

/// Which limit a connection was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionLimit {
    /// That of its socket.
    Socket,
    /// That of the process.
    Process,
}

impl EdgeCounts {
    /// What is sent upstream beyond first attempts.
    pub fn upstream(&self) -> &UpstreamCounts {
        &self.upstream
    }

    /// So many connections are open.
    pub fn set_connections(&self, connections: usize) {
        self.connections.store(connections as u64, Relaxed);
    }

    /// A connection was accepted and closed at once.
    pub fn turned_away(&self, limit: ConnectionLimit) {
        let count = match limit {
            ConnectionLimit::Socket => &self.over_socket,
            ConnectionLimit::Process => &self.over_process,
        };
        count.fetch_add(1, Relaxed);
    }

    /// Accepting failed.
    pub fn accept_failed(&self) {
        self.accept_errors.fetch_add(1, Relaxed);
    }

    /// The code that served a request panicked.
    pub fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    /// A request was refused for want of memory.
    pub fn refused_for_memory(&self) {
        self.overloaded.fetch_add(1, Relaxed);
    }

    /// Memory in use and its limit, in bytes, and the level of overload: 0, 1 (draining), 2 (refusing).
    pub fn set_memory(&self, used: u64, limit: u64, level: u64) {
        self.memory_used.store(used, Relaxed);
        self.memory_limit.store(limit, Relaxed);
        self.overload.store(level, Relaxed);
    }

    pub(crate) fn write(&self, text: &mut Exposition) {
        let name = "portcullis_connections";
        text.single(name, Gauge, "Open connections.", self.connections.load(Relaxed));
        self.write_turned_away(text);
        let errors = self.accept_errors.load(Relaxed);
        let name = "portcullis_accept_errors_total";
        text.single(name, Counter, "Times that accepting failed.", errors);
        let panics = self.panics.load(Relaxed);
        text.single("portcullis_panics_total", Counter, "Requests that ended in a panic.", panics);
        self.write_overload(text);
        self.upstream.write(text);
    }

    fn write_turned_away(&self, text: &mut Exposition) {
        let name = "portcullis_connections_refused_total";
        text.family(name, Counter, "Connections closed at once, over a limit.");
        for (limit, count) in [("socket", &self.over_socket), ("process", &self.over_process)] {
            text.sample(name, &Labels::default().with("limit", limit), count.load(Relaxed));
        }
    }

    fn write_overload(&self, text: &mut Exposition) {
        let name = "portcullis_overload_requests_total";
        let refused = self.overloaded.load(Relaxed);
        text.single(name, Counter, "Requests refused for want of memory.", refused);
        let limit = self.memory_limit.load(Relaxed);
        if limit == 0 {
            return;
        }
        let level = self.overload.load(Relaxed);
        let help = "0: enough memory, 1: draining, 2: refusing.";
        text.single("portcullis_overload_level", Gauge, help, level);
        let used = self.memory_used.load(Relaxed);
        text.single("portcullis_memory_used_bytes", Gauge, "Memory in use.", used);
        text.single("portcullis_memory_limit_bytes", Gauge, "Memory there is.", limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_where_its_limit_is_known() {
        let counts = EdgeCounts::default();
        let written = || {
            let mut text = Exposition::default();
            counts.write(&mut text);
            text.finish()
        };
        counts.turned_away(ConnectionLimit::Process);
        assert!(written().contains("portcullis_connections_refused_total{limit=\"process\"} 1"));
        assert!(!written().contains("memory_used"));
        counts.set_memory(95, 100, 2);
        assert!(written().contains("portcullis_memory_used_bytes 95"));
        assert!(written().contains("portcullis_overload_level 2"));
    }
}
