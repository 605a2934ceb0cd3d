//! Histograms with fixed bounds.

/// Envoy's default bounds, which Istio uses for milliseconds and bytes alike.
pub(crate) const ISTIO_BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Bounds in seconds for our own durations.
pub(crate) const SECOND_BOUNDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

/// Which bucket of `bounds` a value falls in; `bounds.len()` is the one without a bound.
pub(crate) fn bucket_of(bounds: &[f64], value: f64) -> usize {
    bounds.partition_point(|bound| *bound < value)
}

/// A histogram of one thread. `BUCKETS` is one more than there are bounds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram<const BUCKETS: usize> {
    /// Counts, not cumulative.
    pub(crate) buckets: [u64; BUCKETS],
    /// The sum of all values.
    pub(crate) sum: f64,
}

impl<const BUCKETS: usize> Default for Histogram<BUCKETS> {
    fn default() -> Self {
        Histogram { buckets: [0; BUCKETS], sum: 0.0 }
    }
}

impl<const BUCKETS: usize> Histogram<BUCKETS> {
    /// Counts a value.
    pub(crate) fn observe(&mut self, bounds: &[f64], value: f64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(bounds, value)) {
            *bucket += 1;
        }
        self.sum += value;
    }

    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let mut histogram = Histogram::<20>::default();
        for value in [0.0, 0.5, 0.6, 1.0, 3_600_000.0, 3_600_001.0] {
            histogram.observe(&ISTIO_BOUNDS, value);
        }
        assert_eq!(histogram.buckets[0], 2);
        assert_eq!(histogram.buckets[1], 2);
        assert_eq!(histogram.buckets[18], 1);
        assert_eq!(histogram.buckets[19], 1);
    }

    #[test]
    fn histograms_add_up() {
        let mut one = Histogram::<13>::default();
        one.observe(&SECOND_BOUNDS, 0.002);
        let mut both = one.clone();
        both.add(&one);
        assert_eq!(both.buckets[2], 2);
        assert!((both.sum - 0.004).abs() < 1e-9);
    }
}
