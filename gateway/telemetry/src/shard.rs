//! One worker's counts: plain numbers, merged only when somebody asks.

use std::sync::Arc;
use std::time::Duration;

use portcullis_exchange::Exchange;
use rustc_hash::FxHashMap;

use crate::callback_counts::CallbackCounts;
use crate::callback_shard::CallbackShard;
use crate::connection_counts::{ConnectionCounts, ConnectionEvent, ConnectionKey, ConnectionShard};
use crate::histogram::{Histogram, ISTIO_BOUNDS, SECOND_BOUNDS};
use crate::plugin_metrics::PluginMetrics;
use crate::plugin_phase::PluginPhase;
use crate::series_key::SeriesKey;
use crate::target::RequestTarget;

/// A worker holds no more than this many counts apart; the rest share one.
const MOST_KEYS: usize = 10_000;

/// What one worker counted. Clone it to hand it to the control side.
#[derive(Clone, Debug, Default)]
pub struct MetricShard {
    places: FxHashMap<SeriesKey, u32>,
    requests: Vec<(SeriesKey, RequestCounts)>,
    callbacks: CallbackShard,
    connections: ConnectionShard,
}

impl MetricShard {
    /// An empty shard.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a request that has ended.
    pub fn record(&mut self, target: &Arc<RequestTarget>, exchange: &Exchange) {
        let counts = self.counts_of(SeriesKey::new(target.id(), exchange));
        if let Some(counts) = counts {
            counts.observe(exchange);
        }
    }

    /// Counts a plugin's callback.
    pub fn plugin_callback(&mut self, plugin: &PluginMetrics, phase: PluginPhase, took: Duration) {
        if let Some(counts) = self.callbacks.of(plugin.id(), phase) {
            counts.observe(took);
        }
    }

    /// Counts so many that were not measured: they count as the last one of their phase that was.
    pub fn untimed_callbacks(&mut self, plugin: &PluginMetrics, phase: PluginPhase, count: u32) {
        if let Some(counts) = self.callbacks.of(plugin.id(), phase) {
            counts.observe_untimed(count);
        }
    }

    /// Counts what happened to a connection whose bytes are passed on.
    pub fn connection(&mut self, target: &RequestTarget, event: ConnectionEvent) {
        self.connections.note(target, event);
    }

    /// What was counted of requests.
    pub(crate) fn requests(&self) -> &[(SeriesKey, RequestCounts)] {
        &self.requests
    }

    /// What was counted of callbacks, by plugin and phase.
    pub(crate) fn callbacks(&self) -> impl Iterator<Item = ((u32, PluginPhase), &CallbackCounts)> {
        self.callbacks.iter()
    }

    /// What was counted of connections.
    pub(crate) fn connections(&self) -> impl Iterator<Item = (ConnectionKey, ConnectionCounts)> {
        self.connections.iter()
    }

    fn counts_of(&mut self, key: SeriesKey) -> Option<&mut RequestCounts> {
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => self.make_place(key),
        };
        self.requests.get_mut(place as usize).map(|(_, counts)| counts)
    }

    #[cold]
    fn make_place(&mut self, key: SeriesKey) -> u32 {
        let key = if self.requests.len() < MOST_KEYS { key } else { SeriesKey::OTHER };
        *self.places.entry(key).or_insert_with(|| {
            self.requests.push((key, RequestCounts::default()));
            (self.requests.len() - 1) as u32
        })
    }
}

/// What is counted of the requests of one key.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestCounts {
    /// Requests.
    pub(crate) requests: u64,
    /// Bytes of request bodies.
    pub(crate) bytes_received: u64,
    /// Bytes of reply bodies.
    pub(crate) bytes_sent: u64,
    /// Durations in milliseconds, by Istio's bounds.
    pub(crate) milliseconds: Histogram<{ ISTIO_BOUNDS.len() + 1 }>,
    /// Bytes received, by Istio's bounds.
    pub(crate) request_bytes: Histogram<{ ISTIO_BOUNDS.len() + 1 }>,
    /// Bytes sent, by Istio's bounds.
    pub(crate) response_bytes: Histogram<{ ISTIO_BOUNDS.len() + 1 }>,
    /// Durations in seconds, by our bounds.
    pub(crate) seconds: Histogram<{ SECOND_BOUNDS.len() + 1 }>,
}

impl RequestCounts {
    fn observe(&mut self, exchange: &Exchange) {
        let seconds = exchange.timings.duration().as_secs_f64();
        self.requests += 1;
        self.bytes_received += exchange.bytes_received;
        self.bytes_sent += exchange.bytes_sent;
        self.milliseconds.observe(&ISTIO_BOUNDS, seconds * 1_000.0);
        self.request_bytes.observe(&ISTIO_BOUNDS, exchange.bytes_received as f64);
        self.response_bytes.observe(&ISTIO_BOUNDS, exchange.bytes_sent as f64);
        self.seconds.observe(&SECOND_BOUNDS, seconds);
    }

    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.milliseconds.add(&other.milliseconds);
        self.request_bytes.add(&other.request_bytes);
        self.response_bytes.add(&other.response_bytes);
        self.seconds.add(&other.seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::TargetLabels;

    fn target(id: u32) -> Arc<RequestTarget> {
        Arc::new(RequestTarget::new(id, TargetLabels::unknown()))
    }

    #[test]
    fn requests_of_a_target_are_added_up() {
        let mut shard = MetricShard::new();
        let mut exchange = Exchange::for_test();
        exchange.bytes_sent = 30;
        exchange.timings.ended = Some(exchange.timings.started + Duration::from_millis(3));
        for id in [1, 2, 1] {
            shard.record(&target(id), &exchange);
        }
        let [(_, first), (_, second)] = shard.requests() else { panic!("two keys") };
        assert_eq!((first.requests, first.bytes_sent), (2, 60));
        assert_eq!(second.requests, 1);
        assert_eq!(first.milliseconds.buckets[2], 2);
        assert_eq!(first.response_bytes.buckets[5], 2);
    }

    #[test]
    fn a_shard_does_not_grow_for_ever() {
        let mut shard = MetricShard::new();
        let exchange = Exchange::for_test();
        let late = 5;
        for id in 0..MOST_KEYS as u32 + late {
            shard.record(&target(id), &exchange);
        }
        assert_eq!(shard.requests().len(), MOST_KEYS + 1);
        let last = shard.requests().last().map(|(key, counts)| (*key, counts.requests));
        assert_eq!(last, Some((SeriesKey::OTHER, u64::from(late))));
    }
}
