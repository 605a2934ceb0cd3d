//! What is asked of requests: of a listener's, and of a rule's own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use portcullis_message::HeadRules;

/// Limits and deadlines of the requests of one listener (`docs/configuration.md`, kind `EdgePolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPolicy {
    /// The largest request body, in bytes (`limits.requestBody`, none): 413.
    pub max_body: Option<u64>,
    /// How long a stream may go without a byte in either direction (`timeouts.streamIdle`, 300 s; Istio's
    /// `stream_idle_timeout`). The only deadline of upgraded connections and gRPC streams.
    pub stream_idle: Option<Duration>,
    /// How long a body may make no progress while bytes are owed: of the request by the client, of the reply to
    /// a client that does not take them (`timeouts.stalledBody`, 60 s).
    pub stalled_body: Option<Duration>,
    /// The slowest body, in bytes a second averaged over 30 s (`limits.minRate`, 100; 0 is off). Does not apply
    /// to gRPC and upgraded streams.
    pub min_rate: u32,
    /// How request heads are made canonical (`path`, `headers`).
    pub head: HeadRules,
}

/// What a rule, or the VirtualService around it, sets otherwise than its listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestOverrides {
    /// See [`RequestPolicy::max_body`]; the inner `None` lifts the limit.
    pub max_body: Option<Option<u64>>,
    /// See [`RequestPolicy::stream_idle`].
    pub stream_idle: Option<Option<Duration>>,
    /// See [`RequestPolicy::stalled_body`].
    pub stalled_body: Option<Option<Duration>>,
    /// See [`RequestPolicy::min_rate`].
    pub min_rate: Option<u32>,
}

impl RequestOverrides {
    /// Those of all rules that set nothing, one for all.
    pub fn none() -> Arc<Self> {
        static NONE: LazyLock<Arc<RequestOverrides>> = LazyLock::new(Arc::default);
        NONE.clone()
    }
}

impl RequestPolicy {
    /// With what a rule sets otherwise.
    #[must_use]
    pub fn with(mut self, overrides: &RequestOverrides) -> Self {
        self.max_body = overrides.max_body.unwrap_or(self.max_body);
        self.stream_idle = overrides.stream_idle.unwrap_or(self.stream_idle);
        self.stalled_body = overrides.stalled_body.unwrap_or(self.stalled_body);
        self.min_rate = overrides.min_rate.unwrap_or(self.min_rate);
        self
    }
}

impl Default for RequestPolicy {
    fn default() -> Self {
        RequestPolicy {
            max_body: None,
            stream_idle: Some(Duration::from_secs(300)),
            stalled_body: Some(Duration::from_secs(60)),
            min_rate: 100,
            head: HeadRules::default(),
        }
    }
}
