//! When what happened in an exchange.

use std::time::{Duration, Instant, SystemTime};

/// The moments of one exchange. Durations come from the monotonic clock, the start from both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// The head's arrival, for people.
    pub started_at: SystemTime,
    /// The head's arrival, for durations.
    pub started: Instant,
    /// The last byte of the request arrived.
    pub request_ended: Option<Instant>,
    /// The request was handed to an upstream connection.
    pub upstream_sent: Option<Instant>,
    /// The upstream's response head arrived.
    pub upstream_replied: Option<Instant>,
    /// The last byte of the reply was handed downstream.
    pub ended: Option<Instant>,
}

impl Timings {
    /// Starts now.
    pub fn start() -> Self {
        Timings {
            started_at: SystemTime::now(),
            started: Instant::now(),
            request_ended: None,
            upstream_sent: None,
            upstream_replied: None,
            ended: None,
        }
    }

    /// From the head's arrival to the end, or to now while it lasts.
    pub fn duration(&self) -> Duration {
        self.ended.unwrap_or_else(Instant::now).saturating_duration_since(self.started)
    }

    /// From the head's arrival to the request's last byte.
    pub fn request_duration(&self) -> Option<Duration> {
        Some(self.request_ended?.saturating_duration_since(self.started))
    }

    /// From the head's arrival to the upstream's response head.
    pub fn response_duration(&self) -> Option<Duration> {
        Some(self.upstream_replied?.saturating_duration_since(self.started))
    }

    /// From the upstream's response head to the reply's last byte.
    pub fn response_sending_duration(&self) -> Option<Duration> {
        Some(self.ended?.saturating_duration_since(self.upstream_replied?))
    }

    /// From handing the request upstream to its response head (`x-envoy-upstream-service-time`).
    pub fn upstream_service_time(&self) -> Option<Duration> {
        Some(self.upstream_replied?.saturating_duration_since(self.upstream_sent?))
    }
}
