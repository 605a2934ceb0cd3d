//! A plugin's call over HTTP, from the request to the callback.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_telemetry::CallProtocol;
use portcullis_wasm::{Begun, Call, CallLine, CallReply, Hangup};

use crate::Worker;
use crate::call_tally::CallTally;
use crate::plugin_call::{CallFailure, gather, hand_over, send_call, whole_body};
use crate::race::first_of;

/// The most that a plugin gets of a reply, in bytes.
const MOST_REPLY_BYTES: usize = 4 << 20;
/// Where a call names none, which does not happen.
const LONGEST: Duration = Duration::from_secs(3600);

/// Carries out a call and hands its reply over, or what stands for one that failed. Nothing is handed to a guest that
/// does not await it.
pub(crate) async fn http_call(worker: &Worker, begun: Begun) {
    let Begun { caller, call, line } = begun;
    let mut tally = CallTally::begin(&caller, CallProtocol::Http);
    let reply = match await_reply(worker, &call, &line).await {
        Ok(reply) => {
            tally.answered();
            reply
        }
        Err(Ended::Cancelled) => return,
        Err(Ended::Failed(failure)) => {
            tally.failed(failure);
            reply_for(failure)
        }
    };
    drop(tally);
    hand_over(worker, &caller, |caller| caller.on_http_call_response(call.id, reply));
}

/// Why a call has no result.
pub(crate) enum Ended {
    /// The guest does not want one.
    Cancelled,
    /// It failed.
    Failed(CallFailure),
}

impl From<Hangup> for Ended {
    fn from(hangup: Hangup) -> Self {
        match hangup {
            Hangup::Cancelled => Ended::Cancelled,
            Hangup::StreamClosed => Ended::Failed(CallFailure::Abandoned),
            Hangup::TooMuchWaiting => Ended::Failed(CallFailure::Overrun),
        }
    }
}

async fn await_reply(worker: &Worker, call: &Call, line: &CallLine) -> Result<CallReply, Ended> {
    let exchanged = tokio::time::timeout(call.timeout.unwrap_or(LONGEST), exchange(worker, call));
    match first_of(line.hung_up(), exchanged).await {
        Err(hangup) => Err(hangup.into()),
        Ok(Err(_late)) => Err(Ended::Failed(CallFailure::Timeout)),
        Ok(Ok(result)) => result.map_err(Ended::Failed),
    }
}

async fn exchange(worker: &Worker, call: &Call) -> Result<CallReply, CallFailure> {
    let response = send_call(worker, call, whole_body(call)).await?;
    let (head, body) = response.into_parts();
    let (body, trailers) = gather(body, MOST_REPLY_BYTES, &call.room).await?;
    Ok(CallReply { status: head.status, headers: head.headers, body, trailers })
}

/// What stands for the reply of a call that failed, as in Envoy 1.40: a status of ours, and a body that says why.
fn reply_for(failure: CallFailure) -> CallReply {
    let status = match failure {
        CallFailure::Timeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = Bytes::from(failure.to_string());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, body.len().into());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    CallReply { status, headers, body, trailers: HeaderMap::new() }
}
