//! Admitting a request: what it asks for, who asks, and which fields may pass.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, Request};
use http_body::Body as _;
use portcullis_exchange::{Connection, Exchange, Protocol, RequestHead};
use portcullis_message::{
    Body, HeadRules, Trust, canonical_head, client_cert_of_alb, forwarded_scheme, join_cookies,
    remove_hop_by_hop, set_forwarded,
};
use portcullis_snapshot::Pinned;

use crate::choose::Table;
use crate::head_size::check_head;
use crate::request_id::new_request_id;
use crate::upgrade::{show_upgrade, take_upgrade};
use crate::{AlbMtls, ProxyError, Worker};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// The record of a request in its canonical form, its body, and what is wrong with its head.
pub(crate) fn admit_request(
    worker: &Worker,
    snapshot: &Rc<Pinned>,
    table: Option<&Table>,
    connection: &Arc<Connection>,
    request: Request<Body>,
) -> (Box<Exchange>, Body, Result<(), ProxyError>) {
    let (mut parts, body) = request.into_parts();
    let measured = check_head(&parts, table.map(|table| &table.connections.head));
    let (upgrade, connect) = match take_upgrade(&mut parts) {
        Ok(upgrade) => (upgrade, Ok(())),
        Err(error) => (None, Err(error)),
    };
    let mut headers = parts.headers;
    let protocol = Protocol::from(parts.version);
    let rules =
        |authority: &[u8]| table.map_or(HeadRules::SAFEST, |table| table.head_rules(authority));
    let head = canonical_head(&parts.method, parts.uri, parts.version, &mut headers, rules);
    let admitted = match head.refusal {
        Some(refusal) => Err(ProxyError::HeadRefused(refusal)),
        None => connect,
    };
    let admitted = measured.and(admitted);
    let scheme = scheme(connection, &headers);
    let mut exchange = Box::new(Exchange::new(
        connection.clone(),
        RequestHead {
            method: parts.method,
            scheme,
            authority: head.authority,
            path: head.path,
            protocol,
            headers,
        },
    ));
    exchange.upgrade = upgrade;
    exchange.original_path = head.sent_path.map(|path| path.as_str().into());
    exchange.generation = snapshot.generation;
    if body.is_end_stream() {
        exchange.timings.request_ended = Some(exchange.timings.started);
    }
    admit_headers(worker, connection, &mut exchange);
    (exchange, body, admitted)
}

/// Removes what concerns the downstream connection, and says who the client is.
fn admit_headers(worker: &Worker, connection: &Connection, exchange: &mut Exchange) {
    let headers = &mut exchange.request.headers;
    if exchange.request.protocol == Protocol::Http2 {
        join_cookies(headers);
    }
    if connection.trust == Trust::Trusted {
        let client = worker.settings.trusted.client_address(connection.peer.ip(), headers);
        exchange.client_address = SocketAddr::new(client, connection.peer.port());
    }
    remove_hop_by_hop(headers);
    if exchange.upgrade.is_some() {
        show_upgrade(headers);
    }
    let (scheme, foreign) = (exchange.request.scheme, worker.settings.foreign_chain);
    set_forwarded(headers, &connection.peer_value, connection.trust, scheme, foreign);
    show_client_cert(worker.settings.alb_mtls, connection, headers);
    let kept = headers.get(&X_REQUEST_ID).filter(|_| connection.trust == Trust::Trusted);
    exchange.request_id = kept.cloned().unwrap_or_else(new_request_id);
    headers.insert(X_REQUEST_ID, exchange.request_id.clone());
}

/// Says whose certificate was verified, by us or by an ALB before us. What an outsider says of it is gone already.
fn show_client_cert(alb_mtls: AlbMtls, connection: &Connection, headers: &mut HeaderMap) {
    if let Some(certificate) = connection.forwarded_client_cert() {
        headers.insert(X_FORWARDED_CLIENT_CERT, certificate.clone());
    } else if alb_mtls == AlbMtls::Verify && connection.trust == Trust::Trusted {
        // An ALB lets pass what its client says in this header.
        headers.remove(X_FORWARDED_CLIENT_CERT);
        if let Some(certificate) = client_cert_of_alb(headers) {
            headers.insert(X_FORWARDED_CLIENT_CERT, certificate);
        }
    }
}

/// What the client used: a trusted proxy says so, else the connection.
fn scheme(connection: &Connection, headers: &HeaderMap) -> &'static str {
    let claimed = match connection.trust {
        Trust::Trusted => forwarded_scheme(headers),
        Trust::Untrusted => None,
    };
    claimed.unwrap_or_else(|| connection.scheme())
}
