//! The host call by which a plugin answers in the upstream's place.

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use portcullis_message::Reply;
use wasmtime::Linker;

use super::header_edit::{field, is_ours};
use crate::abi::{Status, decode_pairs};
use crate::call_end::{CallError, CallResult, bad_argument};
use crate::effects::LocalReply;
use crate::guest::{Guest, bytes, memory_and_state, run};
use crate::state::GuestState;

/// Longer details are cut off.
const LONGEST_DETAILS: usize = 256;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |guest: Guest<'_>,
         status: u32,
         details: u32,
         details_length: u32,
         body: u32,
         body_length: u32,
         headers: u32,
         headers_length: u32,
         grpc_status: u32| {
            let asked = Asked {
                status,
                details: (details, details_length),
                body: (body, body_length),
                headers: (headers, headers_length),
                grpc_status,
            };
            run(guest, "proxy_send_local_response", |guest| send(guest, &asked))
        },
    )?;
    Ok(())
}

/// The arguments; addresses with lengths.
struct Asked {
    status: u32,
    details: (u32, u32),
    body: (u32, u32),
    headers: (u32, u32),
    grpc_status: u32,
}

/// Deferred until the callback has returned. A second one in the same callback is accepted and ignored.
fn send(guest: &mut Guest<'_>, asked: &Asked) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let own = state.means_what_runs();
    let takes_replies = if own {
        state.phase.direction().is_some()
    } else {
        state.streams.contains(&state.effective) && !state.lingering.contains(&state.effective)
    };
    if !takes_replies || state.means_connection() {
        // As in Envoy: SDKs panic on a refusal.
        return Err(CallError::Refused(Status::Ok, "no reply can be sent in this callback"));
    }
    if state.wishes.reply.is_some() && own || state.held.is_answered(state.effective) {
        return Ok(());
    }
    let status = u16::try_from(asked.status).ok().filter(|code| (200..600).contains(code));
    let status = status.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| bad_argument("the status is no final HTTP status"))?;
    let details = details(bytes(memory, asked.details.0, asked.details.1)?);
    let body = Bytes::copy_from_slice(bytes(memory, asked.body.0, asked.body.1)?);
    let headers = headers(bytes(memory, asked.headers.0, asked.headers.1)?, &body)?;
    tracing::debug!(
        target: "plugin",
        plugin = &*state.facts.name,
        status = status.as_u16(),
        %details,
        "answers the request itself"
    );
    let reply = Reply { status, headers, body };
    let grpc_status = grpc(asked.grpc_status);
    let reply = Box::new(LocalReply { reply, details, grpc_status });
    if own {
        state.wishes.reply = Some(reply);
    } else {
        state.held.answer(state.effective, reply);
    }
    Ok(())
}

/// A status of gRPC; guests that mean none say -1.
fn grpc(asked: u32) -> Option<u16> {
    u16::try_from(asked).ok().filter(|status| *status <= 16)
}

/// One word for a line of the access log: what would break the line, or let a guest write fields of its own
/// into it, is an underscore.
fn details(given: &[u8]) -> Cow<'static, str> {
    let given = given.get(..LONGEST_DETAILS).unwrap_or(given).trim_ascii();
    if given.is_empty() {
        return Cow::Borrowed("wasm_local_response");
    }
    let safe = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '_' };
    Cow::Owned(given.iter().map(safe).collect())
}

fn headers(encoded: &[u8], body: &Bytes) -> Result<HeaderMap, CallError> {
    let pairs = decode_pairs(encoded).map_err(|_| {
        CallError::Refused(Status::ParseFailure, "the headers are not in the map format")
    })?;
    let mut headers = HeaderMap::with_capacity(pairs.len() + 1);
    for (name, value) in pairs {
        if name.first() == Some(&b':') {
            continue;
        }
        // One that cannot be is left out: the reply matters more.
        if let Ok((name, value)) = field(name, value)
            && !is_ours(&name)
        {
            headers.append(name, value);
        }
    }
    if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    Ok(headers)
}
