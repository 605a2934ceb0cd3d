//! The log operators that take no argument.

use std::net::SocketAddr;

use portcullis_exchange::{Exchange, Protocol, TlsFacts, Upstream};

use crate::log_operator::{Operator, Value};

/// What an operator's name alone means; `None` where we do not know it.
pub(crate) fn plain_operator(name: &str) -> Option<Operator> {
    about_request(name)
        .or_else(|| about_response(name))
        .or_else(|| about_upstream(name))
        .or_else(|| about_downstream(name))
        .map(Operator::Plain)
        .or_else(|| ABSENT.contains(&name).then_some(Operator::Absent))
}

type Read = fn(&Exchange) -> Value<'_>;

/// Facts about client certificates, which this gateway does not ask for yet: always `-`, as in Envoy for a
/// client without one.
const ABSENT: [&str; 14] = [
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_TLS_SESSION_ID",
];

fn about_request(name: &str) -> Option<Read> {
    Some(match name {
        "PROTOCOL" => |exchange| match exchange.request.protocol {
            Protocol::Tcp => Value::Missing,
            protocol => Value::text(protocol.as_str()),
        },
        "BYTES_RECEIVED" => |exchange| Value::Number(exchange.bytes_received),
        "DURATION" => |exchange| Value::duration(Some(exchange.timings.duration())),
        "REQUEST_DURATION" => |exchange| Value::duration(exchange.timings.request_duration()),
        "ROUTE_NAME" => |exchange| Value::option(exchange.route.as_deref()),
        "STREAM_ID" | "REQUEST_ID" => {
            |exchange| Value::text_unless_empty(exchange.request_id.as_bytes())
        }
        "GENERATION" => |exchange| Value::Number(exchange.generation),
        "GATEWAY" => |exchange| Value::option(exchange.gateway.as_deref()),
        _ => return None,
    })
}

fn about_response(name: &str) -> Option<Read> {
    Some(match name {
        // As in Envoy, 0 where there was no reply.
        "RESPONSE_CODE" => |exchange| {
            let response = exchange.response.as_ref();
            Value::Number(response.map_or(0, |response| response.status.as_u16().into()))
        },
        "RESPONSE_FLAGS" => |exchange| Value::Flags(exchange.flags),
        "RESPONSE_CODE_DETAILS" => {
            |exchange| Value::text_unless_empty(exchange.code_details.as_bytes())
        }
        "CONNECTION_TERMINATION_DETAILS" => {
            |exchange| Value::text_unless_empty(exchange.termination_details.as_bytes())
        }
        "BYTES_SENT" => |exchange| Value::Number(exchange.bytes_sent),
        "RESPONSE_DURATION" => |exchange| Value::duration(exchange.timings.response_duration()),
        "RESPONSE_TX_DURATION" => {
            |exchange| Value::duration(exchange.timings.response_sending_duration())
        }
        "GRPC_STATUS_NUMBER" => |exchange| {
            let response = exchange.response.as_ref();
            Value::header(response.and_then(|response| response.grpc_status()))
        },
        _ => return None,
    })
}

fn about_upstream(name: &str) -> Option<Read> {
    Some(match name {
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => {
            |exchange| Value::option(exchange.cluster.as_deref())
        }
        "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS" => |exchange| whole(upstream(exchange)),
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => |exchange| without_port(upstream(exchange)),
        "UPSTREAM_REMOTE_PORT" => |exchange| port(upstream(exchange)),
        "UPSTREAM_LOCAL_ADDRESS" => |exchange| whole(upstream_local(exchange)),
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => |exchange| without_port(upstream_local(exchange)),
        "UPSTREAM_LOCAL_PORT" => |exchange| port(upstream_local(exchange)),
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => |exchange| Value::Number(exchange.attempts.into()),
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => {
            |exchange| Value::text_unless_empty(exchange.transport_failure.as_bytes())
        }
        _ => return None,
    })
}

fn about_downstream(name: &str) -> Option<Read> {
    Some(match name {
        "DOWNSTREAM_LOCAL_ADDRESS" => |exchange| whole(Some(exchange.connection.local)),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => {
            |exchange| without_port(Some(exchange.connection.local))
        }
        "DOWNSTREAM_LOCAL_PORT" => |exchange| port(Some(exchange.connection.local)),
        "DOWNSTREAM_REMOTE_ADDRESS" => |exchange| whole(Some(exchange.client_address)),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => {
            |exchange| without_port(Some(exchange.client_address))
        }
        "DOWNSTREAM_REMOTE_PORT" => |exchange| port(Some(exchange.client_address)),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => |exchange| whole(Some(exchange.connection.peer)),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => {
            |exchange| without_port(Some(exchange.connection.peer))
        }
        "DOWNSTREAM_DIRECT_REMOTE_PORT" => |exchange| port(Some(exchange.connection.peer)),
        "DOWNSTREAM_TLS_VERSION" => |exchange| Value::option(tls(exchange).map(|tls| tls.version)),
        "DOWNSTREAM_TLS_CIPHER" => {
            |exchange| Value::option(tls(exchange).map(|tls| tls.cipher_suite))
        }
        "REQUESTED_SERVER_NAME" => |exchange| Value::option(server_name(exchange)),
        "CONNECTION_ID" => |exchange| Value::Number(exchange.connection.id),
        _ => return None,
    })
}

/// What a client asked for, wherever its TLS ends.
fn server_name(exchange: &Exchange) -> Option<&str> {
    let settled = tls(exchange).and_then(|tls| tls.server_name.as_deref());
    settled.or(exchange.passed_name.as_deref())
}

fn tls(exchange: &Exchange) -> Option<&TlsFacts> {
    exchange.connection.tls.as_ref()
}

fn upstream(exchange: &Exchange) -> Option<SocketAddr> {
    exchange.upstream.as_ref().map(|upstream: &Upstream| upstream.address)
}

fn upstream_local(exchange: &Exchange) -> Option<SocketAddr> {
    exchange.upstream.as_ref().and_then(|upstream| upstream.local_address)
}

fn whole(address: Option<SocketAddr>) -> Value<'static> {
    address.map_or(Value::Missing, Value::Address)
}

fn without_port(address: Option<SocketAddr>) -> Value<'static> {
    address.map_or(Value::Missing, |address| Value::Ip(address.ip()))
}

fn port(address: Option<SocketAddr>) -> Value<'static> {
    address.map_or(Value::Missing, |address| Value::Number(address.port().into()))
}
