//! What finding endpoints comes to: lookups of names, probes of health.
//!
//! Plain atomics, for all of it is a matter of the control side.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::exposition::{Exposition, Labels};
use crate::metric_kind::MetricKind::{Counter, Gauge};

/// What may come of a lookup; the last stands for any other.
const RESULTS: [&str; 8] = [
    "answer",
    "no_such_name",
    "empty",
    "server_failure",
    "timeout",
    "useless",
    "refused_address",
    "unasked",
];

/// The counts of the process.
#[derive(Debug, Default)]
pub struct DiscoveryCounts {
    lookups: [AtomicU64; RESULTS.len()],
    names: AtomicU64,
    stale: AtomicU64,
    dynamic_hosts: AtomicU64,
    good_probes: AtomicU64,
    bad_probes: AtomicU64,
}

impl DiscoveryCounts {
    /// A name was looked up; `result` is a value of the label.
    pub fn looked_up(&self, result: &str) {
        let known = RESULTS.iter().position(|known| *known == result);
        let count = known.and_then(|nth| self.lookups.get(nth)).or(self.lookups.last());
        if let Some(count) = count {
            count.fetch_add(1, Relaxed);
        }
    }

    /// So many names are looked up, of so many of which the last lookup failed.
    pub fn set_names(&self, names: usize, stale: usize) {
        self.names.store(names as u64, Relaxed);
        self.stale.store(stale as u64, Relaxed);
    }

    /// So many hosts are known that requests themselves have named.
    pub fn set_dynamic_hosts(&self, hosts: usize) {
        self.dynamic_hosts.store(hosts as u64, Relaxed);
    }

    /// An endpoint was asked whether it is well, and is.
    pub fn probe_was_good(&self) {
        self.good_probes.fetch_add(1, Relaxed);
    }

    /// An endpoint was asked whether it is well, and is not, or did not say.
    pub fn probe_was_bad(&self) {
        self.bad_probes.fetch_add(1, Relaxed);
    }

    pub(crate) fn write(&self, text: &mut Exposition) {
        let name = "portcullis_dns_lookups_total";
        text.family(name, Counter, "Lookups of names, by what came of them.");
        for (result, count) in RESULTS.iter().zip(&self.lookups) {
            text.sample(name, &Labels::default().with("result", result), count.load(Relaxed));
        }
        let names = self.names.load(Relaxed);
        text.single("portcullis_dns_names", Gauge, "Names that are looked up.", names);
        let help = "Names whose last lookup failed; what was known of them serves.";
        text.single("portcullis_dns_names_failing", Gauge, help, self.stale.load(Relaxed));
        let hosts = self.dynamic_hosts.load(Relaxed);
        let help = "Hosts of requests that are looked up for DYNAMIC_DNS.";
        text.single("portcullis_dns_dynamic_hosts", Gauge, help, hosts);
        let name = "portcullis_health_probes_total";
        text.family(name, Counter, "Times that endpoints were asked whether they are well.");
        for (result, count) in [("good", &self.good_probes), ("bad", &self.bad_probes)] {
            text.sample(name, &Labels::default().with("result", result), count.load(Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_apart() {
        let counts = DiscoveryCounts::default();
        counts.looked_up("timeout");
        counts.looked_up("nothing that is known");
        counts.set_names(3, 1);
        counts.probe_was_bad();
        let mut text = Exposition::default();
        counts.write(&mut text);
        let text = text.finish();
        for line in [
            "portcullis_dns_lookups_total{result=\"timeout\"} 1",
            "portcullis_dns_lookups_total{result=\"unasked\"} 1",
            "portcullis_dns_lookups_total{result=\"answer\"} 0",
            "portcullis_dns_names 3",
            "portcullis_dns_names_failing 1",
            "portcullis_health_probes_total{result=\"bad\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
