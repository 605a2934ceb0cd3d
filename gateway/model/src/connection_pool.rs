//! What is asked of the connections to a cluster (DestinationRule's `connectionPool`).

use std::time::Duration;

/// Limits and times of the connections to a cluster. Limits are the whole process's; `None` is no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionPool {
    /// How long a TCP connection may take to come about, TLS included (`tcp.connectTimeout`, 10 s).
    pub connect_timeout: Duration,
    /// How long an unused HTTP connection is kept (`http.idleTimeout`, 30 s); zero is for ever.
    pub idle_timeout: Duration,
    /// How long a TCP connection whose bytes are passed on may be silent (`tcp.idleTimeout`, 1 h); zero is for ever.
    pub tcp_idle_timeout: Duration,
    /// The age at which a connection takes no further request (`tcp.maxConnectionDuration`).
    pub max_connection_duration: Option<Duration>,
    /// Open connections (`tcp.maxConnections`).
    pub max_connections: Option<u32>,
    /// `tcp.tcpKeepalive`
    pub keepalive: Keepalive,
    /// Requests that wait for a connection (`http.http1MaxPendingRequests`).
    pub max_pending: Option<u32>,
    /// Requests under way (`http.http2MaxRequests`, which means HTTP/1 too).
    pub max_requests: Option<u32>,
    /// Requests that one connection serves (`http.maxRequestsPerConnection`).
    pub max_requests_per_connection: Option<u32>,
    /// Repeats under way (`http.maxRetries`).
    pub max_retries: Option<u32>,
    /// Streams at a time on one HTTP/2 connection (`http.maxConcurrentStreams`).
    pub max_concurrent_streams: Option<u32>,
    /// `http.http2KeepAlive`; `None` sends no PING.
    pub http2_keepalive: Option<Http2Keepalive>,
}

/// Probes of a silent TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long it is silent before the first (60 s).
    pub after: Duration,
    /// How far apart they are (15 s).
    pub every: Duration,
    /// How many stay unanswered before it is given up; `None` is the system's number.
    pub probes: Option<u32>,
}

/// PINGs on an HTTP/2 connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Keepalive {
    /// How far apart they are.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for ConnectionPool {
    fn default() -> Self {
        ConnectionPool {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            tcp_idle_timeout: Duration::from_secs(3600),
            max_connection_duration: None,
            max_connections: None,
            keepalive: Keepalive::default(),
            max_pending: None,
            max_requests: None,
            max_requests_per_connection: None,
            max_retries: None,
            max_concurrent_streams: None,
            http2_keepalive: None,
        }
    }
}

/// A dead node is noticed within two minutes, and firewalls between keep their entries.
impl Default for Keepalive {
    fn default() -> Self {
        Keepalive { after: Duration::from_secs(60), every: Duration::from_secs(15), probes: None }
    }
}
