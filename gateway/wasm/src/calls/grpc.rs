//! The host calls by which a plugin calls a cluster over gRPC.

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, TE, USER_AGENT};
use http::uri::PathAndQuery;
use wasmtime::Linker;

use super::header_edit::weight;
use super::http_call::{Range, cluster, fields, pairs, timeout};
use crate::abi::Status;
use crate::call_end::{CallError, CallResult, bad_argument};
use crate::call_line::Message;
use crate::call_opening::{Opened, open_call, room_for_message};
use crate::errands::{Call, CallId, CallKind, Errand};
use crate::grpc_frames::frame;
use crate::guest::{Guest, Slots, bytes, give, memory_and_state, run, write_u32};
use crate::state::GuestState;

/// A larger message is refused.
const MOST_MESSAGE_BYTES: u32 = 4 << 20;
/// A longer name of a service or method is refused.
const MOST_NAME_BYTES: u32 = 1024;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    link_unary(linker)?;
    link_stream(linker)?;
    linker.func_wrap(
        "env",
        "proxy_grpc_send",
        |guest: Guest<'_>, call: u32, message: u32, length: u32, end: u32| {
            run(guest, "proxy_grpc_send", |guest| send(guest, call, (message, length), end))
        },
    )?;
    linker.func_wrap("env", "proxy_grpc_cancel", |guest: Guest<'_>, call: u32| {
        run(guest, "proxy_grpc_cancel", |guest| cancel(guest, call))
    })?;
    linker.func_wrap(
        "env",
        "proxy_get_status",
        |guest: Guest<'_>, code: u32, address: u32, length: u32| {
            run(guest, "proxy_get_status", |guest| status(guest, code, Slots { address, length }))
        },
    )?;
    linker.func_wrap("env", "proxy_grpc_close", |guest: Guest<'_>, call: u32| {
        run(guest, "proxy_grpc_close", |guest| close(guest, call))
    })?;
    Ok(())
}

fn link_unary(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_grpc_call",
        |guest: Guest<'_>,
         upstream: u32,
         upstream_length: u32,
         service: u32,
         service_length: u32,
         method: u32,
         method_length: u32,
         metadata: u32,
         metadata_length: u32,
         message: u32,
         length: u32,
         timeout: u32,
         out: u32| {
            let asked = Asked {
                upstream: (upstream, upstream_length),
                service: (service, service_length),
                method: (method, method_length),
                metadata: (metadata, metadata_length),
                out,
            };
            run(guest, "proxy_grpc_call", |guest| unary(guest, &asked, (message, length), timeout))
        },
    )?;
    Ok(())
}

fn link_stream(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_grpc_stream",
        |guest: Guest<'_>,
         upstream: u32,
         upstream_length: u32,
         service: u32,
         service_length: u32,
         method: u32,
         method_length: u32,
         metadata: u32,
         metadata_length: u32,
         out: u32| {
            let asked = Asked {
                upstream: (upstream, upstream_length),
                service: (service, service_length),
                method: (method, method_length),
                metadata: (metadata, metadata_length),
                out,
            };
            run(guest, "proxy_grpc_stream", |guest| {
                begin(guest, &asked, CallKind::GrpcStream, None, None)
            })
        },
    )?;
    Ok(())
}

struct Asked {
    upstream: Range,
    service: Range,
    method: Range,
    metadata: Range,
    out: u32,
}

fn unary(guest: &mut Guest<'_>, asked: &Asked, message: Range, milliseconds: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let timeout = timeout(state, milliseconds);
    message_bytes(memory, message)?;
    begin(guest, asked, CallKind::GrpcUnary, Some(message), Some(timeout))
}

fn begin(
    guest: &mut Guest<'_>,
    asked: &Asked,
    kind: CallKind,
    message: Option<Range>,
    timeout: Option<Duration>,
) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let cluster = upstream(state, bytes(memory, asked.upstream.0, asked.upstream.1)?)?;
    let path = path(name(memory, asked.service)?, name(memory, asked.method)?)?;
    let metadata = pairs(memory, asked.metadata).and_then(|pairs| fields(&pairs));
    let metadata = metadata.map_err(|_| {
        CallError::Refused(Status::ParseFailure, "the metadata is no map of header fields")
    })?;
    let headers = headers(metadata, &cluster.host, timeout);
    write_u32(memory, asked.out, 0)?;
    let message = message.map(|range| message_bytes(memory, range)).transpose()?;
    let size = weight(&headers) + message.map_or(0, <[u8]>::len);
    let Opened { id, room, brought } = open_call(state, kind, size)?;
    let body = message.map(frame).unwrap_or_default();
    let (method, trailers) = (Method::POST, HeaderMap::new());
    let call = Call { id, cluster, method, path, headers, body, trailers, timeout, kind, room };
    state.errands.ask(state.effective, Errand::Begin(Box::new(call), brought));
    write_u32(memory, asked.out, id.0)
}

/// Of a cluster that is not there SDKs take no other status than these.
fn upstream(state: &GuestState, given: &[u8]) -> Result<portcullis_model::ClusterName, CallError> {
    // Envoy's plugins give a `GrpcService` message, or the cluster's name.
    let name = super::grpc_service::cluster_name(given).unwrap_or(given);
    cluster(state, name).map_err(|_| {
        CallError::Refused(Status::ParseFailure, "the configuration names no such cluster")
    })
}

fn name(memory: &[u8], range: Range) -> Result<&[u8], CallError> {
    if range.1 > MOST_NAME_BYTES {
        return Err(bad_argument("the name of the service or method is too long"));
    }
    bytes(memory, range.0, range.1)
}

fn path(service: &[u8], method: &[u8]) -> Result<PathAndQuery, CallError> {
    let refused = || CallError::Refused(Status::ParseFailure, "service and method make no path");
    let clean = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let good = |name: &[u8]| !name.is_empty() && name.iter().all(clean);
    if !good(service) || !good(method) {
        return Err(refused());
    }
    let path = [b"/", service, b"/", method].concat();
    PathAndQuery::try_from(path.as_slice()).map_err(|_| refused())
}

fn headers(metadata: HeaderMap, host: &str, timeout: Option<Duration>) -> HeaderMap {
    let mut headers = metadata;
    if let Ok(host) = HeaderValue::from_str(host) {
        headers.insert(HOST, host);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("portcullis"));
    if let Some(timeout) = timeout
        && let Ok(value) = HeaderValue::from_str(&format!("{}m", timeout.as_millis()))
    {
        headers.insert("grpc-timeout", value);
    }
    headers
}

fn message_bytes(memory: &[u8], range: Range) -> Result<&[u8], CallError> {
    if range.1 > MOST_MESSAGE_BYTES {
        return Err(CallError::Refused(Status::InternalFailure, "the message is too large"));
    }
    bytes(memory, range.0, range.1)
}

/// Where there is no room for a message the stream fails, which the guest is told: SDKs panic on a refusal.
fn send(guest: &mut Guest<'_>, call: u32, message: Range, end: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let message = message_bytes(memory, message)?;
    let room = room_for_message(state, message.len());
    let known = state.errands.calls.get_mut(&call).filter(|known| known.sends);
    let known = known.ok_or_else(|| bad_argument("no stream of this id can be sent on"))?;
    known.sends = end == 0 && room.is_ok();
    let (context, id) = (state.effective, CallId(call));
    let Ok(room) = room else {
        state.errands.ask(context, Errand::Overrun(id));
        return Err(CallError::Refused(Status::Ok, "the plugin's calls hold too much memory"));
    };
    state.errands.ask(context, Errand::Send(id, Message { bytes: frame(message), room }));
    if end != 0 {
        state.errands.ask(context, Errand::EndSending(id));
    }
    Ok(())
}

/// How the last call of gRPC ended, as far as the guest was told.
fn status(guest: &mut Guest<'_>, code: u32, slots: Slots) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let (status, message) = state.errands.grpc_status.clone();
    write_u32(memory, code, status)?;
    give(guest, slots, &message)
}

/// The guest hears nothing more of it.
fn cancel(guest: &mut Guest<'_>, call: u32) -> CallResult {
    let state = guest.data_mut();
    let known = state.errands.calls.get(&call);
    if known.is_none_or(|known| known.kind == CallKind::Http) {
        return Err(bad_argument("there is no call of gRPC with this id"));
    }
    state.errands.calls.remove(&call);
    state.errands.ask(state.effective, Errand::Cancel(CallId(call)));
    Ok(())
}

/// Ends our half of a stream; a unary call is cancelled, as in Envoy.
fn close(guest: &mut Guest<'_>, call: u32) -> CallResult {
    let state = guest.data_mut();
    match state.errands.calls.get_mut(&call) {
        Some(known) if known.kind == CallKind::GrpcStream => {
            // Once is enough, however often it is asked for.
            if std::mem::take(&mut known.sends) {
                state.errands.ask(state.effective, Errand::EndSending(CallId(call)));
            }
            Ok(())
        }
        _ => cancel(guest, call),
    }
}
