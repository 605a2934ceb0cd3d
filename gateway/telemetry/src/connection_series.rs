//! Istio's families about connections whose bytes are passed on.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_exchange::ResponseFlags;

use crate::admission::Admission;
use crate::connection_counts::{ConnectionCounts, ConnectionKey};
use crate::exposition::{Exposition, Labels};
use crate::identity::Identity;
use crate::metric_kind::MetricKind::Counter;
use crate::request_series::{UNKNOWN, push_destination, source_labels};
use crate::shard::MetricShard;
use crate::target::{RequestTarget, TargetLabels};

/// A family's name, what it says, and how it is read.
type Family = (&'static str, &'static str, fn(&ConnectionCounts) -> u64);

const FAMILIES: [Family; 4] = [
    ("istio_tcp_connections_opened_total", "TCP connections opened.", |counts| counts.opened),
    ("istio_tcp_connections_closed_total", "TCP connections closed.", |counts| counts.closed),
    ("istio_tcp_received_bytes_total", "Bytes that TCP clients sent.", |counts| counts.received),
    ("istio_tcp_sent_bytes_total", "Bytes sent to TCP clients.", |counts| counts.sent),
];

/// For which label sets connections are shown.
#[derive(Debug)]
pub(crate) struct ConnectionSeries(Admission);

impl ConnectionSeries {
    /// Room for so many series in all.
    pub(crate) fn new(series: usize) -> Self {
        ConnectionSeries(Admission::new(series, FAMILIES.len()))
    }

    /// Writes what all workers counted; nothing where there was no connection.
    pub(crate) fn write(
        &mut self,
        text: &mut Exposition,
        identity: &Identity,
        targets: &[Arc<RequestTarget>],
        shards: &[MetricShard],
    ) {
        let (unknown, source) = (TargetLabels::unknown(), source_labels(identity));
        let other = labels(&source, &TargetLabels::other(), 0);
        let mut merged: BTreeMap<ConnectionKey, ConnectionCounts> = BTreeMap::new();
        for (key, counts) in shards.iter().flat_map(MetricShard::connections) {
            merged.entry(key).or_default().add(counts);
        }
        let mut groups: BTreeMap<Labels, ConnectionCounts> = BTreeMap::new();
        for (key, counts) in merged {
            let target = targets.get(key.target as usize).map_or(&unknown, |t| t.labels());
            let shown = self.0.admit(labels(&source, target, key.flags), &other);
            groups.entry(shown).or_default().add(counts);
        }
        if groups.is_empty() {
            return;
        }
        for (name, help, value) in FAMILIES {
            text.family(name, Counter, help);
            for (labels, counts) in &groups {
                text.sample(name, labels, value(counts));
            }
        }
    }
}

fn labels(source: &Labels, target: &TargetLabels, flags: u32) -> Labels {
    let mut labels = source.clone();
    push_destination(&mut labels, target);
    labels
        .with("request_protocol", "tcp")
        .with("response_flags", &ResponseFlags::from_bits(flags).to_string())
        .with("connection_security_policy", UNKNOWN)
}

#[cfg(test)]
mod tests {
    use portcullis_exchange::ResponseFlag;

    use super::*;
    use crate::connection_counts::ConnectionEvent;
    use crate::registry::Registry;

    #[test]
    fn connections_are_counted_under_istios_names() {
        let registry = Registry::new();
        let labels = TargetLabels { service_host: "db.test".into(), ..TargetLabels::unknown() };
        let target = registry.target(labels);
        let mut failed = ResponseFlags::default();
        failed.set(ResponseFlag::UpstreamConnectionFailure);
        let mut shards = [MetricShard::new(), MetricShard::new()];
        for shard in &mut shards {
            shard.connection(&target, ConnectionEvent::Opened);
            shard.connection(&target, ConnectionEvent::Passed { received: 5, sent: 7 });
            shard.connection(&target, ConnectionEvent::Closed(failed));
        }
        let text = registry.render(&shards);
        let value = |name: &str, flags: &str| {
            let flags = format!("response_flags=\"{flags}\"");
            let mut lines = text.lines().filter(|line| line.starts_with(name));
            let line = lines.find(|line| line.contains(&flags)).unwrap();
            assert!(line.contains("destination_service=\"db.test\""), "{line}");
            assert!(line.contains("request_protocol=\"tcp\""), "{line}");
            line.rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!(value("istio_tcp_connections_opened_total{", "-"), "2");
        assert_eq!(value("istio_tcp_connections_closed_total{", "UF"), "2");
        assert_eq!(value("istio_tcp_received_bytes_total{", "-"), "10");
        assert_eq!(value("istio_tcp_sent_bytes_total{", "-"), "14");
        assert!(!registry.render(&[]).contains("istio_tcp_"));
    }
}
