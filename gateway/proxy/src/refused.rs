//! The record of what never became a request.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode};
use portcullis_exchange::{Connection, Exchange, RequestHead, ResponseFlag, ResponseHead};

use crate::Worker;

/// Counts and logs a head that was refused where it was read, and the status that answered it. Nothing of it
/// is believed, so the line shows an empty request.
pub fn record_refused_head(
    worker: &Rc<Worker>,
    connection: &Arc<Connection>,
    status: StatusCode,
    details: &'static str,
) {
    record(worker, connection, Some(status), details);
}

/// Counts and logs a stream or a connection that was ended because its client spoke wrongly, without a status.
pub fn record_broken_protocol(
    worker: &Rc<Worker>,
    connection: &Arc<Connection>,
    details: &'static str,
) {
    record(worker, connection, None, details);
}

fn record(
    worker: &Rc<Worker>,
    connection: &Arc<Connection>,
    status: Option<StatusCode>,
    details: &'static str,
) {
    let snapshot = worker.pin();
    let head = RequestHead { scheme: connection.scheme(), ..RequestHead::default() };
    let mut exchange = Exchange::new(connection.clone(), head);
    exchange.generation = snapshot.generation;
    exchange.flags.set(ResponseFlag::DownstreamProtocolError);
    exchange.code_details = details.into();
    exchange.response = status.map(|status| ResponseHead::new(status, HeaderMap::new()));
    exchange.timings.ended = Some(Instant::now());
    worker.count(&snapshot.unrouted, &exchange);
    worker.log(&exchange, None);
}
