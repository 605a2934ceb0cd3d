//! What one worker counted of connections whose bytes are passed on.

use portcullis_exchange::ResponseFlags;
use rustc_hash::FxHashMap;

use crate::target::RequestTarget;

/// A worker holds no more than this many counts apart; the rest share one.
const MOST_KEYS: usize = 10_000;

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// It was opened.
    Opened,
    /// It was closed, for which these flags tell why.
    Closed(ResponseFlags),
    /// So many more bytes have passed.
    Passed {
        /// From the client.
        received: u64,
        /// To the client.
        sent: u64,
    },
}

/// Counts by target and flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionShard(FxHashMap<ConnectionKey, ConnectionCounts>);

/// Target and flags; without flags what is not yet closed, or closed as it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionKey {
    pub(crate) target: u32,
    pub(crate) flags: u32,
}

/// What is counted of the connections of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionCounts {
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl ConnectionShard {
    pub(crate) fn note(&mut self, target: &RequestTarget, event: ConnectionEvent) {
        let flags = match event {
            ConnectionEvent::Closed(flags) => flags.bits(),
            ConnectionEvent::Opened | ConnectionEvent::Passed { .. } => 0,
        };
        let key = ConnectionKey { target: target.id(), flags };
        let has_room = self.0.len() < MOST_KEYS || self.0.contains_key(&key);
        // Number 0 is what stands for all others.
        let key = if has_room { key } else { ConnectionKey::default() };
        let counts = self.0.entry(key).or_default();
        match event {
            ConnectionEvent::Opened => counts.opened += 1,
            ConnectionEvent::Closed(_) => counts.closed += 1,
            ConnectionEvent::Passed { received, sent } => {
                counts.received += received;
                counts.sent += sent;
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionKey, ConnectionCounts)> {
        self.0.iter().map(|(key, counts)| (*key, *counts))
    }
}

impl ConnectionCounts {
    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.received += other.received;
        self.sent += other.sent;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::target::TargetLabels;

    #[test]
    fn a_shard_of_connections_does_not_grow_for_ever() {
        let mut shard = ConnectionShard::default();
        for id in 1..MOST_KEYS as u32 + 4 {
            let target = Arc::new(RequestTarget::new(id, TargetLabels::unknown()));
            shard.note(&target, ConnectionEvent::Opened);
            shard.note(&target, ConnectionEvent::Passed { received: 2, sent: 3 });
        }
        assert_eq!(shard.iter().count(), MOST_KEYS + 1);
        let (_, other) = shard.iter().find(|(key, _)| key.target == 0).unwrap();
        assert_eq!((other.opened, other.received, other.sent), (3, 6, 9));
    }
}
