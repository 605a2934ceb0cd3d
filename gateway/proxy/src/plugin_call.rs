//! A call of a plugin's on its way: its cluster, an endpoint, a connection, the reply's head and body.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::TRAILER;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body::Body as _;
use portcullis_message::Body;
use portcullis_telemetry::PluginPhase;
use portcullis_upstream::{RequestBody, SendError, Spoken, UpstreamBody};
use portcullis_wasm::{Call, CallKind, Caller, Room};
use smallvec::SmallVec;

use crate::Worker;

/// How many endpoints are tried where none was reached.
const ATTEMPTS: usize = 3;

/// Why a call got no reply. The texts are Envoy's, which plugins may look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallFailure {
    /// The cluster has left the configuration in between.
    #[error("cluster not found")]
    NoCluster,
    /// There is no endpoint to send to.
    #[error("no healthy upstream")]
    NoEndpoint,
    /// No connection came about.
    #[error(
        "upstream connect error or disconnect/reset before headers. reset reason: connection failure"
    )]
    Connection,
    /// The connection broke, or the upstream spoke wrongly.
    #[error(
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
    )]
    Broken,
    /// The reply is larger than a plugin may get.
    #[error("response payload too large")]
    TooLarge,
    /// It took too long.
    #[error("upstream request timeout")]
    Timeout,
    /// The request in which the call was made is over.
    #[error("the request in which the call was made is over")]
    Abandoned,
    /// The plugin sent faster than the upstream took.
    #[error("too much waits to be sent")]
    Overrun,
}

/// Sends a call and awaits the reply's head. Another endpoint is tried where nothing was sent.
pub(crate) async fn send_call(
    worker: &Worker,
    call: &Call,
    body: Body,
) -> Result<Response<UpstreamBody>, CallFailure> {
    let cluster = worker.pin().clusters.get(&call.cluster).cloned();
    let cluster = cluster.ok_or(CallFailure::NoCluster)?;
    let mut request = request(call, body);
    let spoken = match call.kind {
        CallKind::Http => Spoken::for_request(&cluster, &request),
        CallKind::GrpcUnary | CallKind::GrpcStream => Spoken::Http2,
    };
    let mut tried = SmallVec::<[_; ATTEMPTS]>::new();
    let mut failure = CallFailure::NoEndpoint;
    while tried.len() < ATTEMPTS {
        let Some(endpoint) = cluster.pick_endpoint(&tried) else { break };
        tried.push(endpoint.id);
        let Ok(lease) = worker.pools.checkout(&cluster, &endpoint, spoken).await else {
            failure = CallFailure::Connection;
            continue;
        };
        cluster.note_request(Instant::now());
        match lease.send(request).await {
            Ok(response) => return Ok(response),
            Err(SendError::Unsent { request: unsent, .. }) => {
                request = unsent;
                failure = CallFailure::Connection;
            }
            Err(SendError::Failed { .. }) => return Err(CallFailure::Broken),
        }
    }
    Err(failure)
}

fn request(call: &Call, body: Body) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::new(body));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = Uri::from(call.path.clone());
    *request.headers_mut() = call.headers.clone();
    // Over HTTP/1 trailers are sent only where they are announced.
    for name in call.trailers.keys() {
        if let Ok(name) = HeaderValue::from_str(name.as_str()) {
            request.headers_mut().append(TRAILER, name);
        }
    }
    request
}

/// The body of a call that is known as a whole.
pub(crate) fn whole_body(call: &Call) -> Body {
    if call.trailers.is_empty() {
        return call.body.clone().into();
    }
    let data = (!call.body.is_empty()).then(|| call.body.clone());
    Body::Trailing(Box::new((data, Some(call.trailers.clone()))))
}

/// A piece of a reply.
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// The next piece of a reply; `None` at its end.
pub(crate) async fn next_piece(body: &mut UpstreamBody) -> Result<Option<Piece>, CallFailure> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|_| CallFailure::Broken)?;
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => return Ok(Some(Piece::Data(data))),
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Ok(Some(Piece::Trailers(trailers)));
                }
            }
        }
    }
}

/// A reply's whole body and its trailers, of at most so many bytes, and no more than the plugin has room for.
pub(crate) async fn gather(
    mut body: UpstreamBody,
    most: usize,
    room: &Room,
) -> Result<(Bytes, HeaderMap), CallFailure> {
    let (mut gathered, mut trailers) = (BytesMut::new(), HeaderMap::new());
    while let Some(piece) = next_piece(&mut body).await? {
        match piece {
            Piece::Data(data) => {
                let length = gathered.len() + data.len();
                if length > most || room.hold(length).is_err() {
                    return Err(CallFailure::TooLarge);
                }
                gathered.extend_from_slice(&data);
            }
            Piece::Trailers(more) => trailers = more,
        }
    }
    Ok((gathered.freeze(), trailers))
}

/// Hands a result to whoever made the call, where that still is, and counts the callback.
pub(crate) fn hand_over(
    worker: &Worker,
    caller: &std::rc::Weak<dyn Caller>,
    callback: impl FnOnce(&dyn Caller),
) {
    let Some(caller) = caller.upgrade() else { return };
    let started = Instant::now();
    callback(&*caller);
    worker.count_callback(caller.metrics(), PluginPhase::CallResponse, started.elapsed());
}
