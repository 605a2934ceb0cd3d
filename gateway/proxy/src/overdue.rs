//! Why a request is cut off that took too long.

use http::StatusCode;
use portcullis_exchange::ResponseFlag;

/// Which deadline a request missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// The client stopped sending a body that the upstream waits for.
    RequestStalled,
    /// The client sends its body more slowly than allowed.
    RequestSlow,
    /// The client stopped taking the reply.
    ReplyStalled,
    /// The client takes the reply more slowly than allowed.
    ReplySlow,
    /// No byte passed in either direction while the upstream had the request whole.
    UpstreamIdle,
    /// No byte passed in either direction.
    StreamIdle,
}

impl Overdue {
    /// What the client is told where it was told nothing yet. As in Envoy, 408 until the request is complete.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Overdue::UpstreamIdle => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Envoy's flag: SI for silence, DT for what lasts too long.
    pub(crate) fn flag(self) -> ResponseFlag {
        match self {
            Overdue::RequestSlow | Overdue::ReplySlow => ResponseFlag::DurationTimeout,
            _ => ResponseFlag::StreamIdleTimeout,
        }
    }

    /// As the access log tells it; Envoy's word where it has one.
    pub(crate) fn details(self) -> &'static str {
        match self {
            Overdue::RequestStalled => "request_body_stalled",
            Overdue::RequestSlow => "request_body_too_slow",
            Overdue::ReplyStalled => "response_body_stalled",
            Overdue::ReplySlow => "response_body_too_slow",
            Overdue::UpstreamIdle | Overdue::StreamIdle => "stream_idle_timeout",
        }
    }
}
