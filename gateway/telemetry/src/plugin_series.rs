//! The families about plugins: what we count about each, and what they define themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::admission::Admission;
use crate::callback_counts::{CALLBACK_BOUNDS, CallbackCounts};
use crate::exposition::{Exposition, Labels};
use crate::histogram::{ISTIO_BOUNDS, SECOND_BOUNDS};
use crate::metric_kind::MetricKind;
use crate::plugin_metrics::{Metric, PluginMetrics};
use crate::plugin_tallies::PluginTallies;
use crate::shard::MetricShard;

/// Room for so many series of callback durations.
pub(crate) fn callback_admission(series: usize) -> Admission {
    Admission::new(series, CALLBACK_BOUNDS.len() + 3)
}

/// Writes everything about plugins.
pub(crate) fn write_plugins(
    text: &mut Exposition,
    admission: &mut Admission,
    plugins: &[Arc<PluginMetrics>],
    shards: &[MetricShard],
) {
    write_durations(text, admission, plugins, shards);
    write_counts(text, plugins);
    write_tallies(text, plugins);
    write_defined(text, plugins);
}

fn labels_of(plugin: &PluginMetrics) -> Labels {
    Labels::default().with("plugin", plugin.label())
}

fn write_durations(
    text: &mut Exposition,
    admission: &mut Admission,
    plugins: &[Arc<PluginMetrics>],
    shards: &[MetricShard],
) {
    let other = Labels::default().with("plugin", "other").with("phase", "other");
    let mut merged: BTreeMap<Labels, CallbackCounts> = BTreeMap::new();
    for ((id, phase), counts) in shards.iter().flat_map(MetricShard::callbacks) {
        // A plugin that is gone keeps no series.
        let Some(plugin) = plugins.iter().find(|plugin| plugin.id() == id) else { continue };
        let labels = labels_of(plugin).with("phase", phase.as_str());
        merged.entry(admission.admit(labels, &other)).or_default().add(counts);
    }
    let name = "portcullis_plugin_duration_seconds";
    text.family(name, MetricKind::Histogram, "Time spent in a plugin's callbacks.");
    for (labels, counts) in &merged {
        text.histogram(name, labels, &CALLBACK_BOUNDS, counts.buckets, counts.seconds());
    }
}

type ReadCount = fn(&PluginMetrics) -> i64;

fn write_counts(text: &mut Exposition, plugins: &[Arc<PluginMetrics>]) {
    use MetricKind::{Counter, Gauge};
    let families: [(&str, MetricKind, &str, ReadCount); 6] = [
        ("portcullis_plugin_traps_total", Counter, "Callbacks that trapped.", |plugin| {
            plugin.traps.load(Relaxed) as i64
        }),
        (
            "portcullis_plugin_budget_exceeded_total",
            Counter,
            "Callbacks that went over their budget.",
            |plugin| plugin.budget_exceeded.load(Relaxed) as i64,
        ),
        (
            "portcullis_plugin_fail_open_total",
            Counter,
            "Requests let through although a plugin failed.",
            |plugin| plugin.fail_open.load(Relaxed) as i64,
        ),
        (
            "portcullis_plugin_pauses_total",
            Counter,
            "Messages and connections that a plugin held.",
            |plugin| plugin.tallies.pauses() as i64,
        ),
        ("portcullis_plugin_instances", Gauge, "Instances alive.", |plugin| {
            plugin.instances.load(Relaxed)
        }),
        ("portcullis_plugin_memory_bytes", Gauge, "Memory of all instances.", |plugin| {
            plugin.memory_bytes.load(Relaxed) as i64
        }),
    ];
    for (name, kind, help, read) in families {
        text.family(name, kind, help);
        for plugin in plugins {
            text.sample(name, &labels_of(plugin), read(plugin));
        }
    }
}

/// What is counted apart; no series where there is nothing to count.
fn write_tallies(text: &mut Exposition, plugins: &[Arc<PluginMetrics>]) {
    let name = "portcullis_plugin_faults_total";
    text.family(name, MetricKind::Counter, "Callbacks that ended their instance.");
    each(plugins, |labels, tallies| {
        for (phase, cause, count) in tallies.faults() {
            let labels = labels.clone().with("phase", phase.as_str()).with("cause", cause.as_str());
            text.sample(name, &labels, count);
        }
    });
    let name = "portcullis_plugin_refused_calls_total";
    text.family(name, MetricKind::Counter, "Host calls that were refused.");
    each(plugins, |labels, tallies| {
        for (call, count) in tallies.refused() {
            text.sample(name, &labels.clone().with("call", call), count);
        }
    });
    let name = "portcullis_plugin_calls_total";
    text.family(name, MetricKind::Counter, "Calls that plugins made to clusters.");
    each(plugins, |labels, tallies| {
        for (protocol, result, count) in tallies.calls() {
            let labels = labels.clone().with("protocol", protocol.as_str());
            text.sample(name, &labels.with("result", result.as_str()), count);
        }
    });
    let name = "portcullis_plugin_call_duration_seconds";
    text.family(name, MetricKind::Histogram, "How long those calls took.");
    each(plugins, |labels, tallies| {
        let (buckets, sum) = tallies.call_seconds();
        if buckets.iter().any(|count| *count > 0) {
            text.histogram(name, labels, &SECOND_BOUNDS, buckets, sum);
        }
    });
}

fn each(plugins: &[Arc<PluginMetrics>], mut write: impl FnMut(&Labels, &PluginTallies)) {
    for plugin in plugins {
        write(&labels_of(plugin), &plugin.tallies);
    }
}

/// What plugins defined, gathered by family: the format wants a family's samples side by side.
fn write_defined(text: &mut Exposition, plugins: &[Arc<PluginMetrics>]) {
    let mut families: BTreeMap<&str, BTreeMap<Labels, &Metric>> = BTreeMap::new();
    for plugin in plugins {
        for metric in plugin.metrics() {
            // Two names of one plugin may be made into the same one; the first is shown.
            let family = families.entry(&metric.name).or_default();
            family.entry(labels_of(plugin)).or_insert(metric);
        }
    }
    for (name, metrics) in families {
        let kind = metrics.values().next().map_or(MetricKind::Gauge, |metric| metric.kind);
        text.family(name, kind, "Defined by a plugin.");
        for (labels, metric) in metrics {
            write_metric(text, name, &labels, metric);
        }
    }
}

fn write_metric(text: &mut Exposition, name: &str, labels: &Labels, metric: &Metric) {
    let value = metric.value.load(Relaxed);
    match metric.kind {
        MetricKind::Counter => text.sample(name, labels, value),
        // A gauge that was taken below zero shows so.
        MetricKind::Gauge => text.sample(name, labels, value as i64),
        MetricKind::Histogram => {
            let buckets = metric.buckets.iter().map(|bucket| bucket.load(Relaxed));
            text.histogram(name, labels, &ISTIO_BOUNDS, buckets, value);
        }
    }
}
