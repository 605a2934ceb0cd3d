//! Host calls for buffers: bodies, the bytes of connections, and the two configurations.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use wasmtime::Linker;

use crate::abi::Status;
use crate::call_end::{CallError, CallResult, bad_argument};
use crate::capability_gate::{admit_body_change, admit_body_read};
use crate::effects::{Direction, EndOfStream};
use crate::guest::{Guest, Slots, bytes, give, memory_and_state, run, write_u32};
use crate::state::{GuestState, Phase};

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const DOWNSTREAM_DATA: u32 = 2;
const UPSTREAM_DATA: u32 = 3;
const CALL_REPLY_BODY: u32 = 4;
const GRPC_MESSAGE: u32 = 5;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;
const MOST_BUFFER: u32 = 8;
/// A body that a guest makes larger than this is refused it, in bytes.
const LARGEST_BODY: usize = 16 << 20;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |guest: Guest<'_>, buffer: u32, start: u32, most: u32, address: u32, length: u32| {
            run(guest, "proxy_get_buffer_bytes", |guest| {
                get(guest, buffer, (start, most), Slots { address, length })
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_buffer_bytes",
        |guest: Guest<'_>, buffer: u32, start: u32, size: u32, data: u32, length: u32| {
            run(guest, "proxy_set_buffer_bytes", |guest| {
                set(guest, buffer, (start, size), (data, length))
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_buffer_status",
        |guest: Guest<'_>, buffer: u32, length: u32, flags: u32| {
            run(guest, "proxy_get_buffer_status", |guest| status(guest, buffer, length, flags))
        },
    )?;
    // 0.1.0: the configuration of whichever callback runs.
    linker.func_wrap(
        "env",
        "proxy_get_configuration",
        |guest: Guest<'_>, address: u32, length: u32| {
            run(guest, "proxy_get_configuration", |guest| {
                let buffer = match guest.data().phase {
                    Phase::VmStart => VM_CONFIGURATION,
                    _ => PLUGIN_CONFIGURATION,
                };
                get(guest, buffer, (0, u32::MAX), Slots { address, length })
            })
        },
    )?;
    Ok(())
}

fn get(guest: &mut Guest<'_>, buffer: u32, part: (u32, u32), slots: Slots) -> CallResult {
    if buffer <= UPSTREAM_DATA {
        admit_body_read(guest.data())?;
    }
    if let Some(body) = counted(guest.data(), buffer) {
        let body = body.cloned().ok_or(CallError::Answer(Status::NotFound))?;
        return give(guest, slots, cut(&body, part));
    }
    let copy = SmallVec::<[u8; 256]>::from_slice(cut(contents(guest.data(), buffer)?, part));
    give(guest, slots, &copy)
}

/// A buffer whose bytes are shared and not copied, where it is one of those; it may not be at hand.
fn counted(state: &GuestState, buffer: u32) -> Option<Option<&Bytes>> {
    let delivered = &state.errands.delivered;
    match buffer {
        CALL_REPLY_BODY => Some(delivered.reply.as_ref().map(|reply| &reply.body)),
        GRPC_MESSAGE => Some(delivered.grpc_message.as_ref()),
        _ => half_of(state, buffer).map(|direction| state.body_of(direction)),
    }
}

/// What there is of a part of a buffer.
fn cut(whole: &[u8], (start, most): (u32, u32)) -> &[u8] {
    let start = whole.len().min(start as usize);
    let end = whole.len().min(start.saturating_add(most as usize));
    whole.get(start..end).unwrap_or_default()
}

/// Puts bytes in the place of a part of a body, wherever that lies. A part beyond the end is an empty one at the end.
fn set(guest: &mut Guest<'_>, buffer: u32, part: (u32, u32), data: (u32, u32)) -> CallResult {
    admit_body_change(guest.data())?;
    let (memory, state) = memory_and_state(guest)?;
    let data = bytes(memory, data.0, data.1)?;
    let direction = half_of(state, buffer);
    let direction = direction.ok_or_else(|| bad_argument("this buffer cannot be changed"))?;
    let body = match state.body_of(direction) {
        Some(body) => body,
        // The head was all: the guest adds a body.
        None if state.runs_half(direction) && state.end == EndOfStream::Yes => &Bytes::new(),
        None => return Err(CallError::Answer(Status::NotFound)),
    };
    let spliced = splice(state, body, part, data)?;
    state.set_body_of(direction, spliced);
    Ok(())
}

fn splice(
    state: &GuestState,
    body: &Bytes,
    (start, size): (u32, u32),
    data: &[u8],
) -> Result<Bytes, CallError> {
    let start = body.len().min(start as usize);
    let end = body.len().min(start.saturating_add(size as usize));
    let (before, after) = (body.get(..start), body.get(end..));
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let is_middle = !(before.is_empty() && (end == 0 || after.is_empty()) || start == body.len());
    if is_middle && state.is_strict() {
        return Err(bad_argument("Envoy puts nothing into the middle of a body"));
    }
    let length = before.len() + data.len() + after.len();
    if length > LARGEST_BODY {
        return Err(CallError::Refused(Status::InternalFailure, "the body would be too large"));
    }
    let mut spliced = BytesMut::with_capacity(length);
    for part in [before, data, after] {
        spliced.extend_from_slice(part);
    }
    Ok(spliced.freeze())
}

/// The half of a request or of a connection whose bytes a buffer holds.
fn half_of(state: &GuestState, buffer: u32) -> Option<Direction> {
    match (buffer, state.means_connection()) {
        (REQUEST_BODY, false) | (DOWNSTREAM_DATA, true) => Some(Direction::Request),
        (RESPONSE_BODY, false) | (UPSTREAM_DATA, true) => Some(Direction::Response),
        _ => None,
    }
}

fn status(guest: &mut Guest<'_>, buffer: u32, length: u32, flags: u32) -> CallResult {
    if buffer <= UPSTREAM_DATA {
        admit_body_read(guest.data())?;
    }
    let (memory, state) = memory_and_state(guest)?;
    let size = contents(state, buffer)?.len();
    write_u32(memory, length, u32::try_from(size).unwrap_or(u32::MAX))?;
    write_u32(memory, flags, 0)
}

/// A buffer that is not there now is not found. There is no VM configuration apart from the plugin's.
fn contents(state: &GuestState, buffer: u32) -> Result<&[u8], CallError> {
    if let Some(body) = counted(state, buffer) {
        return body.map(|body| &body[..]).ok_or(CallError::Answer(Status::NotFound));
    }
    match (buffer, state.phase) {
        (VM_CONFIGURATION, Phase::VmStart) => Ok(&[]),
        (PLUGIN_CONFIGURATION, Phase::Configure) => Ok(&state.facts.settings.configuration),
        (0..=MOST_BUFFER, _) => Err(CallError::Answer(Status::NotFound)),
        _ => Err(bad_argument("there is no such buffer")),
    }
}
