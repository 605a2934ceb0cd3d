//! What is sent upstream beyond each request's first attempt: repeats and mirrored copies.
//!
//! Plain atomics instead of a worker's shard: all of it is rare.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::exposition::{Exposition, Labels};
use crate::metric_kind::MetricKind::Counter;

/// The counts of the process.
#[derive(Debug, Default)]
pub struct UpstreamCounts {
    sent: AtomicU64,
    helped: AtomicU64,
    exhausted: AtomicU64,
    over_budget: AtomicU64,
    mirrored: [AtomicU64; 4],
}

/// What became of a mirrored copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorEnd {
    /// It got a reply.
    Answered,
    /// It got none.
    Failed,
    /// Its body was cut off, because it did not keep up.
    Overrun,
    /// It was not sent: too many were under way.
    LeftOut,
}

impl MirrorEnd {
    const ALL: [MirrorEnd; 4] =
        [MirrorEnd::Answered, MirrorEnd::Failed, MirrorEnd::Overrun, MirrorEnd::LeftOut];

    fn as_str(self) -> &'static str {
        match self {
            MirrorEnd::Answered => "answered",
            MirrorEnd::Failed => "failed",
            MirrorEnd::Overrun => "overrun",
            MirrorEnd::LeftOut => "left_out",
        }
    }
}

impl UpstreamCounts {
    /// A request is sent again.
    pub fn repeat_sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// One that was sent again got a reply.
    pub fn repeat_helped(&self) {
        self.helped.fetch_add(1, Relaxed);
    }

    /// A request were worth another attempt, but had as many as its rule allows.
    pub fn repeats_exhausted(&self) {
        self.exhausted.fetch_add(1, Relaxed);
    }

    /// A request were worth another attempt, but its cluster takes no more repeats for now.
    pub fn repeat_over_budget(&self) {
        self.over_budget.fetch_add(1, Relaxed);
    }

    /// A mirrored copy has ended.
    pub fn mirrored(&self, end: MirrorEnd) {
        if let Some(count) = self.mirrored.get(end as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn write(&self, text: &mut Exposition) {
        let name = "portcullis_upstream_repeats_total";
        text.family(
            name,
            Counter,
            "Requests sent again, and those that were worth it and were not.",
        );
        for (result, count) in [
            ("sent", &self.sent),
            ("helped", &self.helped),
            ("exhausted", &self.exhausted),
            ("over_budget", &self.over_budget),
        ] {
            text.sample(name, &Labels::default().with("result", result), count.load(Relaxed));
        }
        let name = "portcullis_upstream_mirrored_total";
        text.family(name, Counter, "Copies of requests for mirrors.");
        for (end, count) in MirrorEnd::ALL.iter().zip(&self.mirrored) {
            text.sample(name, &Labels::default().with("result", end.as_str()), count.load(Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_own_count() {
        let counts = UpstreamCounts::default();
        counts.repeat_sent();
        counts.mirrored(MirrorEnd::Overrun);
        let mut text = Exposition::default();
        counts.write(&mut text);
        let text = text.finish();
        for line in [
            "portcullis_upstream_repeats_total{result=\"sent\"} 1",
            "portcullis_upstream_repeats_total{result=\"over_budget\"} 0",
            "portcullis_upstream_mirrored_total{result=\"overrun\"} 1",
            "portcullis_upstream_mirrored_total{result=\"left_out\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
