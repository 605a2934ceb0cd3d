//! Host calls for properties.

use bytes::Bytes;
use portcullis_exchange::{AttributeValue, attribute};
use smallvec::SmallVec;
use wasmtime::Linker;

use crate::abi::{Status, encode_pairs};
use crate::call_end::{CallError, CallResult, bad_argument};
use crate::capability_gate::admit_property;
use crate::guest::{Guest, Slots, bytes, give_copy, memory_and_state, run};
use crate::state::GuestState;

/// A longer path names nothing.
const MOST_PATH_BYTES: u32 = 1024;
/// What all plugins together may leave on one request.
const MOST_STATE_BYTES: usize = 64 << 10;
const MOST_STATE_ENTRIES: usize = 64;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |guest: Guest<'_>, path: u32, path_length: u32, address: u32, length: u32| {
            run(guest, "proxy_get_property", |guest| {
                get(guest, (path, path_length), Slots { address, length })
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |guest: Guest<'_>, path: u32, path_length: u32, value: u32, length: u32| {
            run(guest, "proxy_set_property", |guest| {
                set(guest, (path, path_length), (value, length))
            })
        },
    )?;
    Ok(())
}

fn get(guest: &mut Guest<'_>, path: (u32, u32), slots: Slots) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    if path.1 > MOST_PATH_BYTES {
        return Err(CallError::Refused(Status::NotFound, "the path is too long"));
    }
    let path = std::str::from_utf8(bytes(memory, path.0, path.1)?)
        .map_err(|_| CallError::Refused(Status::NotFound, "the path is not text"))?;
    let mut value = state.take_scratch();
    match copy_value(state, path, &mut value)? {
        Found::Yes => give_copy(guest, slots, value),
        Found::No => {
            state.keep_scratch(value);
            Err(CallError::Answer(Status::NotFound))
        }
    }
}

/// Whether a path has a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Yes,
    No,
}

/// The parts of a path are joined by zero bytes.
fn copy_value(state: &GuestState, path: &str, to: &mut Vec<u8>) -> Result<Found, CallError> {
    let path = path.strip_suffix('\0').unwrap_or(path);
    let parts: SmallVec<[&str; 8]> = path.split('\0').collect();
    if let Some(text) = of_plugin(state, &parts).filter(|_| is_served(state, &parts)) {
        to.extend_from_slice(text.as_bytes());
        return Ok(Found::Yes);
    }
    admit_property(state, &parts)?;
    Ok(copy_of_request(state, &parts, to))
}

/// Envoy answered these once, and real plugins still ask for them; 1.40 has them under `xds` alone.
fn is_served(state: &GuestState, path: &[&str]) -> bool {
    let is_old =
        matches!(path, ["node" | "cluster_name" | "route_name" | "listener_direction", ..]);
    !(is_old && state.is_strict())
}

fn copy_of_request(state: &GuestState, path: &[&str], to: &mut Vec<u8>) -> Found {
    let Some(exchange) = state.exchange() else { return Found::No };
    if let Some(value) = attribute(exchange, path).filter(|_| is_served(state, path)) {
        encode(value, to);
        return Found::Yes;
    }
    let left = match path {
        ["filter_state", name] => exchange.state(name.strip_prefix("wasm.").unwrap_or(name)),
        [name] => exchange.state(name),
        _ => exchange.state(&path.join(".")),
    };
    let Some(value) = left else { return Found::No };
    to.extend_from_slice(value);
    Found::Yes
}

/// What is true of the plugin and the gateway, without a request too.
fn of_plugin<'a>(state: &'a GuestState, path: &[&str]) -> Option<&'a str> {
    match path {
        ["plugin_name"] => Some(&state.facts.property_name),
        ["plugin_root_id"] => Some(&state.facts.settings.root_id),
        ["plugin_vm_id"] => Some(&state.facts.settings.vm_id),
        ["node" | "xds", "metadata", name] | ["xds", "node", "metadata", name] => {
            state.facts.node.fact(name)
        }
        ["node", "id"] | ["xds", "node", "id"] => state.facts.node.fact("NAME"),
        _ => None,
    }
}

/// Text and bytes as they are, numbers as 8 bytes little-endian, a truth value as one byte.
fn encode(value: AttributeValue, to: &mut Vec<u8>) {
    match value {
        AttributeValue::Bytes(bytes) => to.extend_from_slice(&bytes),
        AttributeValue::Int(number)
        | AttributeValue::Timestamp(number)
        | AttributeValue::Duration(number) => to.extend_from_slice(&number.to_le_bytes()),
        AttributeValue::Bool(truth) => to.push(u8::from(truth)),
        AttributeValue::Map(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
            to.extend_from_slice(&encode_pairs(&pairs));
        }
    }
}

fn set(guest: &mut Guest<'_>, path: (u32, u32), value: (u32, u32)) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let value = bytes(memory, value.0, value.1)?;
    leave(state, bytes(memory, path.0, path.1)?, value)
}

/// Leaves a value with the request, under a path whose parts are joined by dots then.
pub(super) fn leave(state: &mut GuestState, path: &[u8], value: &[u8]) -> CallResult {
    if path.is_empty() || path.len() > MOST_PATH_BYTES as usize {
        return Err(bad_argument("the property's name is empty or too long"));
    }
    let Some(exchange) = state.exchange_mut() else {
        return Err(CallError::Refused(Status::NotFound, "no request is at hand in this context"));
    };
    let name = String::from_utf8_lossy(path.strip_suffix(b"\0").unwrap_or(path)).replace('\0', ".");
    let others = exchange.state.iter().filter(|(key, _)| **key != *name);
    let (count, size) =
        others.fold((0, 0), |(count, size), (_, value)| (count + 1, size + value.len()));
    if count >= MOST_STATE_ENTRIES || size + value.len() > MOST_STATE_BYTES {
        // SDKs panic on a refusal.
        return Err(CallError::Refused(
            Status::Ok,
            "the request carries too many or too large properties",
        ));
    }
    exchange.set_state(&name, Bytes::copy_from_slice(value));
    Ok(())
}
