//! How long a plugin's callbacks took. It is counted some ten times for one request, so in whole nanoseconds.

use std::time::Duration;

/// Bounds in seconds for a plugin's callbacks, whose budget is 10 ms.
pub(crate) const CALLBACK_BOUNDS: [f64; 10] =
    [0.000_001, 0.000_005, 0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.1];

/// The same in nanoseconds.
const NANOSECONDS: [u64; CALLBACK_BOUNDS.len()] =
    [1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 100_000_000];

/// A histogram of one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallbackCounts {
    /// Counts, not cumulative.
    pub(crate) buckets: [u64; CALLBACK_BOUNDS.len() + 1],
    nanoseconds: u64,
    /// How long the last one took that was measured.
    last: u64,
}

impl CallbackCounts {
    /// Counts a callback.
    pub(crate) fn observe(&mut self, took: Duration) {
        let whole = took.as_secs().saturating_mul(1_000_000_000);
        self.last = whole.saturating_add(took.subsec_nanos().into());
        self.observe_untimed(1);
    }

    /// Counts so many that were not measured: they are taken to be as long as the last one that was.
    pub(crate) fn observe_untimed(&mut self, count: u32) {
        let (took, count) = (self.last, u64::from(count));
        // Nearly all are below the first bound.
        let bucket = NANOSECONDS.iter().position(|bound| took <= *bound);
        if let Some(bucket) = self.buckets.get_mut(bucket.unwrap_or(NANOSECONDS.len())) {
            *bucket += count;
        }
        self.nanoseconds = self.nanoseconds.saturating_add(took.saturating_mul(count));
    }

    /// Whether nothing was counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.iter().all(|count| *count == 0)
    }

    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.nanoseconds = self.nanoseconds.saturating_add(other.nanoseconds);
    }

    /// The sum of all in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_in_nanoseconds_are_those_in_seconds() {
        let nanoseconds = CALLBACK_BOUNDS.map(|bound| (bound * 1e9).round() as u64);
        assert_eq!(nanoseconds, NANOSECONDS);
    }

    #[test]
    fn what_was_not_measured_is_like_the_last_that_was() {
        let mut counts = CallbackCounts::default();
        counts.observe(Duration::from_micros(3));
        counts.observe_untimed(7);
        assert_eq!(counts.buckets[1], 8);
        assert!((counts.seconds() - 0.000_024).abs() < 1e-9);
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_counts_add_up() {
        let mut counts = CallbackCounts::default();
        for nanoseconds in [0, 1_000, 1_001, 100_000_000, 100_000_001] {
            counts.observe(Duration::from_nanos(nanoseconds));
        }
        assert_eq!((counts.buckets[0], counts.buckets[1]), (2, 1));
        assert_eq!((counts.buckets[9], counts.buckets[10]), (1, 1));
        let mut both = counts.clone();
        both.add(&counts);
        assert_eq!(both.buckets[0], 4);
        assert!((both.seconds() - 0.400_004_004).abs() < 1e-9);
    }
}
