//! Headers, bodies and replies at the mock host.

use super::state::with_state;
use super::stream::{Headers, LocalReply};
use crate::HostError;
use crate::abi::{BufferKind, MapKind, StreamKind};
use crate::packed::Packed;

pub(crate) fn header_pairs(map: MapKind) -> Result<Vec<u8>, HostError> {
    with_state(|state| Ok(Packed::pack(state.readable_map(map, "get_header_map_pairs")?)))
}

pub(crate) fn header_value(map: MapKind, name: &str) -> Result<Option<Vec<u8>>, HostError> {
    with_state(|state| {
        let headers = state.readable_map(map, "get_header_map_value")?;
        let found = headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        Ok(found.map(|(_, value)| value.clone()))
    })
}

pub(crate) fn add_header(map: MapKind, name: &str, value: &[u8]) -> Result<(), HostError> {
    let call = "add_header_map_value";
    check_line(call, name, value)?;
    with_state(|state| {
        let headers = state.map(map, call)?.change(call)?;
        headers.push((name.to_ascii_lowercase(), value.to_vec()));
        Ok(())
    })
}

/// The new value stands where the first of the old ones stood.
pub(crate) fn replace_header(map: MapKind, name: &str, value: &[u8]) -> Result<(), HostError> {
    let call = "replace_header_map_value";
    check_line(call, name, value)?;
    with_state(|state| {
        let headers = state.map(map, call)?.change(call)?;
        let first = headers.iter().position(|(found, _)| found.eq_ignore_ascii_case(name));
        headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        let place = first.unwrap_or(headers.len());
        headers.insert(place, (name.to_ascii_lowercase(), value.to_vec()));
        Ok(())
    })
}

pub(crate) fn remove_header(map: MapKind, name: &str) -> Result<(), HostError> {
    let call = "remove_header_map_value";
    with_state(|state| {
        let headers = state.map(map, call)?.change(call)?;
        headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        Ok(())
    })
}

/// What would end a line early never becomes a header.
fn check_line(call: &'static str, name: &str, value: &[u8]) -> Result<(), HostError> {
    let forbidden = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    if name.is_empty() || name.as_bytes().iter().chain(value).any(forbidden) {
        return Err(HostError::new(call, HostError::BAD_ARGUMENT));
    }
    Ok(())
}

pub(crate) fn buffer(kind: BufferKind, start: usize, max: usize) -> Result<Vec<u8>, HostError> {
    with_state(|state| {
        let bytes = state.readable_buffer(kind, "get_buffer_bytes")?;
        Ok(bytes.iter().copied().skip(start).take(max).collect())
    })
}

pub(crate) fn set_buffer(
    kind: BufferKind,
    start: usize,
    size: usize,
    bytes: &[u8],
) -> Result<(), HostError> {
    with_state(|state| state.buffer(kind, "set_buffer_bytes")?.splice(start, size, bytes))
}

/// For the mock's own tests: the SDK has no use for it.
#[cfg(test)]
pub(crate) fn buffer_size(kind: BufferKind) -> Result<usize, HostError> {
    with_state(|state| Ok(state.readable_buffer(kind, "get_buffer_status")?.len()))
}

pub(crate) fn continue_stream(stream: StreamKind) -> Result<(), HostError> {
    with_state(|state| {
        state.stream("continue_stream")?.half(stream).resumed = true;
        Ok(())
    })
}

/// For the mock's own tests: the SDK has no use for it.
#[cfg(test)]
pub(crate) fn close_stream(_: StreamKind) -> Result<(), HostError> {
    with_state(|state| {
        state.stream("close_stream")?.closed = true;
        Ok(())
    })
}

/// For the mock's own tests: the SDK has no use for it.
#[cfg(test)]
pub(crate) fn done() -> Result<(), HostError> {
    with_state(|state| {
        state.stream("done")?.done = true;
        Ok(())
    })
}

/// Carried out when the callback has returned; a second reply is ignored, as in Envoy.
pub(crate) fn send_reply(
    status: u32,
    details: &str,
    body: &[u8],
    packed_headers: &[u8],
) -> Result<(), HostError> {
    let call = "send_local_response";
    let status =
        u16::try_from(status).map_err(|_| HostError::new(call, HostError::BAD_ARGUMENT))?;
    let headers: Headers = Packed(packed_headers.to_vec())
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name).to_lowercase(), value.to_vec()))
        .collect();
    for (name, value) in &headers {
        check_line(call, name, value)?;
    }
    with_state(|state| {
        let reply =
            LocalReply { status, details: details.to_owned(), headers, body: body.to_vec() };
        state.stream(call)?.reply.get_or_insert(reply);
        Ok(())
    })
}
