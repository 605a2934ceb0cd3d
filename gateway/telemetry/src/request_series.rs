//! The families about requests: Istio's, so that existing dashboards work, and our own by route.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::admission::Admission;
use crate::exposition::{Exposition, Labels};
use crate::histogram::{Histogram, ISTIO_BOUNDS, SECOND_BOUNDS};
use crate::identity::Identity;
use crate::metric_kind::MetricKind::{Counter, Histogram as HistogramKind};
use crate::series_key::SeriesKey;
use crate::shard::{MetricShard, RequestCounts};
use crate::target::{RequestTarget, TargetLabels};

/// A histogram makes a series for each bucket, one for the sum and one for the count.
const ISTIO_HISTOGRAM: usize = ISTIO_BOUNDS.len() + 3;
const OWN_HISTOGRAM: usize = SECOND_BOUNDS.len() + 3;

/// What is shown about requests, and for which label sets.
#[derive(Debug)]
pub(crate) struct RequestSeries {
    istio_counters: Admission,
    istio_histograms: Admission,
    own_counters: Admission,
    own_histograms: Admission,
}

type Counts = BTreeMap<SeriesKey, RequestCounts>;

impl RequestSeries {
    /// Room for so many series in all. Histograms are what costs.
    pub(crate) fn new(series: usize) -> Self {
        RequestSeries {
            istio_counters: Admission::new(series * 12 / 100, 1),
            istio_histograms: Admission::new(series * 60 / 100, 3 * ISTIO_HISTOGRAM),
            own_counters: Admission::new(series * 14 / 100, 3),
            own_histograms: Admission::new(series * 14 / 100, OWN_HISTOGRAM),
        }
    }

    /// Writes what all workers counted.
    pub(crate) fn write(
        &mut self,
        text: &mut Exposition,
        identity: &Identity,
        targets: &[Arc<RequestTarget>],
        shards: &[MetricShard],
    ) {
        let counts = merge(shards);
        let unknown = TargetLabels::unknown();
        let labels_of = |key: SeriesKey| {
            targets.get(key.target() as usize).map_or(&unknown, |target| target.labels())
        };
        let source = source_labels(identity);
        let istio = |key| istio_labels(&source, labels_of(key), key);
        let own = |key| own_labels(labels_of(key), key);
        write_istio_counters(text, &regroup(&counts, &mut self.istio_counters, istio));
        write_istio_histograms(text, &regroup(&counts, &mut self.istio_histograms, istio));
        write_own_counters(text, &regroup(&counts, &mut self.own_counters, own));
        write_own_histograms(text, &regroup(&counts, &mut self.own_histograms, own));
    }
}

fn merge(shards: &[MetricShard]) -> Counts {
    let mut merged = Counts::new();
    for (key, counts) in shards.iter().flat_map(MetricShard::requests) {
        merged.entry(*key).or_default().add(counts);
    }
    merged
}

/// Adds up what has the same labels, or is not admitted.
fn regroup(
    counts: &Counts,
    admission: &mut Admission,
    labels: impl Fn(SeriesKey) -> Labels,
) -> BTreeMap<Labels, RequestCounts> {
    let other = labels(SeriesKey::OTHER);
    let mut groups: BTreeMap<Labels, RequestCounts> = BTreeMap::new();
    for (key, counts) in counts {
        let shown = match *key {
            SeriesKey::OTHER => other.clone(),
            key => admission.admit(labels(key), &other),
        };
        groups.entry(shown).or_default().add(counts);
    }
    groups
}

/// What Istio knows from peers that have no sidecar or told nothing.
pub(crate) const UNKNOWN: &str = "unknown";

/// The gateway, as the source of what it sends on.
pub(crate) fn source_labels(identity: &Identity) -> Labels {
    Labels::default()
        .with("reporter", "source")
        .with("source_workload", &identity.workload)
        .with("source_canonical_service", &identity.workload)
        .with("source_canonical_revision", &identity.version)
        .with("source_workload_namespace", &identity.namespace)
        .with("source_principal", UNKNOWN)
        .with("source_app", &identity.app)
        .with("source_version", &identity.version)
        .with("source_cluster", &identity.cluster)
}

fn istio_labels(source: &Labels, target: &TargetLabels, key: SeriesKey) -> Labels {
    let mut labels = source.clone();
    push_destination(&mut labels, target);
    labels.push("request_protocol", key.protocol());
    labels.push("response_code", &status_text(key));
    labels.push(
        "grpc_response_status",
        &key.grpc_status().map_or(String::new(), |status| status.to_string()),
    );
    labels.push("response_flags", &flags_text(key));
    labels.push("connection_security_policy", UNKNOWN);
    labels
}

/// Adds where it was sent to.
pub(crate) fn push_destination(labels: &mut Labels, target: &TargetLabels) {
    for unknown in [
        "destination_workload",
        "destination_workload_namespace",
        "destination_principal",
        "destination_app",
        "destination_version",
        "destination_canonical_service",
        "destination_canonical_revision",
        "destination_cluster",
    ] {
        labels.push(unknown, UNKNOWN);
    }
    labels.push("destination_service", &target.service_host);
    labels.push("destination_service_name", &target.service);
    labels.push("destination_service_namespace", &target.namespace);
}

fn own_labels(target: &TargetLabels, key: SeriesKey) -> Labels {
    Labels::default()
        .with("route", &target.route)
        .with("cluster", &target.cluster)
        .with("status", &status_text(key))
}

fn status_text(key: SeriesKey) -> String {
    key.status().map_or_else(|| "other".to_owned(), |status| status.to_string())
}

fn flags_text(key: SeriesKey) -> String {
    if key == SeriesKey::OTHER { "other".to_owned() } else { key.flags().to_string() }
}

fn write_istio_counters(text: &mut Exposition, groups: &BTreeMap<Labels, RequestCounts>) {
    counter(text, groups, "istio_requests_total", "Requests.", |counts| counts.requests);
}

fn write_istio_histograms(text: &mut Exposition, groups: &BTreeMap<Labels, RequestCounts>) {
    let name = "istio_request_duration_milliseconds";
    histogram(text, groups, name, "Durations of requests.", &ISTIO_BOUNDS, |counts| {
        &counts.milliseconds
    });
    let name = "istio_request_bytes";
    histogram(text, groups, name, "Sizes of request bodies.", &ISTIO_BOUNDS, |counts| {
        &counts.request_bytes
    });
    let name = "istio_response_bytes";
    histogram(text, groups, name, "Sizes of reply bodies.", &ISTIO_BOUNDS, |counts| {
        &counts.response_bytes
    });
}

fn write_own_counters(text: &mut Exposition, groups: &BTreeMap<Labels, RequestCounts>) {
    counter(text, groups, "portcullis_requests_total", "Requests.", |counts| counts.requests);
    let name = "portcullis_request_bytes_total";
    counter(text, groups, name, "Bytes of request bodies.", |counts| counts.bytes_received);
    let name = "portcullis_response_bytes_total";
    counter(text, groups, name, "Bytes of reply bodies.", |counts| counts.bytes_sent);
}

fn write_own_histograms(text: &mut Exposition, groups: &BTreeMap<Labels, RequestCounts>) {
    let name = "portcullis_request_duration_seconds";
    histogram(text, groups, name, "Durations of requests.", &SECOND_BOUNDS, |counts| {
        &counts.seconds
    });
}

fn counter(
    text: &mut Exposition,
    groups: &BTreeMap<Labels, RequestCounts>,
    name: &str,
    help: &str,
    value: fn(&RequestCounts) -> u64,
) {
    text.family(name, Counter, help);
    for (labels, counts) in groups {
        text.sample(name, labels, value(counts));
    }
}

fn histogram<const BUCKETS: usize>(
    text: &mut Exposition,
    groups: &BTreeMap<Labels, RequestCounts>,
    name: &str,
    help: &str,
    bounds: &[f64],
    read: fn(&RequestCounts) -> &Histogram<BUCKETS>,
) {
    text.family(name, HistogramKind, help);
    for (labels, counts) in groups {
        let histogram = read(counts);
        text.histogram(name, labels, bounds, histogram.buckets, histogram.sum);
    }
}
