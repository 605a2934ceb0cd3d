//! How many repeats a cluster takes at a time (DestinationRule's `retryBudget`).

/// How many repeats a cluster takes at a time (DestinationRule's `retryBudget`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// Percent of the requests under way (20).
    pub percent: f64,
    /// So many are always allowed (3).
    pub min_concurrency: u32,
}
