//! Limits on the number of requests of a rule: a token bucket over all workers.

use std::time::Duration;

use http::StatusCode;

/// So many requests in an interval, and the status of what is beyond (kind `EdgePolicy`, `rateLimit`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests each interval adds.
    pub requests: u32,
    /// The interval.
    pub interval: Duration,
    /// How many may come at once.
    pub burst: u32,
    /// 429 unless said otherwise.
    pub status: StatusCode,
}
