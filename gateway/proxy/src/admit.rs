//! Admitting a request: what it asks for, who asks, and which fields may pass.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri};
use portcullis_exchange::{Connection, Exchange, Protocol, RequestHead};
use portcullis_message::{Body, Trust, remove_hop_by_hop, set_forwarded};
use portcullis_snapshot::Pinned;

use crate::request_id::new_request_id;
use crate::{ProxyError, Worker};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The record of a request, its body, and what is wrong with its head.
pub(crate) fn admit_request(
    worker: &Worker,
    snapshot: &Rc<Pinned>,
    connection: &Arc<Connection>,
    request: Request<Body>,
) -> (Box<Exchange>, Body, Result<(), ProxyError>) {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    let protocol = Protocol::from(parts.version);
    let authority = authority(&parts.uri, &mut headers);
    let refusal = check_head(&parts.method, &parts.uri, authority.is_some(), protocol);
    let scheme = scheme(connection, &headers);
    let mut exchange = Box::new(Exchange::new(
        connection.clone(),
        RequestHead {
            method: parts.method,
            scheme,
            authority: authority.unwrap_or_else(|| HeaderValue::from_static("")),
            path: parts
                .uri
                .into_parts()
                .path_and_query
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            protocol,
            headers,
        },
    ));
    exchange.generation = snapshot.generation;
    admit_headers(worker, connection, &mut exchange);
    (exchange, body, refusal)
}

/// Removes what concerns the downstream connection, and says who the client is.
fn admit_headers(worker: &Worker, connection: &Connection, exchange: &mut Exchange) {
    let headers = &mut exchange.request.headers;
    if connection.trust == Trust::Trusted {
        let client = worker.settings.trusted.client_address(connection.peer.ip(), headers);
        exchange.client_address = SocketAddr::new(client, connection.peer.port());
    }
    remove_hop_by_hop(headers);
    set_forwarded(headers, &connection.peer_value, connection.trust, exchange.request.scheme);
    let kept = headers.get(&X_REQUEST_ID).filter(|_| connection.trust == Trust::Trusted);
    exchange.request_id = kept.cloned().unwrap_or_else(|| new_request_id(&worker.random));
    headers.insert(X_REQUEST_ID, exchange.request_id.clone());
}

/// The authority: of an absolute URI (HTTP/2, absolute-form) before that of `Host`, which it replaces
/// (RFC 9112 section 3.2.2). `None` where there is none, or more than one `Host`.
fn authority(uri: &Uri, headers: &mut HeaderMap) -> Option<HeaderValue> {
    let fields = headers.len();
    let host = headers.remove(HOST);
    let repeated = fields - headers.len() > 1;
    match uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None if repeated => None,
        None => host,
    }
}

fn check_head(
    method: &Method,
    uri: &Uri,
    has_authority: bool,
    protocol: Protocol,
) -> Result<(), ProxyError> {
    if *method == Method::CONNECT {
        return Err(ProxyError::ConnectRefused);
    }
    // HTTP/1.0 needs no Host (RFC 9112 section 3.2); such health checks are answered by a `*` host.
    if !has_authority && protocol != Protocol::Http10 {
        return Err(ProxyError::BadRequest("missing_or_repeated_host"));
    }
    if uri.path().is_empty() {
        return Err(ProxyError::BadRequest("missing_path"));
    }
    Ok(())
}

/// What the client used: a trusted proxy says so, else the connection.
fn scheme(connection: &Connection, headers: &HeaderMap) -> &'static str {
    let claimed = headers.get(X_FORWARDED_PROTO).filter(|_| connection.trust == Trust::Trusted);
    match claimed.map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        Some(b"http") => "http",
        _ => connection.scheme(),
    }
}
