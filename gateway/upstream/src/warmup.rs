//! Slow start: how new endpoints come to their share of the load.

use std::time::Duration;

use portcullis_model::Warmup;

/// Weights are so much finer while some endpoint warms up.
const FINE: f64 = 1_000.0;

/// An endpoint's weight at an age, by Envoy's formula: `weight x max(minimum, (age / duration) ^ (1 / aggression))`.
/// All weights of a cluster with a warm-up are a thousand times as large as written.
pub(crate) fn warm_weight(weight: u64, warmup: &Warmup, age: Duration) -> u64 {
    let full = weight as f64 * FINE;
    if age >= warmup.duration || weight == 0 {
        return full as u64;
    }
    // What is younger than a second counts as a second old.
    let age = age.as_secs_f64().max(1.0);
    let aggression = if warmup.aggression > 0.0 { warmup.aggression } else { 1.0 };
    let factor = (age / warmup.duration.as_secs_f64()).powf(1.0 / aggression);
    let factor = factor.max(warmup.minimum_percent / 100.0).min(1.0);
    ((full * factor) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(age: u64, aggression: f64) -> u64 {
        let duration = Duration::from_secs(100);
        let warmup = Warmup { duration, minimum_percent: 10.0, aggression };
        warm_weight(2, &warmup, Duration::from_secs(age))
    }

    #[test]
    fn weight_grows_from_the_minimum_to_the_whole() {
        assert_eq!(
            [0, 5, 25, 50, 100, 500].map(|age| weight(age, 1.0)),
            [200, 200, 500, 1000, 2000, 2000]
        );
        assert_eq!([0, 25, 81].map(|age| weight(age, 2.0)), [200, 1000, 1800]);
    }
}
