//! Named attributes of an exchange, as Proxy-Wasm's `get_property` and policy conditions name them
//! (`request.path`, `source.address`, …).

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, REFERER, USER_AGENT};

use crate::attribute_headers::{RequestFields, ResponseFields, header_bytes, read_fields};
use crate::attribute_value::AttributeValue;
use crate::authenticated_attributes::{JWT_METADATA, of_identity, of_payload};
use crate::{Exchange, Protocol, ResponseHead, UpstreamTlsFacts};

/// Envoy's number for listeners towards the mesh, which a gateway's are.
const OUTBOUND: i64 = 2;

/// The attribute at a path such as `["request", "headers", "user-agent"]`; `None` where it is unknown or
/// has no value yet.
///
/// What plugins left is found under its own path, its parts joined by dots, and never hides an attribute of ours.
pub fn attribute(exchange: &Exchange, path: &[&str]) -> Option<AttributeValue> {
    match path {
        ["request", "auth", rest @ ..] => of_identity(exchange, rest),
        ["metadata", "filter_metadata", JWT_METADATA, rest @ ..] => of_payload(exchange, rest),
        ["request", rest @ ..] => of_request(exchange, rest),
        ["response", rest @ ..] => of_response(exchange, rest),
        ["source", name] => of_address(Some(exchange.client_address), name),
        ["destination", name] => of_address(Some(exchange.connection.local), name),
        ["connection", name] => of_connection(exchange, name),
        ["upstream", name] => of_upstream(exchange, name),
        ["filter_state", name] => exchange.state(name.strip_prefix("wasm.")?).map(bytes),
        ["filter_state", "wasm", name] => exchange.state(name).map(bytes),
        ["xds", name] => of_configuration(exchange, name),
        ["connection_id"] => of_connection(exchange, "id"),
        [name] => of_configuration(exchange, name).or_else(|| exchange.state(name).map(bytes)),
        _ => exchange.state(&path.join(".")).map(bytes),
    }
}

fn of_request(exchange: &Exchange, path: &[&str]) -> Option<AttributeValue> {
    let request = &exchange.request;
    let is_connection = request.protocol == Protocol::Tcp;
    Some(match path {
        // A connection whose bytes are passed on has no request, but a beginning and a size.
        [name, ..] if is_connection && !matches!(*name, "time" | "duration" | "size") => {
            return None;
        }
        ["headers", rest @ ..] => return read_fields(&RequestFields(request), rest),
        ["path"] => text(request.path.as_str()),
        ["url_path"] => text(request.path.path()),
        ["query"] => text(request.path.query().unwrap_or("")),
        ["host"] => header(&request.authority),
        ["scheme"] => text(request.scheme),
        ["method"] => text(request.method.as_str()),
        ["protocol"] => text(request.protocol.as_str()),
        ["referer"] => header(request.headers.get(REFERER)?),
        ["useragent"] => header(request.headers.get(USER_AGENT)?),
        ["id"] if exchange.request_id.is_empty() => return None,
        ["id"] => header(&exchange.request_id),
        ["time"] => {
            let since = exchange.timings.started_at.duration_since(UNIX_EPOCH).ok()?;
            AttributeValue::Timestamp(nanoseconds(since))
        }
        // As in Envoy, there is none before the end.
        ["duration"] => {
            exchange.timings.ended?;
            AttributeValue::Duration(nanoseconds(exchange.timings.duration()))
        }
        ["size"] => int(announced_size(exchange).unwrap_or(exchange.bytes_received)),
        ["total_size"] => int(exchange.bytes_received + header_bytes(&request.headers)),
        _ => return None,
    })
}

fn announced_size(exchange: &Exchange) -> Option<u64> {
    exchange.request.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn of_response(exchange: &Exchange, path: &[&str]) -> Option<AttributeValue> {
    match path {
        ["code_details"] if exchange.code_details.is_empty() => None,
        ["code_details"] => Some(text(&exchange.code_details)),
        ["flags"] => Some(int(exchange.flags.bits().into())),
        ["size"] => Some(int(exchange.bytes_sent)),
        _ => of_response_head(exchange, exchange.response.as_ref()?, path),
    }
}

fn of_response_head(
    exchange: &Exchange,
    head: &ResponseHead,
    path: &[&str],
) -> Option<AttributeValue> {
    Some(match path {
        ["code"] => int(head.status.as_u16().into()),
        ["headers", rest @ ..] => return read_fields(&ResponseFields(head), rest),
        ["trailers", rest @ ..] => return read_fields(head.trailers.as_ref()?, rest),
        ["grpc_status"] => int(head.grpc_status()?.to_str().ok()?.parse().ok()?),
        ["total_size"] => {
            let trailers = head.trailers.as_ref().map_or(0, header_bytes);
            int(exchange.bytes_sent + header_bytes(&head.headers) + trailers)
        }
        _ => return None,
    })
}

fn of_connection(exchange: &Exchange, name: &str) -> Option<AttributeValue> {
    let connection = &exchange.connection;
    Some(match name {
        "id" => int(connection.id),
        "mtls" => AttributeValue::Bool(connection.peer_certificate().is_some()),
        "subject_peer_certificate" => text(&connection.peer_certificate()?.subject),
        "uri_san_peer_certificate" => text(connection.peer_certificate()?.uris.first()?),
        "dns_san_peer_certificate" => text(connection.peer_certificate()?.dns_names.first()?),
        "sha256_peer_certificate_digest" => text(&connection.peer_certificate()?.sha256),
        "subject_local_certificate" => text(&connection.local_certificate()?.subject),
        "uri_san_local_certificate" => text(connection.local_certificate()?.uris.first()?),
        "dns_san_local_certificate" => text(connection.local_certificate()?.dns_names.first()?),
        "requested_server_name" => text(connection.tls.as_ref()?.server_name.as_deref()?),
        "tls_version" => text(connection.tls.as_ref()?.version),
        "termination_details" if exchange.termination_details.is_empty() => return None,
        "termination_details" => text(exchange.termination_details),
        _ => return None,
    })
}

fn of_upstream(exchange: &Exchange, name: &str) -> Option<AttributeValue> {
    let upstream = exchange.upstream.as_ref();
    match name {
        "local_address" => of_address(upstream?.local_address, "address"),
        "transport_failure_reason" if exchange.transport_failure.is_empty() => None,
        "transport_failure_reason" => Some(text(&exchange.transport_failure)),
        "address" | "port" => of_address(upstream.map(|upstream| upstream.address), name),
        name => of_upstream_tls(exchange.upstream_tls.as_deref()?, name),
    }
}

fn of_upstream_tls(tls: &UpstreamTlsFacts, name: &str) -> Option<AttributeValue> {
    Some(match name {
        "tls_version" => text(tls.version),
        "subject_peer_certificate" => text(&tls.peer.as_ref()?.subject),
        "uri_san_peer_certificate" => text(tls.peer.as_ref()?.uris.first()?),
        "dns_san_peer_certificate" => text(tls.peer.as_ref()?.dns_names.first()?),
        "sha256_peer_certificate_digest" => text(&tls.peer.as_ref()?.sha256),
        _ => return None,
    })
}

/// What Envoy 1.40 answers under `xds`, and older ones without it.
fn of_configuration(exchange: &Exchange, name: &str) -> Option<AttributeValue> {
    match name {
        "cluster_name" => exchange.cluster.as_deref().map(text),
        "route_name" => exchange.route.as_deref().map(text),
        "listener_direction" => Some(AttributeValue::Int(OUTBOUND)),
        _ => None,
    }
}

fn of_address(address: Option<SocketAddr>, name: &str) -> Option<AttributeValue> {
    let address = address?;
    match name {
        // An IPv4 client of a dual-stack socket is an IPv4 client.
        "address" => {
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            Some(AttributeValue::Bytes(address.to_string().into()))
        }
        "port" => Some(int(address.port().into())),
        _ => None,
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

fn bytes(bytes: &Bytes) -> AttributeValue {
    AttributeValue::Bytes(bytes.clone())
}

fn header(value: &HeaderValue) -> AttributeValue {
    AttributeValue::Bytes(Bytes::copy_from_slice(value.as_bytes()))
}

fn int(number: u64) -> AttributeValue {
    AttributeValue::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::{ResponseFlag, Upstream};

    fn served() -> Exchange {
        let mut exchange = Exchange::for_test();
        exchange.request.path = "/a/b?c=d".parse().unwrap();
        exchange.request.authority = HeaderValue::from_static("shop.example");
        exchange.request.headers.append("accept", HeaderValue::from_static("text/html"));
        exchange.request.headers.append("accept", HeaderValue::from_static("*/*"));
        exchange.client_address = "[::ffff:192.0.2.1]:4711".parse().unwrap();
        exchange.response = Some(ResponseHead::new(StatusCode::NOT_FOUND, HeaderMap::new()));
        exchange.upstream =
            Some(Upstream { address: "10.0.0.7:8080".parse().unwrap(), local_address: None });
        exchange.cluster = Some("outbound|80||shop".into());
        exchange
    }

    fn read(exchange: &Exchange, path: &[&str]) -> String {
        match attribute(exchange, path) {
            Some(AttributeValue::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            Some(AttributeValue::Int(number)) => number.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_request_is_read_by_name() {
        let exchange = served();
        assert_eq!(read(&exchange, &["request", "path"]), "/a/b?c=d");
        assert_eq!(read(&exchange, &["request", "url_path"]), "/a/b");
        assert_eq!(read(&exchange, &["request", "query"]), "c=d");
        assert_eq!(read(&exchange, &["request", "host"]), "shop.example");
        assert_eq!(read(&exchange, &["request", "method"]), "GET");
        assert_eq!(read(&exchange, &["request", "headers", "Accept"]), "text/html,*/*");
        assert_eq!(read(&exchange, &["request", "headers", ":path"]), "/a/b?c=d");
        assert_eq!(attribute(&exchange, &["request", "headers", "absent"]), None);
        assert_eq!(attribute(&exchange, &["request", "duration"]), None);
    }

    #[test]
    fn whole_maps_have_the_pseudo_headers() {
        let exchange = served();
        let Some(AttributeValue::Map(map)) = attribute(&exchange, &["request", "headers"]) else {
            panic!("no map");
        };
        assert!(map.contains(&(":method".into(), "GET".into())));
        assert!(map.contains(&("accept".into(), "*/*".into())));
        let response = attribute(&exchange, &["response", "headers"]);
        assert_eq!(response, Some(AttributeValue::Map(vec![(":status".into(), "404".into())])));
    }

    #[test]
    fn the_reply_and_the_upstream_are_read_by_name() {
        let mut exchange = served();
        exchange.flags.set(ResponseFlag::NoRoute);
        assert_eq!(read(&exchange, &["response", "code"]), "404");
        assert_eq!(read(&exchange, &["response", "flags"]), "256");
        assert_eq!(attribute(&exchange, &["response", "grpc_status"]), None);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("5"));
        exchange.response.as_mut().unwrap().trailers = Some(trailers);
        assert_eq!(read(&exchange, &["response", "grpc_status"]), "5");
        assert_eq!(read(&exchange, &["response", "trailers", "grpc-status"]), "5");
        assert_eq!(read(&exchange, &["upstream", "address"]), "10.0.0.7:8080");
        assert_eq!(read(&exchange, &["upstream", "port"]), "8080");
        assert_eq!(attribute(&exchange, &["upstream", "local_address"]), None);
        assert_eq!(attribute(&exchange, &["upstream", "tls_version"]), None);
        let facts = UpstreamTlsFacts { version: "TLSv1.3", peer: None };
        exchange.upstream_tls = Some(facts.into());
        assert_eq!(read(&exchange, &["upstream", "tls_version"]), "TLSv1.3");
        assert_eq!(attribute(&exchange, &["upstream", "uri_san_peer_certificate"]), None);
    }

    #[test]
    fn an_ipv4_client_of_a_dual_stack_socket_is_one() {
        assert_eq!(read(&served(), &["source", "address"]), "192.0.2.1:4711");
        assert_eq!(read(&served(), &["source", "port"]), "4711");
    }

    #[test]
    fn older_names_are_served_beside_the_newer() {
        let exchange = served();
        assert_eq!(read(&exchange, &["cluster_name"]), "outbound|80||shop");
        assert_eq!(read(&exchange, &["xds", "cluster_name"]), "outbound|80||shop");
        assert_eq!(read(&exchange, &["listener_direction"]), "2");
        assert_eq!(attribute(&exchange, &["route_name"]), None);
    }

    #[test]
    fn what_plugins_left_is_found_but_never_hides_ours() {
        let mut exchange = served();
        exchange.set_state("user", "ada".into());
        exchange.set_state("cluster_name", "forged".into());
        exchange.set_state("a.b", "deep".into());
        assert_eq!(read(&exchange, &["user"]), "ada");
        assert_eq!(read(&exchange, &["filter_state", "wasm.user"]), "ada");
        assert_eq!(read(&exchange, &["a", "b"]), "deep");
        assert_eq!(read(&exchange, &["cluster_name"]), "outbound|80||shop");
    }

    #[test]
    fn a_verified_client_is_read_by_name() {
        let facts = |uri: &str| portcullis_crypto::CertificateFacts {
            subject: "CN=ada".into(),
            issuer: "CN=ca".into(),
            serial: "01".into(),
            uris: vec![uri.into(), "urn:second".into()],
            dns_names: vec!["ada.example".into()],
            emails: Vec::new(),
            addresses: Vec::new(),
            sha256: "ab".into(),
            spki_sha256: [0; 32],
            not_before: 0,
            not_after: 0,
        };
        let connection = crate::Connection {
            tls: Some(crate::TlsFacts {
                server_name: None,
                version: "TLSv1.3",
                cipher_suite: "",
                local: Some(std::sync::Arc::new(facts("urn:gateway"))),
                peer: Some(Box::new(facts("urn:ada"))),
                forwarded_client_cert: None,
                standing: crate::TlsStanding::new(crate::Verdict::NotAsked, 1, 1),
            }),
            ..crate::Connection::nowhere()
        };
        let exchange =
            Exchange::new(std::sync::Arc::new(connection), crate::RequestHead::default());
        for (name, value) in [
            ("subject_peer_certificate", "CN=ada"),
            ("uri_san_peer_certificate", "urn:ada"),
            ("dns_san_peer_certificate", "ada.example"),
            ("sha256_peer_certificate_digest", "ab"),
            ("subject_local_certificate", "CN=ada"),
            ("uri_san_local_certificate", "urn:gateway"),
            ("dns_san_local_certificate", "ada.example"),
        ] {
            assert_eq!(read(&exchange, &["connection", name]), value, "{name}");
        }
        assert_eq!(attribute(&exchange, &["connection", "mtls"]), Some(AttributeValue::Bool(true)));
    }

    #[test]
    fn a_plain_connection_has_no_tls_attributes() {
        let exchange = served();
        assert_eq!(attribute(&exchange, &["connection", "tls_version"]), None);
        assert_eq!(
            attribute(&exchange, &["connection", "mtls"]),
            Some(AttributeValue::Bool(false))
        );
        assert_eq!(attribute(&exchange, &[]), None);
    }
}
