//! When a request is tried again, and what else is sent beside it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::StatusCode;

use crate::ClusterName;

/// When a request is tried again (VirtualService's `retries`).
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts beyond the first; 0 is none.
    pub attempts: u32,
    /// How long one attempt may take to its reply's head; `None` is the route's timeout alone.
    pub per_try_timeout: Option<Duration>,
    /// What is worth another attempt.
    pub on: RetryOn,
    /// Statuses that are worth one too.
    pub statuses: Vec<StatusCode>,
    /// The base of the pause between attempts, which doubles (25 ms).
    pub backoff: Duration,
    /// Whether endpoints of other localities may be taken (`retryRemoteLocalities`).
    pub remote_localities: RemoteLocalities,
    /// Whether an endpoint that was tried is avoided (`retryIgnorePreviousHosts`).
    pub previous: PreviousEndpoints,
}

/// Whether further attempts may leave the locality of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteLocalities {
    /// Only where the cluster's own balancing would.
    AsBalanced,
    /// After two attempts.
    Allowed,
}

/// What becomes of endpoints that were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousEndpoints {
    /// They are avoided where there is another (the default).
    Avoided,
    /// They may be drawn again.
    DrawnAgain,
}

/// What is worth another attempt: Envoy's `retry_on`. What is unsafe to repeat is not repeated, whatever stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// `5xx`: any of them, and everything below.
    pub any_5xx: bool,
    /// `gateway-error`: 502, 503, 504.
    pub gateway_error: bool,
    /// `reset`: the connection broke before the reply's head.
    pub reset: bool,
    /// It broke before the reply's head, and the request is idempotent: ours where nothing is written.
    pub reset_of_idempotent: bool,
    /// `reset-before-request`: it broke before anything was sent.
    pub reset_before_request: bool,
    /// `connect-failure`: no connection came about.
    pub connect_failure: bool,
    /// `refused-stream`: REFUSED_STREAM.
    pub refused_stream: bool,
    /// `retriable-4xx`: 409.
    pub retriable_4xx: bool,
    /// `envoy-ratelimited`: the reply has `x-envoy-ratelimited`, without which such a reply is never worth one.
    pub envoy_ratelimited: bool,
    /// gRPC's `cancelled`, `deadline-exceeded`, `internal`, `resource-exhausted`, `unavailable` (a bit for each status).
    pub grpc_statuses: u32,
}

/// A copy of requests that is sent elsewhere and whose reply nobody waits for (VirtualService's `mirrors`).
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// Where to; it may be missing from the model, then nothing is sent.
    pub cluster: ClusterName,
    /// Of so many requests in a million.
    pub parts_per_million: u32,
}

impl RetryOn {
    /// Nothing.
    pub const NOTHING: RetryOn = RetryOn {
        any_5xx: false,
        gateway_error: false,
        reset: false,
        reset_of_idempotent: false,
        reset_before_request: false,
        connect_failure: false,
        refused_stream: false,
        retriable_4xx: false,
        envoy_ratelimited: false,
        grpc_statuses: 0,
    };

    /// Ours where nothing is written: connections that did not come about, streams refused, for idempotent requests
    /// resets before the reply's head, gRPC's `unavailable` and `cancelled`.
    pub const DEFAULT: RetryOn = RetryOn {
        reset_of_idempotent: true,
        reset_before_request: true,
        connect_failure: true,
        refused_stream: true,
        grpc_statuses: 1 << 14 | 1 << 1,
        ..RetryOn::NOTHING
    };
}

impl RetryPolicy {
    /// Whether a reply can be worth another attempt by its status; one of gRPC apart.
    pub fn looks_at_statuses(&self) -> bool {
        let on = &self.on;
        on.any_5xx
            || on.gateway_error
            || on.retriable_4xx
            || on.envoy_ratelimited
            || !self.statuses.is_empty()
    }
}

/// Where `retries` is not written.
impl RetryPolicy {
    /// That of all rules that say nothing of it, one for all.
    pub fn unwritten() -> Arc<Self> {
        static UNWRITTEN: LazyLock<Arc<RetryPolicy>> = LazyLock::new(Arc::default);
        UNWRITTEN.clone()
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts: 2,
            per_try_timeout: None,
            on: RetryOn::DEFAULT,
            statuses: Vec::new(),
            backoff: Duration::from_millis(25),
            remote_localities: RemoteLocalities::AsBalanced,
            previous: PreviousEndpoints::Avoided,
        }
    }
}
