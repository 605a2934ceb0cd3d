//! Metrics of clusters, from what each of them counts itself.

use std::sync::Arc;

use crate::exposition::{Exposition, Labels};
use crate::metric_kind::MetricKind::{Counter, Gauge};

/// More clusters than this are not shown.
const MOST_CLUSTERS: usize = 1_000;

/// What is shown of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSample {
    /// Its name in Envoy's form.
    pub name: Arc<str>,
    /// Its endpoints.
    pub endpoints: usize,
    /// Those of them that nothing speaks against.
    pub healthy: usize,
    /// Ejections so far, by reason.
    pub ejections: Vec<(&'static str, u64)>,
    /// Its limits: which, how much there is under it, and how often there was no room.
    pub limits: Vec<(&'static str, u32, u64)>,
}

/// Writes them for Prometheus, to go behind [`Registry::render`](crate::Registry::render).
pub fn render_clusters(clusters: &[ClusterSample]) -> String {
    let shown = clusters.get(..MOST_CLUSTERS.min(clusters.len())).unwrap_or_default();
    let mut text = Exposition::default();
    let mut family = |name: &str, kind, help: &str, samples: fn(&ClusterSample) -> Samples| {
        text.family(name, kind, help);
        for cluster in shown {
            for (labels, value) in samples(cluster) {
                text.sample(name, &labels.with("cluster", &cluster.name), value);
            }
        }
    };
    let name = "portcullis_upstream_endpoints";
    family(name, Gauge, "Endpoints of a cluster.", |cluster| one(cluster.endpoints));
    let name = "portcullis_upstream_endpoints_healthy";
    let help = "Endpoints that are neither ejected nor unhealthy.";
    family(name, Gauge, help, |cluster| one(cluster.healthy));
    let name = "portcullis_upstream_ejections_total";
    let help = "Endpoints taken out for what became of their requests.";
    family(name, Counter, help, ejections);
    let name = "portcullis_upstream_limit_used";
    family(name, Gauge, "What is under way under a limit.", used);
    let name = "portcullis_upstream_overflows_total";
    family(name, Counter, "How often a limit left no room.", overflows);
    text.finish()
}

type Samples = Vec<(Labels, u64)>;

fn one(value: usize) -> Samples {
    vec![(Labels::default(), value as u64)]
}

fn used(cluster: &ClusterSample) -> Samples {
    let limits = cluster.limits.iter();
    limits.map(|(limit, used, _)| (labelled("limit", limit), u64::from(*used))).collect()
}

fn overflows(cluster: &ClusterSample) -> Samples {
    cluster.limits.iter().map(|(limit, _, full)| (labelled("limit", limit), *full)).collect()
}

fn ejections(cluster: &ClusterSample) -> Samples {
    let some = cluster.ejections.iter().filter(|(_, count)| *count > 0);
    some.map(|(reason, count)| (labelled("reason", reason), *count)).collect()
}

fn labelled(name: &str, value: &str) -> Labels {
    Labels::default().with(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_written_family_by_family() {
        let cluster = ClusterSample {
            name: "outbound|80||a".into(),
            endpoints: 3,
            healthy: 2,
            ejections: vec![("no_connection", 4), ("consecutive_5xx", 0)],
            limits: vec![("requests", 7, 9)],
        };
        let text = render_clusters(&[cluster]);
        for line in [
            "portcullis_upstream_endpoints{cluster=\"outbound|80||a\"} 3",
            "portcullis_upstream_endpoints_healthy{cluster=\"outbound|80||a\"} 2",
            "portcullis_upstream_ejections_total{reason=\"no_connection\",cluster=\"outbound|80||a\"} 4",
            "portcullis_upstream_limit_used{limit=\"requests\",cluster=\"outbound|80||a\"} 7",
            "portcullis_upstream_overflows_total{limit=\"requests\",cluster=\"outbound|80||a\"} 9",
        ] {
            assert!(text.lines().any(|each| each == line), "{line}\n{text}");
        }
        assert!(!text.contains("consecutive_5xx"));
    }
}
