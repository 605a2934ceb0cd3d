//! Asking for another protocol in HTTP's place: `Upgrade` in HTTP/1 (RFC 9110 section 7.8), extended CONNECT
//! in HTTP/2 (RFC 8441).

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, Version};

/// How a client asked for a WebSocket, the one protocol that is upgraded to: h2c would get past the gateway,
/// and others nobody has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// `Upgrade: websocket` of an HTTP/1.1 request; 101 accepts it.
    Http1,
    /// `:protocol` of an HTTP/2 extended CONNECT; 200 accepts it.
    ExtendedConnect,
}

/// `:protocol` of an extended CONNECT, beside the request that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectProtocol(pub Box<str>);

/// The name of the protocol.
pub const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether an HTTP/1 request may be upgraded: a GET of HTTP/1.1 without a body, with `websocket` among the
/// protocols that it offers. Any other is served as if it had not asked (RFC 9110 section 7.8).
pub fn asks_for_websocket(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && *method == Method::GET
        && version == Version::HTTP_11
        && has_token(headers, &UPGRADE, b"websocket")
        && has_token(headers, &CONNECTION, b"upgrade")
        && !headers.contains_key(TRANSFER_ENCODING)
        && headers.get(CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0")
}

/// Whether a 101 switches to what was asked for.
pub fn switches_to_websocket(version: Version, headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(UPGRADE).iter();
    let switched =
        protocols.next().is_some_and(|protocol| is_token(protocol.as_bytes(), b"websocket"));
    version == Version::HTTP_11
        && switched
        && protocols.next().is_none()
        && has_token(headers, &CONNECTION, b"upgrade")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    let values = headers.get_all(name).iter();
    let mut tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.any(|part| is_token(part, token))
}

fn is_token(text: &[u8], token: &[u8]) -> bool {
    text.trim_ascii().eq_ignore_ascii_case(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        fields.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn who_asks_for_a_websocket() {
        let asks = |method: Method, version, fields: &[(&'static str, &'static str)]| {
            asks_for_websocket(&method, version, &headers(fields))
        };
        let usual = [("upgrade", "websocket"), ("connection", "Upgrade")];
        assert!(asks(Method::GET, Version::HTTP_11, &usual));
        let among = [("upgrade", "h2c, WebSocket"), ("connection", "keep-alive, upgrade")];
        assert!(asks(Method::GET, Version::HTTP_11, &among));
        assert!(!asks(Method::POST, Version::HTTP_11, &usual));
        assert!(!asks(Method::GET, Version::HTTP_10, &usual));
        for wrong in [
            &[("upgrade", "h2c"), ("connection", "upgrade")][..],
            &[("upgrade", "websocket/13"), ("connection", "upgrade")],
            &[("upgrade", "websocket")],
            &[("connection", "upgrade")],
            &[("upgrade", "websocket"), ("connection", "upgrade"), ("content-length", "5")],
            &[
                ("upgrade", "websocket"),
                ("connection", "upgrade"),
                ("transfer-encoding", "chunked"),
            ],
        ] {
            assert!(!asks(Method::GET, Version::HTTP_11, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn what_a_101_switches_to() {
        let switches = |version, fields: &[(&'static str, &'static str)]| {
            switches_to_websocket(version, &headers(fields))
        };
        let usual = [("upgrade", "WebSocket"), ("connection", "upgrade")];
        assert!(switches(Version::HTTP_11, &usual));
        assert!(!switches(Version::HTTP_10, &usual));
        for wrong in [
            &[("upgrade", "h2c"), ("connection", "upgrade")][..],
            &[("upgrade", "websocket, h2c"), ("connection", "upgrade")],
            &[("upgrade", "websocket"), ("upgrade", "h2c"), ("connection", "upgrade")],
            &[("upgrade", "websocket")],
            &[],
        ] {
            assert!(!switches(Version::HTTP_11, wrong), "{wrong:?}");
        }
    }
}
