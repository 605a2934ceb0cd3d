//! Requests for a WebSocket: one form for routes, plugins and the log, whether HTTP/1 or HTTP/2 brought them;
//! HTTP/1 upstream; answered in the client's form.

use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use portcullis_crypto::{websocket_accept, websocket_key};
use portcullis_exchange::{ResponseFlag, ResponseHead};
use portcullis_message::{Body, ConnectProtocol, Upgrade, WEBSOCKET, asks_for_websocket};
use portcullis_upstream::{RequestBody, UpstreamBody};

use crate::ProxyError;
use crate::flight::Flight;
use crate::response_body::Source;

/// How a request asks for a WebSocket, if it does. An extended CONNECT becomes the GET that it stands for.
///
/// # Errors
/// It is a CONNECT that nobody serves.
pub(crate) fn take_upgrade(parts: &mut Parts) -> Result<Option<Upgrade>, ProxyError> {
    if parts.method != Method::CONNECT {
        let asks = asks_for_websocket(&parts.method, parts.version, &parts.headers);
        return Ok(asks.then_some(Upgrade::Http1));
    }
    match parts.extensions.get::<ConnectProtocol>() {
        None => Err(ProxyError::ConnectRefused),
        Some(ConnectProtocol(protocol)) if **protocol == *"websocket" => {
            parts.method = Method::GET;
            Ok(Some(Upgrade::ExtendedConnect))
        }
        Some(_) => Err(ProxyError::ConnectProtocolRefused),
    }
}

/// What routes and plugins see of an upgrade. Nothing of it is sent as it stands.
pub(crate) fn show_upgrade(headers: &mut HeaderMap) {
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// Has a request ask its upstream for a WebSocket. What it has to answer is returned where the client, on
/// HTTP/2, has no key of its own; boxed, since few requests have it.
pub(crate) fn ask_upstream(
    request: &mut Request<RequestBody>,
    upgrade: Upgrade,
) -> Option<Box<HeaderValue>> {
    // A plugin has made something else of it.
    if request.method() != Method::GET {
        return None;
    }
    request.extensions_mut().insert(upgrade);
    if upgrade == Upgrade::Http1 {
        return None;
    }
    let key = websocket_key()?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).ok()?);
    headers.entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
    HeaderValue::from_str(&websocket_accept(&key)).ok().map(Box::new)
}

/// Whether a 101 answers the key that we made (RFC 6455 section 4.1).
pub(crate) fn check_accept(
    response: &Response<UpstreamBody>,
    expected: Option<&HeaderValue>,
) -> Result<(), ProxyError> {
    let Some(expected) = expected else { return Ok(()) };
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switches && response.headers().get(SEC_WEBSOCKET_ACCEPT) != Some(expected) {
        let why = "protocol error: the reply does not answer the WebSocket key";
        return Err(ProxyError::UpstreamProtocol(why.to_owned()));
    }
    Ok(())
}

/// What follows a 101, whose fields are shown to plugins and the log like the request's.
pub(crate) fn take_switched(headers: &mut HeaderMap, body: UpstreamBody) -> Source {
    show_upgrade(headers);
    match body.into_tunnel() {
        Some(tunnel) => Source::Tunnel(Box::new(tunnel)),
        None => Source::Reply(Body::Empty),
    }
}

/// Brings the answer to an upgrade into the form that the client asked in. A 2xx to an extended CONNECT opens
/// a tunnel, so only a tunnel may be answered with one.
pub(crate) fn finish_upgrade(
    flight: &mut Flight,
    status: StatusCode,
    headers: &mut HeaderMap,
    source: Source,
) -> (StatusCode, Source) {
    let Some(upgrade) = flight.exchange.upgrade else { return (status, source) };
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    match (source, upgrade) {
        (Source::Tunnel(tunnel), Upgrade::Http1) if switches => (status, Source::Tunnel(tunnel)),
        (Source::Tunnel(tunnel), Upgrade::ExtendedConnect) if switches => {
            for name in [UPGRADE, CONNECTION, SEC_WEBSOCKET_ACCEPT] {
                headers.remove(name);
            }
            (StatusCode::OK, Source::Tunnel(tunnel))
        }
        (_, Upgrade::ExtendedConnect) if status.is_success() || switches => {
            (refuse(flight, headers), Source::Reply(Body::Empty))
        }
        (_, Upgrade::Http1) if switches => (refuse(flight, headers), Source::Reply(Body::Empty)),
        // A plugin has put a refusal in the place of the 101.
        (Source::Tunnel(_), _) => (status, Source::Reply(Body::Empty)),
        (source, _) => (status, source),
    }
}

fn refuse(flight: &mut Flight, headers: &mut HeaderMap) -> StatusCode {
    let status = StatusCode::BAD_GATEWAY;
    headers.clear();
    flight.exchange.response = Some(ResponseHead::new(status, HeaderMap::new()));
    flight.exchange.flags.set(ResponseFlag::UpstreamProtocolError);
    flight.exchange.code_details = "upgrade_not_answered".into();
    status
}
