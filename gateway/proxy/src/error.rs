//! What can go wrong with a request, whose fault it is, and the one place that answers it.

use http::StatusCode;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use portcullis_exchange::{Exchange, Protocol, ResponseFlag};
use portcullis_message::{HeadError, Reply};

use crate::Overdue;
use crate::refusal::{Refusal, reply_for_refusal};

/// Why a request did not get the upstream's reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// The head of the client's request is not one that may be served.
    #[error("bad request: {0}")]
    HeadRefused(HeadError),
    /// A plugin or a rewrite made a head that may not be sent. The details say which of them, and what.
    #[error("bad request after a change: {0}")]
    ChangedHeadRefused(&'static str),
    /// The client asked for a tunnel, and no rule allows one.
    #[error("CONNECT is not served here")]
    ConnectRefused,
    /// The client asked for a tunnel of a protocol that is not served (RFC 9220 section 3).
    #[error("no such protocol is served by CONNECT")]
    ConnectProtocolRefused,
    /// The head has more fields, or larger ones, than its listener allows.
    #[error("the request head is too large")]
    HeadTooLarge(&'static str),
    /// There is no memory for another request.
    #[error("out of memory")]
    Overloaded,
    /// The client's body broke off.
    #[error("the request body broke off")]
    RequestBodyBroken,
    /// The client's body is larger than allowed.
    #[error("the request body is too large")]
    RequestTooLarge,
    /// It took too long.
    #[error("overdue: {0:?}")]
    Overdue(Overdue),
    /// The request is for a listener with another TLS policy than its connection's.
    #[error("misdirected request")]
    Misdirected,
    /// What is asked of clients was tightened after the connection's handshake.
    #[error("the TLS policy was tightened")]
    HandshakeOutdated,
    /// No rule takes the request.
    #[error("no route")]
    NoRoute,
    /// The rule names a service that does not exist, which is this status.
    #[error("no such cluster")]
    NoCluster(StatusCode),
    /// The cluster has no endpoint to send to.
    #[error("no healthy upstream")]
    NoHealthyUpstream,
    /// No connection to an endpoint came about.
    #[error("upstream connection failed: {0}")]
    UpstreamConnection(String),
    /// The connection broke before the reply's head.
    #[error("upstream connection broke off: {0}")]
    UpstreamTermination(String),
    /// The upstream's reply is not HTTP, or too large.
    #[error("upstream spoke wrongly: {0}")]
    UpstreamProtocol(String),
    /// As much is under way at the cluster as its limits allow.
    #[error("upstream overflow: {0}")]
    UpstreamOverflow(String),
    /// The time of an attempt passed.
    #[error("upstream attempt timeout")]
    AttemptTimeout,
    /// The route's timeout passed.
    #[error("upstream request timeout")]
    UpstreamTimeout,
    /// The upstream's reply is larger than a plugin may hold.
    #[error("the response body is too large for a plugin to hold")]
    ReplyTooLarge,
    /// A native filter refuses it.
    #[error("refused: {}", .0.details)]
    Refused(Box<Refusal>),
    /// A plugin broke the stream off.
    #[error("plugin {0} closed the stream")]
    PluginClosed(String),
    /// A plugin failed and its strategy is to refuse.
    #[error("plugin {0} failed")]
    Plugin(String),
}

/// What the record says of an error, and the status that the client gets.
struct Verdict {
    status: StatusCode,
    flag: Option<ResponseFlag>,
    details: &'static str,
}

/// The reply for an error. Flags and details go into the exchange's record.
pub(crate) fn reply_for(error: &ProxyError, exchange: &mut Exchange) -> Reply {
    if let ProxyError::Refused(refusal) = error {
        return reply_for_refusal(refusal, exchange);
    }
    let verdict = verdict(error);
    if let Some(flag) = verdict.flag {
        exchange.flags.set(flag);
    }
    exchange.code_details = verdict.details.into();
    if let ProxyError::UpstreamConnection(reason)
    | ProxyError::UpstreamTermination(reason)
    | ProxyError::UpstreamOverflow(reason)
    | ProxyError::UpstreamProtocol(reason) = error
    {
        exchange.transport_failure.clone_from(reason);
    }
    let mut reply = Reply::status(verdict.status);
    let text = text(error);
    if !text.is_empty() {
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        reply.body = text.into();
    }
    if matches!(error, ProxyError::UpstreamOverflow(_)) {
        reply.headers.insert(OVERLOADED, HeaderValue::from_static("true"));
    }
    if matches!(error, ProxyError::Overloaded) {
        reply.headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if ends_connection(error) && exchange.request.protocol != Protocol::Http2 {
        reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

/// As Envoy tells that a limit, not an upstream, has refused a request.
const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

/// What the record says of an error after which nobody can be told any more.
pub(crate) fn details_of(error: &ProxyError) -> &'static str {
    verdict(error).details
}

/// Where such a request ends is the client's word alone, or it will not come to its end.
fn ends_connection(error: &ProxyError) -> bool {
    matches!(
        error,
        ProxyError::HeadRefused(_) | ProxyError::Overdue(_) | ProxyError::HandshakeOutdated
    )
}

fn verdict(error: &ProxyError) -> Verdict {
    use ProxyError as Error;
    use ResponseFlag as Flag;
    use StatusCode as Status;
    let (status, flag, details) = match error {
        Error::HeadRefused(why) => (why.status(), Some(Flag::DownstreamProtocolError), why.code()),
        // The client has kept to the protocol.
        Error::ChangedHeadRefused(details) => (Status::BAD_REQUEST, None, *details),
        Error::ConnectRefused => (Status::METHOD_NOT_ALLOWED, None, "connect_not_allowed"),
        Error::ConnectProtocolRefused => {
            (Status::NOT_IMPLEMENTED, None, "connect_protocol_not_served")
        }
        Error::HeadTooLarge(details) => {
            let status = Status::REQUEST_HEADER_FIELDS_TOO_LARGE;
            (status, Some(Flag::DownstreamProtocolError), *details)
        }
        Error::Overloaded => (Status::SERVICE_UNAVAILABLE, Some(Flag::OverloadManager), "overload"),
        Error::RequestBodyBroken => {
            let flag = Flag::DownstreamConnectionTermination;
            (Status::BAD_REQUEST, Some(flag), "downstream_body_broke_off")
        }
        Error::RequestTooLarge => (Status::PAYLOAD_TOO_LARGE, None, "request_payload_too_large"),
        Error::Overdue(overdue) => (overdue.status(), Some(overdue.flag()), overdue.details()),
        Error::Misdirected => (Status::MISDIRECTED_REQUEST, None, "misdirected_request"),
        Error::HandshakeOutdated => (Status::MISDIRECTED_REQUEST, None, "tls_policy_tightened"),
        Error::NoRoute => (Status::NOT_FOUND, Some(Flag::NoRoute), "route_not_found"),
        Error::NoCluster(status) => (*status, Some(Flag::NoCluster), "cluster_not_found"),
        Error::NoHealthyUpstream => {
            (Status::SERVICE_UNAVAILABLE, Some(Flag::NoHealthyUpstream), "no_healthy_upstream")
        }
        Error::UpstreamConnection(_) => {
            let details = "upstream_reset_before_response_started{connection_failure}";
            (Status::SERVICE_UNAVAILABLE, Some(Flag::UpstreamConnectionFailure), details)
        }
        Error::UpstreamTermination(_) => {
            let details = "upstream_reset_before_response_started{connection_termination}";
            // It may have been executed: 503 would say that it was not.
            (Status::BAD_GATEWAY, Some(Flag::UpstreamConnectionTermination), details)
        }
        Error::UpstreamProtocol(_) => {
            let details = "upstream_reset_before_response_started{protocol_error}";
            (Status::BAD_GATEWAY, Some(Flag::UpstreamProtocolError), details)
        }
        Error::UpstreamOverflow(_) => {
            (Status::SERVICE_UNAVAILABLE, Some(Flag::UpstreamOverflow), "upstream_overflow")
        }
        Error::AttemptTimeout => {
            let flag = Flag::UpstreamRequestTimeout;
            (Status::GATEWAY_TIMEOUT, Some(flag), "upstream_per_try_timeout")
        }
        Error::UpstreamTimeout => {
            let flag = Flag::UpstreamRequestTimeout;
            (Status::GATEWAY_TIMEOUT, Some(flag), "upstream_response_timeout")
        }
        Error::Refused(refusal) => (refusal.reply.status, refusal.flag, "refused_by_filter"),
        Error::Plugin(_) => (Status::SERVICE_UNAVAILABLE, None, "wasm_fail_stream"),
        Error::PluginClosed(_) => {
            (Status::SERVICE_UNAVAILABLE, Some(Flag::LocalReset), "wasm_close_stream")
        }
        Error::ReplyTooLarge => (Status::INTERNAL_SERVER_ERROR, None, "response_payload_too_large"),
    };
    Verdict { status, flag, details }
}

/// What the client gets to read; nothing of what the gateway is like inside.
fn text(error: &ProxyError) -> &'static str {
    match error {
        ProxyError::HeadRefused(why) => why.status().canonical_reason().unwrap_or(""),
        ProxyError::ChangedHeadRefused(_) => "bad request",
        ProxyError::ConnectRefused => "method not allowed",
        ProxyError::ConnectProtocolRefused => "not implemented",
        ProxyError::HeadTooLarge(_) => "request header fields too large",
        ProxyError::Overloaded => "overload",
        ProxyError::RequestTooLarge => "payload too large",
        ProxyError::Overdue(_) => "stream timeout",
        ProxyError::Misdirected | ProxyError::HandshakeOutdated => "misdirected request",
        ProxyError::NoHealthyUpstream => "no healthy upstream",
        ProxyError::UpstreamConnection(_) => "upstream connection failed",
        ProxyError::UpstreamTermination(_) => "upstream connection broke off",
        ProxyError::UpstreamProtocol(_) => "upstream protocol error",
        ProxyError::UpstreamOverflow(_) => "upstream overflow",
        ProxyError::AttemptTimeout | ProxyError::UpstreamTimeout => "upstream request timeout",
        ProxyError::RequestBodyBroken
        | ProxyError::NoRoute
        | ProxyError::NoCluster(_)
        | ProxyError::ReplyTooLarge
        | ProxyError::Refused(_)
        | ProxyError::PluginClosed(_)
        | ProxyError::Plugin(_) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_head_ends_an_http1_connection() {
        let mut exchange = Exchange::for_test();
        let error = ProxyError::HeadRefused(HeadError::Scheme);
        let reply = reply_for(&error, &mut exchange);
        assert_eq!(
            (reply.status, reply.headers.get(CONNECTION).is_some()),
            (StatusCode::BAD_REQUEST, true)
        );
        assert_eq!(
            (exchange.flags.to_string().as_str(), &*exchange.code_details),
            ("DPE", "scheme_refused")
        );
        exchange.request.protocol = Protocol::Http2;
        assert_eq!(reply_for(&error, &mut exchange).headers.get(CONNECTION), None);
    }

    #[test]
    fn a_broken_connection_leaves_its_reason_in_the_record() {
        let mut exchange = Exchange::for_test();
        let error = ProxyError::UpstreamConnection("connection refused".to_owned());
        let reply = reply_for(&error, &mut exchange);
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(exchange.flags.to_string(), "UF");
        assert_eq!(exchange.transport_failure, "connection refused");
    }
}
