//! The head of a reply: taken over from who made it, and brought into the form in which it goes downstream.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use portcullis_exchange::{Protocol, ResponseHead};
use portcullis_message::{Body, Reply, remove_hop_by_hop};
use portcullis_upstream::UpstreamBody;

use crate::debug_headers::add_debug_headers;
use crate::flight::Flight;
use crate::framing::frame;
use crate::grpc::{asks_by_grpc, trailers_only};
use crate::native_filters::show_to_origin;
use crate::response_body::Source;
use crate::upgrade::{finish_upgrade, take_switched};
use crate::{DebugHeaders, DrainPhase, ResponseBody};

/// Who made a reply: the operations of a rule apply to its own replies, never to the gateway's errors.
#[derive(PartialEq, Eq)]
pub(crate) enum Origin {
    /// A rule, a listener or a plugin.
    Rule,
    /// The gateway, of an error.
    Gateway,
}

/// An upstream's reply, with the rule's operations applied.
pub(crate) fn take_upstream(flight: &mut Flight, response: Response<UpstreamBody>) -> Source {
    let (mut parts, body) = response.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    flight.exchange.timings.upstream_replied = Some(std::time::Instant::now());
    flight.progress.stir();
    flight.exchange.code_details = "via_upstream".into();
    apply_operations(flight, &mut parts.headers);
    show_to_origin(flight, &mut parts.headers);
    let source = if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        take_switched(&mut parts.headers, body)
    } else {
        Source::Upstream(body)
    };
    flight.exchange.response = Some(ResponseHead::new(parts.status, parts.headers));
    source
}

/// The gateway's own reply in the place of any other.
pub(crate) fn take_own_reply(flight: &mut Flight, reply: Reply) -> Source {
    take_reply(flight, reply, Origin::Gateway)
}

/// A reply of the gateway's, in the form that the client understands.
pub(crate) fn take_reply(flight: &mut Flight, mut reply: Reply, origin: Origin) -> Source {
    if origin == Origin::Rule {
        apply_operations(flight, &mut reply.headers);
    }
    show_to_origin(flight, &mut reply.headers);
    if asks_by_grpc(&flight.exchange) {
        reply = trailers_only(reply);
    }
    flight.exchange.response = Some(ResponseHead::new(reply.status, reply.headers));
    Source::Reply(Body::from(reply.body))
}

/// The gateway's word on its own health.
pub(crate) fn take_health(flight: &mut Flight, reply: Response<Body>) -> Source {
    let (parts, body) = reply.into_parts();
    flight.exchange.response = Some(ResponseHead::new(parts.status, parts.headers));
    Source::Reply(body)
}

/// The operations of destination and rule.
fn apply_operations(flight: &Flight, headers: &mut HeaderMap) {
    let Some(table) = &flight.table else { return };
    let Some(rule) = flight.choice.rule(table) else { return };
    let destination = flight.destination.and_then(|index| rule.destinations.get(index));
    rule.change_reply(destination, headers);
}

/// The response as it goes downstream.
pub(crate) fn finish_head(mut flight: Flight, source: Source) -> Response<ResponseBody> {
    let keep = flight.keeps_heads();
    let (status, mut headers) = match &mut flight.exchange.response {
        Some(head) if keep => (head.status, head.headers.clone()),
        Some(head) => (head.status, std::mem::take(&mut head.headers)),
        None => (StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new()),
    };
    let (status, source) = finish_upgrade(&mut flight, status, &mut headers, source);
    let source = frame(&flight.exchange.request.method, status, &mut headers, source);
    frame_filtered(&mut flight, status, &mut headers);
    if flight.worker.settings.debug_headers == DebugHeaders::On {
        add_debug_headers(&flight, &mut headers);
    }
    let closing = flight.worker.settings.drain.phase() != DrainPhase::Serving;
    if closing && flight.exchange.request.protocol != Protocol::Http2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let mut response = Response::new(ResponseBody::new(source, flight));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Where plugins see the body, they say how long it is; where HTTP has none, there is nothing to see.
fn frame_filtered(flight: &mut Flight, status: StatusCode, headers: &mut HeaderMap) {
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || flight.exchange.request.method == Method::HEAD;
    if bodiless {
        flight.response_flow = None;
    }
    let Some(flow) = &flight.response_flow else { return };
    match flow.whole_length() {
        Some(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None if flow.keeps_length() => {}
        None => {
            headers.remove(CONTENT_LENGTH);
        }
    }
}
