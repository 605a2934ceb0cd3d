//! What a port says of the protocol spoken behind it.

use portcullis_model::UpstreamProtocol;

/// The protocols that Istio knows, as they are written in any case.
pub(super) const PROTOCOLS: [&str; 12] = [
    "HTTP",
    "HTTP2",
    "GRPC",
    "GRPC-WEB",
    "HTTPS",
    "TLS",
    "TCP",
    "MONGO",
    "MYSQL",
    "REDIS",
    "HTTP_PROXY",
    "HBONE",
];

/// What a protocol's name means for what is spoken; `None` where there is no such protocol.
pub(super) fn protocol_by_name(name: &str) -> Option<UpstreamProtocol> {
    let upper = name.to_ascii_uppercase();
    Some(match &*upper {
        "HTTP" | "HTTP_PROXY" => UpstreamProtocol::Http1,
        "HTTP2" | "GRPC" | "GRPC-WEB" => UpstreamProtocol::Http2,
        "HTTPS" | "TLS" | "TCP" | "MONGO" | "MYSQL" | "REDIS" | "HBONE" => UpstreamProtocol::Tcp,
        _ => return None,
    })
}

/// What is spoken behind a Service's port: its `appProtocol`, else the word before the first hyphen of its name says
/// so, as in Istio; HTTP/1.1 where neither does.
pub(super) fn protocol_of_port(name: &str, app_protocol: Option<&str>) -> UpstreamProtocol {
    let known = match app_protocol {
        Some("kubernetes.io/h2c") => Some(UpstreamProtocol::Http2),
        Some("kubernetes.io/ws") => Some(UpstreamProtocol::Http1),
        Some("kubernetes.io/wss") => Some(UpstreamProtocol::Tcp),
        Some(other) => protocol_by_prefix(other),
        None => protocol_by_prefix(name),
    };
    known.unwrap_or_default()
}

fn protocol_by_prefix(name: &str) -> Option<UpstreamProtocol> {
    const GRPC_WEB: &str = "grpc-web";
    if name.get(..GRPC_WEB.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC_WEB)) {
        return protocol_by_name(GRPC_WEB);
    }
    protocol_by_name(name.split('-').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_says_what_is_spoken_by_its_protocol_or_its_name() {
        use UpstreamProtocol::{Http1, Http2, Tcp};
        for (name, app, protocol) in [
            ("http", None, Http1),
            ("http-web", None, Http1),
            ("HTTP2-web", None, Http2),
            ("grpc", None, Http2),
            ("grpc-web", None, Http2),
            ("grpc-web-shop", None, Http2),
            ("tcp-db", None, Tcp),
            ("tls", None, Tcp),
            ("https-web", None, Tcp),
            ("web", None, Http1),
            ("", None, Http1),
            ("http2x", None, Http1),
            ("grpc", Some("http"), Http1),
            ("tcp", Some("kubernetes.io/h2c"), Http2),
            ("tcp", Some("kubernetes.io/ws"), Http1),
            ("http", Some("kubernetes.io/wss"), Tcp),
            ("http2", Some("example.com/mine"), Http1),
        ] {
            assert_eq!(protocol_of_port(name, app), protocol, "{name} {app:?}");
        }
        for name in PROTOCOLS {
            assert!(protocol_by_name(name).is_some(), "{name}");
        }
    }
}
