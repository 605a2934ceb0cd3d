//! What fetching keys for tokens comes to.
//!
//! Plain atomics, for all of it is a matter of the control side.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::exposition::{Exposition, Labels};
use crate::metric_kind::MetricKind::{Counter, Gauge};

/// What may come of a fetch; the last stands for any other.
const RESULTS: [&str; 7] =
    ["new", "same", "unreachable", "refused", "too_large", "forbidden", "malformed"];

/// The counts of the process.
#[derive(Debug, Default)]
pub struct KeyCounts {
    fetches: [AtomicU64; RESULTS.len()],
    sources: AtomicU64,
    failing: AtomicU64,
    without: AtomicU64,
}

impl KeyCounts {
    /// Keys were fetched; `result` is a value of the label.
    pub fn fetched(&self, result: &str) {
        let known = RESULTS.iter().position(|known| *known == result);
        let count = known.and_then(|nth| self.fetches.get(nth)).or(self.fetches.last());
        if let Some(count) = count {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Keys come from so many places; of so many of them the last fetch failed, and from so many nothing ever came.
    pub fn set_sources(&self, sources: usize, failing: usize, without: usize) {
        self.sources.store(sources as u64, Relaxed);
        self.failing.store(failing as u64, Relaxed);
        self.without.store(without as u64, Relaxed);
    }

    pub(crate) fn write(&self, text: &mut Exposition) {
        let name = "portcullis_jwks_fetches_total";
        text.family(name, Counter, "Fetches of keys for tokens, by what came of them.");
        for (result, count) in RESULTS.iter().zip(&self.fetches) {
            text.sample(name, &Labels::default().with("result", result), count.load(Relaxed));
        }
        let sources = self.sources.load(Relaxed);
        text.single(
            "portcullis_jwks_sources",
            Gauge,
            "Places that keys are fetched from.",
            sources,
        );
        let help = "Places from which the last fetch of keys failed.";
        text.single("portcullis_jwks_sources_failing", Gauge, help, self.failing.load(Relaxed));
        let help = "Places from which no keys ever came: tokens of their issuers are refused.";
        text.single(
            "portcullis_jwks_sources_without_keys",
            Gauge,
            help,
            self.without.load(Relaxed),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_by_name() {
        let counts = KeyCounts::default();
        counts.fetched("new");
        counts.fetched("nonsense");
        counts.set_sources(3, 2, 1);
        let mut text = Exposition::default();
        counts.write(&mut text);
        let text = text.finish();
        for line in [
            "portcullis_jwks_fetches_total{result=\"new\"} 1",
            "portcullis_jwks_fetches_total{result=\"malformed\"} 1",
            "portcullis_jwks_sources 3",
            "portcullis_jwks_sources_failing 2",
            "portcullis_jwks_sources_without_keys 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
    }
}
