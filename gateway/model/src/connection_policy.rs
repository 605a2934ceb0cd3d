//! What is asked of the downstream connections of a socket, before a request is known.

use std::time::Duration;

/// Deadlines and limits of the connections of one socket (`docs/configuration.md`, kind `EdgePolicy`). The
/// listeners of a socket have it in common, since which of them is meant shows only later.
///
/// Deadlines are enforced in whole seconds, never early, and at most two seconds late.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionPolicy {
    /// The TLS handshake (`timeouts.tlsHandshake`, 10 s), and before it the PROXY header.
    pub tls_handshake: Duration,
    /// The first byte of HTTP on a new connection (`timeouts.firstByte`, 10 s).
    pub first_byte: Duration,
    /// A request head from its first byte to its last (`timeouts.requestHead`, 10 s; HTTP/1).
    pub request_head: Duration,
    /// Between two requests (`timeouts.idle`, 75 s). Above the 60 s after which an ALB lets go itself, else it
    /// would send requests into connections that we are just closing.
    pub idle: Duration,
    /// How old a connection may become before it is asked to go after a response (`timeouts.maxAge`, 1 h,
    /// each connection up to a tenth earlier); `None` never.
    pub max_age: Option<Duration>,
    /// Connections of the socket at once (`limits.connections`, 20 000); more are accepted and closed.
    pub max_connections: u32,
    /// Whether a PROXY header comes first (annotation `portcullis.dev/proxy-protocol` of the Gateway).
    pub proxy_protocol: ProxyProtocol,
    /// Limits on a request head.
    pub head: HeadLimits,
    /// Limits on HTTP/2.
    pub http2: Http2Limits,
}

/// Whether a connection begins with a PROXY header (HAProxy's PROXY protocol, versions 1 and 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// It does not.
    #[default]
    Off,
    /// It may, from a trusted peer.
    Accept,
    /// It has to: a connection without one, or from a peer that is not trusted, is closed.
    Require,
}

/// Limits on a request head, its trailers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// All of it, in bytes (`limits.headBytes`, 64 KiB): 431.
    pub total: usize,
    /// One field, in bytes (`limits.fieldBytes`, 16 KiB): 431.
    pub field: usize,
    /// The request line, in bytes (`limits.requestLineBytes`, 16 KiB): 414.
    pub line: usize,
    /// Fields (`limits.fields`, 100): 431.
    pub fields: usize,
}

/// Limits on an HTTP/2 connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Streams at once (`http2.streams`, 100).
    pub streams: u32,
    /// What a client may send ahead on one stream, in bytes (`http2.streamWindow`, 64 KiB).
    pub stream_window: u32,
    /// What a client may send ahead on all its streams, in bytes (`http2.connectionWindow`, 1 MiB).
    pub connection_window: u32,
    /// PING and SETTINGS frames a second after the first hundred (`http2.controlFrames`, 10).
    pub control_frames: u32,
}

impl Default for ConnectionPolicy {
    fn default() -> Self {
        ConnectionPolicy {
            tls_handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            request_head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            max_age: Some(Duration::from_secs(3600)),
            max_connections: 20_000,
            proxy_protocol: ProxyProtocol::Off,
            head: HeadLimits::default(),
            http2: Http2Limits::default(),
        }
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits { total: 64 << 10, field: 16 << 10, line: 16 << 10, fields: 100 }
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Http2Limits {
            streams: 100,
            stream_window: 64 << 10,
            connection_window: 1 << 20,
            control_frames: 10,
        }
    }
}
