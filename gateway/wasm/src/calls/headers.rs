//! Host calls for header maps.

use wasmtime::Linker;

use super::header_edit::{Existing, HeadEdit};
use super::header_view::{HeaderView, MapKind};
use crate::abi::{AbiVersion, Status, decode_pairs, encode_pairs_into, encoded_length};
use crate::call_end::{CallError, CallResult, bad_argument};
use crate::capability_gate::may_read_headers;
use crate::guest::{
    Guest, Slots, bytes, give, give_copy, give_with, memory_and_state, run, write_u32,
};
use crate::state::GuestState;
use crate::strict_maps::is_at_hand;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    link_reading(linker)?;
    link_changing(linker)
}

/// A range in the guest's memory, as the guest passes it.
type Range = (u32, u32);

fn link_reading(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_size",
        |guest: Guest<'_>, map: u32, out: u32| {
            run(guest, "proxy_get_header_map_size", |guest| size(guest, map, out))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_pairs",
        |guest: Guest<'_>, map: u32, address: u32, length: u32| {
            run(guest, "proxy_get_header_map_pairs", |guest| {
                pairs(guest, map, Slots { address, length })
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |guest: Guest<'_>, map: u32, key: u32, key_length: u32, address: u32, length: u32| {
            run(guest, "proxy_get_header_map_value", |guest| {
                value(guest, map, (key, key_length), Slots { address, length })
            })
        },
    )?;
    Ok(())
}

fn link_changing(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_set_header_map_pairs",
        |guest: Guest<'_>, map: u32, start: u32, length: u32| {
            run(guest, "proxy_set_header_map_pairs", |guest| set_pairs(guest, map, (start, length)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_add_header_map_value",
        |guest: Guest<'_>, map: u32, key: u32, key_length: u32, value: u32, length: u32| {
            run(guest, "proxy_add_header_map_value", |guest| {
                put(guest, map, (key, key_length), (value, length), Existing::Kept)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_replace_header_map_value",
        |guest: Guest<'_>, map: u32, key: u32, key_length: u32, value: u32, length: u32| {
            run(guest, "proxy_replace_header_map_value", |guest| {
                put(guest, map, (key, key_length), (value, length), Existing::Replaced)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |guest: Guest<'_>, map: u32, key: u32, key_length: u32| {
            run(guest, "proxy_remove_header_map_value", |guest| {
                remove(guest, map, (key, key_length))
            })
        },
    )?;
    Ok(())
}

/// The sum of the lengths of names and values, as in Envoy.
fn size(guest: &mut Guest<'_>, map: u32, out: u32) -> CallResult {
    let kind = kind(map)?;
    let (memory, state) = memory_and_state(guest)?;
    let view = view(state, kind)?;
    let size = view.map_or(0, |view| {
        view.pairs().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    });
    write_u32(memory, out, u32::try_from(size).unwrap_or(u32::MAX))
}

/// A map that is not there is empty: SDKs panic on anything else.
fn pairs(guest: &mut Guest<'_>, map: u32, slots: Slots) -> CallResult {
    let kind = kind(map)?;
    if is_gone(guest.data(), kind) {
        // Envoy gives none, and says that all is well.
        return give(guest, slots, &[]);
    }
    let length = match view(guest.data(), kind)? {
        Some(view) => encoded_length(view.pairs()),
        None => 0,
    };
    give_with(guest, slots, length, |to, state| {
        if let Ok(Some(view)) = view(state, kind) {
            encode_pairs_into(to, view.count(), view.pairs());
        }
    })
}

fn value(guest: &mut Guest<'_>, map: u32, key: Range, slots: Slots) -> CallResult {
    let kind = kind(map)?;
    let (memory, state) = memory_and_state(guest)?;
    let name = bytes(memory, key.0, key.1)?;
    let mut copy = state.take_scratch();
    match view(state, kind)?.and_then(|view| view.value(name)) {
        Some(value) => copy.extend_from_slice(value),
        // In 0.1.0 a missing value is an empty one.
        None if state.facts.abi == AbiVersion::V0_1_0 => {}
        None => {
            state.keep_scratch(copy);
            return Err(CallError::Answer(Status::NotFound));
        }
    }
    give_copy(guest, slots, copy)
}

fn set_pairs(guest: &mut Guest<'_>, map: u32, range: Range) -> CallResult {
    let kind = kind(map)?;
    let (memory, state) = memory_and_state(guest)?;
    let pairs = decode_pairs(bytes(memory, range.0, range.1)?).map_err(|_| {
        CallError::Refused(Status::ParseFailure, "the pairs are not in the map format")
    })?;
    HeadEdit::of(state, kind)?.replace_all(&pairs)
}

fn put(
    guest: &mut Guest<'_>,
    map: u32,
    key: Range,
    value: Range,
    existing: Existing,
) -> CallResult {
    let kind = kind(map)?;
    let (memory, state) = memory_and_state(guest)?;
    let name = bytes(memory, key.0, key.1)?;
    let value = bytes(memory, value.0, value.1)?;
    let mut made = std::mem::take(&mut state.made_fields);
    let put =
        HeadEdit::of(state, kind).and_then(|mut edit| edit.put((name, value), existing, &mut made));
    state.made_fields = made;
    put
}

fn remove(guest: &mut Guest<'_>, map: u32, key: Range) -> CallResult {
    let kind = kind(map)?;
    let (memory, state) = memory_and_state(guest)?;
    let name = bytes(memory, key.0, key.1)?;
    HeadEdit::of(state, kind)?.remove(name)
}

fn kind(map: u32) -> Result<MapKind, CallError> {
    MapKind::of(map).ok_or_else(|| bad_argument("there is no such header map"))
}

/// Whether a plugin that wants to be treated as in Envoy finds no such map here.
fn is_gone(state: &GuestState, kind: MapKind) -> bool {
    let of_stream = !matches!(kind, MapKind::Delivered(_));
    of_stream && state.is_strict() && !is_at_hand(state, kind.phase())
}

fn view(state: &GuestState, kind: MapKind) -> Result<Option<HeaderView<'_>>, CallError> {
    if let MapKind::Delivered(map) = kind {
        return Ok(HeaderView::delivered(&state.errands.delivered, map));
    }
    if state.means_connection() || !may_read_headers(state) {
        // It has none; SDKs panic on anything but an empty map.
        return Ok(None);
    }
    if is_gone(state, kind) {
        return Err(bad_argument("Envoy does not have this map in this callback"));
    }
    let exchange = match state.exchange_of(kind.direction()) {
        Some(exchange) => exchange,
        // A stream that lives and is elsewhere: SDKs panic on anything but an empty map.
        None if state.streams.contains(&state.effective) => return Ok(None),
        None => return Err(bad_argument("no request is at hand in this context")),
    };
    Ok(HeaderView::of(exchange, kind))
}
