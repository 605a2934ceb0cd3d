//! Access to a guest's memory from a host call: every pointer is checked, every refusal says why.

use wasmtime::{Caller, Extern};

use crate::abi::Status;
use crate::allowance::Taken;
use crate::at_once::at_once;
use crate::call_end::{CallError, CallResult, outside_memory};
use crate::capability_gate::admit;
use crate::state::{GuestState, Nesting, Phase};

/// The caller of a host call.
pub(crate) type Guest<'a> = Caller<'a, GuestState>;

/// Runs a host call that needs a started guest: refused during boot and within the guest's allocator.
pub(crate) fn run(
    mut guest: Guest<'_>,
    name: &'static str,
    call: impl FnOnce(&mut Guest<'_>) -> CallResult,
) -> wasmtime::Result<u32> {
    let state = guest.data();
    let result = if state.phase == Phase::Boot || state.nesting == Nesting::Allocator {
        Err(CallError::Refused(
            Status::InternalFailure,
            "it is not allowed while the module initialises or allocates",
        ))
    } else {
        admit(state, name).and_then(|()| call(&mut guest))
    };
    status_of(&mut guest, name, result)
}

/// Runs a host call that is allowed at any time: log, time, random, environment.
pub(crate) fn run_anytime(
    mut guest: Guest<'_>,
    name: &'static str,
    call: impl FnOnce(&mut Guest<'_>) -> CallResult,
) -> wasmtime::Result<u32> {
    let result = call(&mut guest);
    status_of(&mut guest, name, result)
}

fn status_of(
    guest: &mut Guest<'_>,
    name: &'static str,
    result: CallResult,
) -> wasmtime::Result<u32> {
    match result {
        Ok(()) => Ok(Status::Ok as u32),
        Err(CallError::Answer(status)) => Ok(status as u32),
        Err(CallError::Trap(error)) => Err(error),
        Err(CallError::Ended(reason)) => {
            note_refusal(guest.data_mut(), name, Status::InternalFailure, reason);
            Err(wasmtime::Error::msg(format!("`{name}` is refused: {reason}")))
        }
        Err(CallError::Refused(status, reason)) => {
            note_refusal(guest.data_mut(), name, status, reason);
            Ok(status as u32)
        }
    }
}

/// Counted always, logged not more often than anyone can read.
fn note_refusal(state: &mut GuestState, call: &'static str, status: Status, reason: &str) {
    state.facts.metrics.tallies.refuse(call);
    if let Taken::Yes { refused_before: unlogged } = state.log.take_refusal() {
        let plugin = &*state.facts.name;
        tracing::warn!(target: "plugin", plugin, call, ?status, unlogged, "refused: {reason}");
    }
}

/// The guest's memory and the host's state beside it.
pub(crate) fn memory_and_state<'a>(
    guest: &'a mut Guest<'_>,
) -> Result<(&'a mut [u8], &'a mut GuestState), CallError> {
    let memory = match guest.data().memory {
        Some(memory) => memory,
        // In the start section the instance is not known yet.
        None => guest
            .get_export("memory")
            .and_then(Extern::into_memory)
            .ok_or(CallError::Refused(Status::InternalFailure, "the module exports no memory"))?,
    };
    Ok(memory.data_and_store_mut(guest))
}

/// A range of the guest's memory.
pub(crate) fn bytes(memory: &[u8], start: u32, length: u32) -> Result<&[u8], CallError> {
    let start = start as usize;
    memory.get(start..start.saturating_add(length as usize)).ok_or_else(outside_memory)
}

/// Writes bytes at an address.
pub(crate) fn write(memory: &mut [u8], address: u32, value: &[u8]) -> CallResult {
    let start = address as usize;
    let end = start.saturating_add(value.len());
    memory.get_mut(start..end).ok_or_else(outside_memory)?.copy_from_slice(value);
    Ok(())
}

/// Writes a number at an address.
pub(crate) fn write_u32(memory: &mut [u8], address: u32, value: u32) -> CallResult {
    write(memory, address, &value.to_le_bytes())
}

/// Where a host call puts the address and the length of what it gives.
#[derive(Clone, Copy)]
pub(crate) struct Slots {
    /// Where the address goes.
    pub(crate) address: u32,
    /// Where the length goes.
    pub(crate) length: u32,
}

/// Gives bytes to the guest: allocates with the guest's own allocator, copies, fills the slots.
pub(crate) fn give(guest: &mut Guest<'_>, slots: Slots, value: &[u8]) -> CallResult {
    give_with(guest, slots, value.len(), |to, _| to.copy_from_slice(value))
}

/// The same of what was copied into a buffer [taken](GuestState::take_scratch) for that, which is kept for the next.
pub(crate) fn give_copy(guest: &mut Guest<'_>, slots: Slots, copy: Vec<u8>) -> CallResult {
    let given = give(guest, slots, &copy);
    guest.data_mut().keep_scratch(copy);
    given
}

/// The same, of a known length, written by `fill` straight into the guest's memory. Nothing is allocated
/// for nothing: address and length are then 0.
pub(crate) fn give_with(
    guest: &mut Guest<'_>,
    slots: Slots,
    length: usize,
    fill: impl FnOnce(&mut [u8], &GuestState),
) -> CallResult {
    let length = u32::try_from(length).map_err(|_| outside_memory())?;
    let address = if length == 0 { 0 } else { allocate(guest, length)? };
    let (memory, state) = memory_and_state(guest)?;
    let start = address as usize;
    let end = start.saturating_add(length as usize);
    fill(memory.get_mut(start..end).ok_or_else(outside_memory)?, state);
    write_u32(memory, slots.address, address)?;
    write_u32(memory, slots.length, length)
}

/// The one allowed nested call into the guest.
fn allocate(guest: &mut Guest<'_>, length: u32) -> Result<u32, CallError> {
    let allocator = guest.data().allocator.clone();
    let allocator = allocator.ok_or(CallError::Refused(
        Status::InternalFailure,
        "the module is not initialised, it cannot allocate",
    ))?;
    guest.data_mut().nesting = Nesting::Allocator;
    let address = match guest.data().time.gives_way() {
        false => allocator.call(&mut *guest, length),
        // On a stack of its own like what called; it gives way to nobody.
        true => at_once(allocator.call_async(&mut *guest, length))
            .unwrap_or_else(|| Err(wasmtime::format_err!("the allocator did not come to its end"))),
    };
    guest.data_mut().nesting = Nesting::Callback;
    match address {
        Ok(0) => {
            Err(CallError::Refused(Status::InvalidMemoryAccess, "its allocator returned nothing"))
        }
        Ok(address) => Ok(address),
        Err(error) => Err(CallError::Trap(error)),
    }
}
