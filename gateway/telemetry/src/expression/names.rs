//! The attributes that expressions may name, with their types; the same as of `portcullis_exchange::attribute`.

use super::value::Type;

/// An attribute of one or two parts; of `Fields` a further one is a field's name.
pub(crate) fn type_of(path: &[&str]) -> Option<Type> {
    Some(match path {
        ["request", name] => return of_request(name),
        ["response", name] => return of_response(name),
        ["source" | "destination", "address"] => Type::Text,
        ["source" | "destination", "port"] => Type::Int,
        ["connection", "id"] => Type::Int,
        ["connection", "mtls"] => Type::Bool,
        ["connection", "requested_server_name" | "tls_version" | "termination_details"] => {
            Type::Text
        }
        ["upstream", "port"] => Type::Int,
        ["upstream", "address" | "local_address" | "tls_version" | "transport_failure_reason"] => {
            Type::Text
        }
        ["connection" | "upstream", name] if CERTIFICATES.contains(name) => Type::Text,
        ["connection", name] if LOCAL_CERTIFICATES.contains(name) => Type::Text,
        ["xds", "cluster_name" | "route_name"] => Type::Text,
        ["xds", "listener_direction"] => Type::Int,
        ["filter_state"] => Type::Fields,
        _ => return None,
    })
}

/// The roots, for who names another.
pub(crate) const ROOTS: [&str; 8] = [
    "request",
    "response",
    "source",
    "destination",
    "connection",
    "upstream",
    "xds",
    "filter_state",
];

const CERTIFICATES: [&str; 4] = [
    "subject_peer_certificate",
    "uri_san_peer_certificate",
    "dns_san_peer_certificate",
    "sha256_peer_certificate_digest",
];

const LOCAL_CERTIFICATES: [&str; 3] =
    ["subject_local_certificate", "uri_san_local_certificate", "dns_san_local_certificate"];

fn of_request(name: &str) -> Option<Type> {
    Some(match name {
        "headers" => Type::Fields,
        "size" | "total_size" => Type::Int,
        "time" => Type::Moment,
        "duration" => Type::Duration,
        "path" | "url_path" | "query" | "host" | "scheme" | "method" | "protocol" | "referer"
        | "useragent" | "id" => Type::Text,
        _ => return None,
    })
}

fn of_response(name: &str) -> Option<Type> {
    Some(match name {
        "headers" | "trailers" => Type::Fields,
        "code" | "flags" | "size" | "total_size" | "grpc_status" => Type::Int,
        "code_details" => Type::Text,
        _ => return None,
    })
}
