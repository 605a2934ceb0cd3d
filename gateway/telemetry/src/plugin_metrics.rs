//! One plugin object's metrics: what the plugin defined and what we count about it, shared by all workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::families::Families;
use crate::histogram::{ISTIO_BOUNDS, bucket_of};
use crate::metric_kind::MetricKind;
use crate::plugin_tallies::PluginTallies;

/// Why a metric call was refused; always the plugin's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// No metric has this number.
    #[error("no metric has this id")]
    Unknown,
    /// The metric cannot do this: a counter cannot go down, a histogram has no value.
    #[error("the metric's kind cannot do this")]
    WrongKind,
    /// A metric needs a name.
    #[error("the metric's name is empty")]
    EmptyName,
}

const CHUNK: usize = 32;
const CHUNKS: usize = 16;
/// The last slots are the ones that metrics without room share, one for each kind.
const MOST_METRICS: usize = CHUNK * CHUNKS - 3;

type Chunk = [OnceLock<Metric>; CHUNK];

/// One plugin object's metrics. Everything but [`define`](Self::define) is free of locks.
#[derive(Debug)]
pub struct PluginMetrics {
    /// Callbacks that trapped.
    pub traps: AtomicU64,
    /// Callbacks that went over their time or memory budget.
    pub budget_exceeded: AtomicU64,
    /// Requests let through although the plugin failed.
    pub fail_open: AtomicU64,
    /// Instances alive.
    pub instances: AtomicI64,
    /// Memory of all instances together.
    pub memory_bytes: AtomicU64,
    /// What is counted apart by phase, by host call, by result.
    pub tallies: PluginTallies,
    id: u32,
    label: Arc<str>,
    families: Arc<Mutex<Families>>,
    defined: Mutex<HashMap<(MetricKind, Box<str>), u32>>,
    chunks: [OnceLock<Box<Chunk>>; CHUNKS],
}

impl PluginMetrics {
    pub(crate) fn new(id: u32, label: Arc<str>, families: Arc<Mutex<Families>>) -> Self {
        PluginMetrics {
            traps: AtomicU64::new(0),
            budget_exceeded: AtomicU64::new(0),
            fail_open: AtomicU64::new(0),
            instances: AtomicI64::new(0),
            memory_bytes: AtomicU64::new(0),
            tallies: PluginTallies::default(),
            id,
            label,
            families,
            defined: Mutex::default(),
            chunks: Default::default(),
        }
    }

    /// A metric's number; the same kind and name have the same one, whichever instance asks. When a plugin
    /// has defined too many, the rest share one named `other`.
    pub fn define(&self, kind: MetricKind, name: &str) -> Result<u32, MetricError> {
        if name.is_empty() {
            return Err(MetricError::EmptyName);
        }
        let mut defined = self.defined.lock();
        if let Some(id) = defined.get(&(kind, name.into())) {
            return Ok(*id);
        }
        let next = defined.len();
        if next >= MOST_METRICS || !self.families.lock().take_room(kind) {
            return self.place(MOST_METRICS + kind as usize, kind, "other");
        }
        let id = self.place(next, kind, name)?;
        defined.insert((kind, name.into()), id);
        Ok(id)
    }

    /// Adds to a counter or gauge; a counter takes only positive offsets.
    pub fn increment(&self, id: u32, offset: i64) -> Result<(), MetricError> {
        let metric = self.metric(id)?;
        match metric.kind {
            MetricKind::Counter if offset <= 0 => Err(MetricError::WrongKind),
            MetricKind::Histogram => Err(MetricError::WrongKind),
            MetricKind::Counter | MetricKind::Gauge => {
                // Two's complement: adding the bits of a negative number subtracts.
                metric.value.fetch_add(offset as u64, Relaxed);
                Ok(())
            }
        }
    }

    /// Sets a gauge, adds to a counter, or puts a value into a histogram, as Envoy does.
    pub fn record(&self, id: u32, value: u64) -> Result<(), MetricError> {
        let metric = self.metric(id)?;
        match metric.kind {
            MetricKind::Gauge => metric.value.store(value, Relaxed),
            MetricKind::Counter => {
                metric.value.fetch_add(value, Relaxed);
            }
            MetricKind::Histogram => metric.observe(value),
        }
        Ok(())
    }

    /// A counter's or gauge's value; `None` for a histogram and for what does not exist.
    pub fn value(&self, id: u32) -> Option<u64> {
        let metric = self.metric(id).ok()?;
        (metric.kind != MetricKind::Histogram).then(|| metric.value.load(Relaxed))
    }

    /// The value of the label `plugin`: `ns/name`.
    pub fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// All defined metrics, in the order in which they were.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.chunks
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|chunk| chunk.iter())
            .filter_map(OnceLock::get)
    }

    fn place(&self, slot: usize, kind: MetricKind, name: &str) -> Result<u32, MetricError> {
        let chunk = self.chunks.get(slot / CHUNK).ok_or(MetricError::Unknown)?;
        let cell = chunk.get_or_init(Box::default).get(slot % CHUNK).ok_or(MetricError::Unknown)?;
        cell.get_or_init(|| Metric::new(kind, self.families.lock().claim(kind, name)));
        u32::try_from(slot).map_err(|_| MetricError::Unknown)
    }

    fn metric(&self, id: u32) -> Result<&Metric, MetricError> {
        let slot = id as usize;
        let chunk = self.chunks.get(slot / CHUNK).and_then(OnceLock::get);
        chunk.and_then(|chunk| chunk.get(slot % CHUNK)?.get()).ok_or(MetricError::Unknown)
    }
}

impl Drop for PluginMetrics {
    fn drop(&mut self) {
        let mut families = self.families.lock();
        for (kind, _) in self.defined.get_mut().keys() {
            families.give_back(*kind);
        }
    }
}

/// One metric that a plugin defined.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) kind: MetricKind,
    /// The name shown, valid for Prometheus.
    pub(crate) name: Arc<str>,
    /// A counter's or gauge's value, a histogram's sum.
    pub(crate) value: AtomicU64,
    /// A histogram's buckets, not cumulative; empty otherwise.
    pub(crate) buckets: Box<[AtomicU64]>,
}

impl Metric {
    fn new(kind: MetricKind, name: Arc<str>) -> Self {
        let buckets = if kind == MetricKind::Histogram { ISTIO_BOUNDS.len() + 1 } else { 0 };
        let buckets = (0..buckets).map(|_| AtomicU64::new(0)).collect();
        Metric { kind, name, value: AtomicU64::new(0), buckets }
    }

    fn observe(&self, value: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(&ISTIO_BOUNDS, value as f64)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.value.fetch_add(value, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_test() -> PluginMetrics {
        let families = Arc::new(Mutex::new(Families::with_room(10_000)));
        PluginMetrics::new(1, "ns/name".into(), families)
    }

    #[test]
    fn all_instances_of_a_plugin_share_a_metric() {
        let metrics = for_test();
        let first = metrics.define(MetricKind::Counter, "hits").unwrap();
        let second = metrics.define(MetricKind::Counter, "hits").unwrap();
        assert_eq!(first, second);
        assert_ne!(first, metrics.define(MetricKind::Gauge, "hits").unwrap());
        metrics.increment(first, 2).unwrap();
        metrics.record(second, 3).unwrap();
        assert_eq!(metrics.value(first), Some(5));
    }

    #[test]
    fn gauges_go_down_and_counters_do_not() {
        let metrics = for_test();
        let gauge = metrics.define(MetricKind::Gauge, "open").unwrap();
        metrics.record(gauge, 10).unwrap();
        metrics.increment(gauge, -3).unwrap();
        assert_eq!(metrics.value(gauge), Some(7));
        let counter = metrics.define(MetricKind::Counter, "hits").unwrap();
        assert_eq!(metrics.increment(counter, -1), Err(MetricError::WrongKind));
    }

    #[test]
    fn histograms_have_no_value() {
        let metrics = for_test();
        let histogram = metrics.define(MetricKind::Histogram, "size").unwrap();
        metrics.record(histogram, 7).unwrap();
        assert_eq!(metrics.value(histogram), None);
        assert_eq!(metrics.increment(histogram, 1), Err(MetricError::WrongKind));
    }

    #[test]
    fn what_was_never_defined_is_refused() {
        let metrics = for_test();
        assert_eq!(metrics.record(3, 1), Err(MetricError::Unknown));
        assert_eq!(metrics.record(u32::MAX, 1), Err(MetricError::Unknown));
        assert_eq!(metrics.value(0), None);
        assert_eq!(metrics.define(MetricKind::Gauge, ""), Err(MetricError::EmptyName));
    }

    #[test]
    fn plugins_share_the_room_and_give_it_back() {
        let families = Arc::new(Mutex::new(Families::with_room(1)));
        let first = PluginMetrics::new(1, "ns/first".into(), families.clone());
        first.define(MetricKind::Gauge, "a").unwrap();
        let second = PluginMetrics::new(2, "ns/second".into(), families.clone());
        second.define(MetricKind::Gauge, "b").unwrap();
        assert_eq!(second.metrics().next().map(|metric| &*metric.name), Some("other"));
        drop(first);
        assert!(families.lock().take_room(MetricKind::Gauge));
    }

    #[test]
    fn too_many_metrics_share_one() {
        let metrics = for_test();
        for nth in 0..MOST_METRICS {
            metrics.define(MetricKind::Gauge, &format!("gauge{nth}")).unwrap();
        }
        let late = metrics.define(MetricKind::Counter, "late").unwrap();
        assert_eq!(late, metrics.define(MetricKind::Counter, "later").unwrap());
        metrics.increment(late, 1).unwrap();
        assert_eq!(metrics.metrics().count(), MOST_METRICS + 1);
        assert_eq!(metrics.metrics().last().map(|metric| &*metric.name), Some("other_total"));
    }
}
