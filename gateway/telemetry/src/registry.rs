//! The process-wide side of metrics: hands out handles, merges the workers' shards, writes them for Prometheus.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::admission::Admission;
use crate::connection_series::ConnectionSeries;
use crate::discovery_counts::DiscoveryCounts;
use crate::edge_counts::EdgeCounts;
use crate::exposition::{Exposition, Labels};
use crate::families::Families;
use crate::histogram::{Histogram, SECOND_BOUNDS};
use crate::identity::Identity;
use crate::key_counts::KeyCounts;
use crate::metric_kind::MetricKind;
use crate::plugin_metrics::PluginMetrics;
use crate::plugin_series::{callback_admission, write_plugins};
use crate::plugin_supply_counts::PluginSupplyCounts;
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
    log_dropped: AtomicU64,
    log_write_errors: AtomicU64,
    edge: Arc<EdgeCounts>,
    discovery: Arc<DiscoveryCounts>,
    keys: Arc<KeyCounts>,
    plugin_supply: Arc<PluginSupplyCounts>,
}

/// Which label sets are shown apart.
#[derive(Debug)]
struct Shown {
    requests: RequestSeries,
    connections: ConnectionSeries,
    callbacks: Admission,
}

#[derive(Debug, Default)]
struct Targets {
    by_labels: HashSet<ByLabels>,
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
            requests: RequestSeries::new(series * 80 / 100),
            connections: ConnectionSeries::new(series * 5 / 100),
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
            log_dropped: AtomicU64::new(0),
            log_write_errors: AtomicU64::new(0),
            edge: Arc::default(),
            discovery: Arc::default(),
            keys: Arc::default(),
            plugin_supply: Arc::default(),
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

    /// What the edge counts.
    pub fn edge_counts(&self) -> &Arc<EdgeCounts> {
        &self.edge
    }

    /// What getting plugins ready comes to.
    pub fn plugin_supply_counts(&self) -> &Arc<PluginSupplyCounts> {
        &self.plugin_supply
    }

    /// What finding endpoints comes to.
    pub fn discovery_counts(&self) -> &Arc<DiscoveryCounts> {
        &self.discovery
    }

    /// Where fetches of keys for tokens are counted.
    pub fn key_counts(&self) -> &Arc<KeyCounts> {
        &self.keys
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

    /// Lines that the access log lost ([`AccessLog::dropped`](crate::AccessLog::dropped)).
    pub fn set_access_log_dropped(&self, dropped: u64) {
        self.log_dropped.store(dropped, Relaxed);
    }

    /// Writes of the access log that failed ([`AccessLog::write_errors`](crate::AccessLog::write_errors)).
    pub fn set_access_log_write_errors(&self, errors: u64) {
        self.log_write_errors.store(errors, Relaxed);
    }

    /// Everything as Prometheus text ([`PROMETHEUS_TEXT`]), from the shards of all workers.
    pub fn render(&self, shards: &[MetricShard]) -> String {
        let mut text = Exposition::default();
        let targets = self.targets.lock().by_id.clone();
        let plugins = self.plugins.lock().in_order();
        let mut shown = self.shown.lock();
        shown.requests.write(&mut text, &self.identity, &targets, shards);
        shown.connections.write(&mut text, &self.identity, &targets, shards);
        write_plugins(&mut text, &mut shown.callbacks, &plugins, shards);
        self.write_configuration(&mut text);
        self.write_access_log(&mut text);
        self.edge.write(&mut text);
        self.discovery.write(&mut text);
        self.keys.write(&mut text);
        self.plugin_supply.write(&mut text);
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

    fn write_access_log(&self, text: &mut Exposition) {
        let dropped = self.log_dropped.load(Relaxed);
        let name = "portcullis_access_log_dropped_total";
        text.single(name, MetricKind::Counter, "Access-log lines lost.", dropped);
        let errors = self.log_write_errors.load(Relaxed);
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

/// A target among others, told by its labels.
#[derive(Debug)]
struct ByLabels(Arc<RequestTarget>);

impl Borrow<TargetLabels> for ByLabels {
    fn borrow(&self) -> &TargetLabels {
        self.0.labels()
    }
}

impl Hash for ByLabels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.labels().hash(state);
    }
}

impl PartialEq for ByLabels {
    fn eq(&self, other: &Self) -> bool {
        self.0.labels() == other.0.labels()
    }
}

impl Eq for ByLabels {}

impl Targets {
    fn target(&mut self, labels: TargetLabels) -> Arc<RequestTarget> {
        if self.by_id.is_empty() {
            // Number 0 is what `SeriesKey::OTHER` speaks of.
            self.add(TargetLabels::other());
        }
        if let Some(known) = self.by_labels.get(&labels) {
            return known.0.clone();
        }
        match self.by_id.first() {
            Some(other) if self.by_id.len() >= MOST_TARGETS => other.clone(),
            _ => self.add(labels),
        }
    }

    fn add(&mut self, labels: TargetLabels) -> Arc<RequestTarget> {
        let target = Arc::new(RequestTarget::new(self.by_id.len() as u32, labels));
        self.by_id.push(target.clone());
        self.by_labels.insert(ByLabels(target.clone()));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use http::{HeaderMap, StatusCode};
    use portcullis_exchange::{Exchange, ResponseHead};

    use super::*;
    use crate::plugin_phase::PluginPhase;

    fn labels(name: &str) -> TargetLabels {
        TargetLabels {
            route: format!("VirtualService/shop/{name}/http[0]").into(),
            cluster: format!("outbound|80||{name}.shop.svc.cluster.local").into(),
            service: name.into(),
            service_host: format!("{name}.shop.svc.cluster.local").into(),
            namespace: "shop".into(),
        }
    }

    fn exchange(status: u16) -> Exchange {
        let mut exchange = Exchange::for_test();
        let status = StatusCode::from_u16(status).unwrap();
        exchange.response = Some(ResponseHead::new(status, HeaderMap::new()));
        exchange.timings.ended = Some(exchange.timings.started + Duration::from_millis(3));
        exchange
    }

    fn samples(text: &str) -> usize {
        text.lines().filter(|line| !line.starts_with('#')).count()
    }

    #[test]
    fn equal_labels_have_one_target() {
        let registry = Registry::new();
        let one = registry.target(labels("web"));
        assert!(Arc::ptr_eq(&one, &registry.target(labels("web"))));
        assert_ne!(one.id(), registry.target(labels("api")).id());
    }

    #[test]
    fn shards_are_merged_under_istios_and_our_names() {
        let registry = Registry::new();
        let target = registry.target(labels("web"));
        let mut shards = [MetricShard::new(), MetricShard::new()];
        for shard in &mut shards {
            shard.record(&target, &exchange(200));
        }
        let text = registry.render(&shards);
        let ours = "portcullis_requests_total{route=\"VirtualService/shop/web/http[0]\",\
                    cluster=\"outbound|80||web.shop.svc.cluster.local\",status=\"200\"} 2\n";
        assert!(text.contains(ours), "{text}");
        let line = text.lines().find(|line| line.starts_with("istio_requests_total{")).unwrap();
        assert!(line.ends_with("} 2"));
        for label in [
            "reporter=\"source\"",
            "destination_service=\"web.shop.svc.cluster.local\"",
            "destination_service_name=\"web\"",
            "response_code=\"200\"",
            "response_flags=\"-\"",
        ] {
            assert!(line.contains(label), "{label} in {line}");
        }
        let bucket = "le=\"5\"} 2";
        assert!(text.lines().any(|line| {
            line.starts_with("istio_request_duration_milliseconds_bucket") && line.ends_with(bucket)
        }));
    }

    #[test]
    fn two_routes_to_a_service_are_one_series_of_istio() {
        let registry = Registry::new();
        let mut other_route = labels("web");
        other_route.route = "VirtualService/shop/web/http[1]".into();
        let mut shard = MetricShard::new();
        shard.record(&registry.target(labels("web")), &exchange(200));
        shard.record(&registry.target(other_route), &exchange(200));
        let text = registry.render(&[shard]);
        let count = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(count("istio_requests_total{"), 1);
        assert_eq!(count("portcullis_requests_total{"), 2);
    }

    #[test]
    fn series_are_bounded_and_the_rest_is_other() {
        let registry = Registry::new();
        let mut shard = MetricShard::new();
        for nth in 0..2_000 {
            shard.record(&registry.target(labels(&format!("s{nth}"))), &exchange(200));
        }
        let text = registry.render(&[shard]);
        assert!(samples(&text) <= MOST_SERIES, "{}", samples(&text));
        assert!(text.contains(
            "portcullis_requests_total{route=\"other\",cluster=\"other\",status=\"other\"}"
        ));
        let total: u64 = text
            .lines()
            .filter(|line| line.starts_with("istio_requests_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum();
        assert_eq!(total, 2_000);
    }

    #[test]
    fn targets_are_bounded() {
        let registry = Registry::new();
        for nth in 0..MOST_TARGETS {
            registry.target(labels(&nth.to_string()));
        }
        assert_eq!(registry.target(labels("late")).id(), 0);
        assert_ne!(registry.target(labels("5")).id(), 0);
    }

    #[test]
    fn plugins_have_their_own_series() {
        let registry = Registry::new();
        let plugin = registry.plugin_metrics("WasmPlugin/shop/auth");
        assert!(Arc::ptr_eq(&plugin, &registry.plugin_metrics("WasmPlugin/shop/auth")));
        let denied = plugin.define(MetricKind::Counter, "auth.denied").unwrap();
        plugin.increment(denied, 3).unwrap();
        let size = plugin.define(MetricKind::Histogram, "size").unwrap();
        plugin.record(size, 7).unwrap();
        plugin.traps.fetch_add(1, Relaxed);
        let mut shard = MetricShard::new();
        let took = Duration::from_micros(30);
        shard.plugin_callback(&plugin, PluginPhase::RequestHeaders, took);
        let text = registry.render(&[shard]);
        for line in [
            "auth_denied_total{plugin=\"shop/auth\"} 3",
            "size_bucket{plugin=\"shop/auth\",le=\"10\"} 1",
            "size_sum{plugin=\"shop/auth\"} 7",
            "portcullis_plugin_traps_total{plugin=\"shop/auth\"} 1",
            "portcullis_plugin_duration_seconds_count{plugin=\"shop/auth\",phase=\"on_request_headers\"} 1",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} in {text}");
        }
    }

    #[test]
    fn two_kinds_of_the_same_name_are_told_apart() {
        let registry = Registry::new();
        let one = registry.plugin_metrics("WasmPlugin/a/b");
        let two = registry.plugin_metrics("TrafficExtension/a/b");
        assert_eq!((one.label(), two.label()), ("a/b", "TrafficExtension/a/b"));
        registry.retain_plugins(|name| name.starts_with("Traffic"));
        assert!(!registry.render(&[]).contains("plugin=\"a/b\""));
    }

    #[test]
    fn the_configuration_is_shown() {
        let registry = Registry::new();
        registry.set_generation(7);
        registry.set_generations_alive(2);
        registry.set_config_problems(1);
        registry.set_access_log_dropped(4);
        registry.observe_apply(Duration::from_millis(20));
        let text = registry.render(&[]);
        for line in [
            "portcullis_config_generation 7",
            "portcullis_generations_alive 2",
            "portcullis_config_problems 1",
            "portcullis_config_apply_seconds_bucket{le=\"0.025\"} 1",
            "portcullis_access_log_dropped_total 4",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} in {text}");
        }
    }

    #[test]
    fn every_family_has_one_type_before_its_samples() {
        let registry = Registry::new();
        let plugin = registry.plugin_metrics("WasmPlugin/a/b");
        plugin.define(MetricKind::Gauge, "portcullis_config_generation").unwrap();
        let mut shard = MetricShard::new();
        shard.record(&registry.target(labels("web")), &exchange(503));
        let text = registry.render(&[shard]);
        let mut types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let all = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), all);
    }
}
