//! The process-wide side of metrics: hands out handles, merges the workers' shards, writes them for Prometheus.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::access_log::AccessLog;
use crate::admission::Admission;
use crate::exposition::{Exposition, Labels};
use crate::families::Families;
use crate::histogram::{Histogram, SECOND_BOUNDS};
use crate::identity::Identity;
use crate::log_writer::LogCounts;
use crate::metric_kind::MetricKind;
use crate::plugin_metrics::PluginMetrics;
use crate::plugin_series::{callback_admission, write_plugins};
use crate::request_series::RequestSeries;
use crate::shard::MetricShard;
use crate::target::{RequestTarget, TargetLabels};

/// The content type of [`Registry::render`].
pub const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Series shown in all, unless told otherwise.
const MOST_SERIES: usize = 10_000;

/// More targets than this are counted together: each costs at least one series.
const MOST_TARGETS: usize = 10_000;

/// Everything that is measured in this process.
#[derive(Debug)]
pub struct Registry {
    identity: Identity,
    targets: Mutex<Targets>,
    plugins: Mutex<Plugins>,
    families: Arc<Mutex<Families>>,
    shown: Mutex<Shown>,
    generation: AtomicU64,
    generations_alive: AtomicUsize,
    problems: AtomicUsize,
    apply: Mutex<Histogram<{ SECOND_BOUNDS.len() + 1 }>>,
    access_logs: Mutex<Vec<Arc<LogCounts>>>,
}

/// Which label sets are shown apart.
#[derive(Debug)]
struct Shown {
    requests: RequestSeries,
    callbacks: Admission,
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

    /// An empty registry that shows 10 000 series.
    pub fn with_identity(identity: Identity) -> Arc<Self> {
        Self::with_series(identity, MOST_SERIES)
    }

    /// An empty registry that shows so many series; what does not fit is counted as `other`.
    pub fn with_series(identity: Identity, series: usize) -> Arc<Self> {
        let shown = Shown {
            requests: RequestSeries::new(series * 85 / 100),
            callbacks: callback_admission(series * 4 / 100),
        };
        Arc::new(Registry {
            identity,
            targets: Mutex::default(),
            plugins: Mutex::default(),
            families: Arc::new(Mutex::new(Families::with_room(series / 10))),
            shown: Mutex::new(shown),
            generation: AtomicU64::new(0),
            generations_alive: AtomicUsize::new(0),
            problems: AtomicUsize::new(0),
            apply: Mutex::default(),
            access_logs: Mutex::default(),
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
        self.generations_alive.store(alive, Relaxed);
    }

    /// Errors in the configuration as it is now.
    pub fn set_config_problems(&self, problems: usize) {
        self.problems.store(problems, Relaxed);
    }

    /// How long a configuration took from draft to publish.
    pub fn observe_apply(&self, took: Duration) {
        self.apply.lock().observe(&SECOND_BOUNDS, took.as_secs_f64());
    }

    /// Shows what an access log loses.
    pub fn watch_access_log(&self, log: &AccessLog) {
        self.access_logs.lock().push(log.counts().clone());
    }

    /// Everything as Prometheus text ([`PROMETHEUS_TEXT`]), from the shards of all workers.
    pub fn render(&self, shards: &[MetricShard]) -> String {
        let mut text = Exposition::default();
        let targets = self.targets.lock().by_id.clone();
        let plugins = self.plugins.lock().in_order();
        let mut shown = self.shown.lock();
        shown.requests.write(&mut text, &self.identity, &targets, shards);
        write_plugins(&mut text, &mut shown.callbacks, &plugins, shards);
        self.write_configuration(&mut text);
        self.write_access_logs(&mut text);
        write_build(&mut text);
        text.finish()
    }

    fn write_configuration(&self, text: &mut Exposition) {
        use MetricKind::{Gauge, Histogram};
        let generation = self.generation.load(Relaxed);
        text.single(
            "portcullis_config_generation",
            Gauge,
            "The generation that serves.",
            generation,
        );
        let alive = self.generations_alive.load(Relaxed);
        text.single("portcullis_generations_alive", Gauge, "Generations in use.", alive);
        let problems = self.problems.load(Relaxed);
        text.single("portcullis_config_problems", Gauge, "Errors in the configuration.", problems);
        let apply = self.apply.lock().clone();
        let name = "portcullis_config_apply_seconds";
        text.family(name, Histogram, "From reading a configuration to serving it.");
        text.histogram(name, &Labels::default(), &SECOND_BOUNDS, apply.buckets, apply.sum);
    }

    fn write_access_logs(&self, text: &mut Exposition) {
        let logs = self.access_logs.lock();
        let dropped: u64 = logs.iter().map(|log| log.dropped.load(Relaxed)).sum();
        let name = "portcullis_access_log_dropped_total";
        text.single(name, MetricKind::Counter, "Access-log lines lost.", dropped);
        let errors: u64 = logs.iter().map(|log| log.write_errors.load(Relaxed)).sum();
        let name = "portcullis_access_log_write_errors_total";
        text.single(name, MetricKind::Counter, "Access-log writes that failed.", errors);
    }
}

fn write_build(text: &mut Exposition) {
    text.family("istio_build", MetricKind::Gauge, "The version that runs.");
    let tag = env!("CARGO_PKG_VERSION");
    let labels = Labels::default().with("component", "portcullis").with("tag", tag);
    text.sample("istio_build", &labels, 1);
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
    fn in_order(&self) -> Vec<Arc<PluginMetrics>> {
        let mut plugins: Vec<_> = self.by_name.values().cloned().collect();
        plugins.sort_by_key(|plugin| plugin.id());
        plugins
    }

    /// `ns/name`; with the kind in front where an object of another kind has that name.
    fn label_of(&self, plugin: &str) -> Arc<str> {
        let short = plugin.split_once('/').map_or(plugin, |(_, short)| short);
        let taken = self.by_name.values().any(|known| known.label() == short);
        if taken { plugin.into() } else { short.into() }
    }
}
