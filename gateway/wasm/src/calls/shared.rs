//! Host calls for shared data and queues.

use wasmtime::Linker;

use crate::abi::Status;
use crate::call_end::{CallError, CallResult, bad_argument};
use crate::guest::{Guest, Slots, bytes, give, memory_and_state, run, write_u32};
use crate::shared::{DataError, QueueError, Revision};
use crate::state::GuestState;

/// A longer key or name is refused.
const MOST_NAME_BYTES: u32 = 1024;

/// A range in the guest's memory, as the guest passes it.
type Range = (u32, u32);

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    link_data(linker)?;
    link_queue_names(linker)?;
    link_queue_elements(linker)
}

fn link_data(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |guest: Guest<'_>, key: u32, key_length: u32, address: u32, length: u32, cas: u32| {
            run(guest, "proxy_get_shared_data", |guest| {
                read(guest, (key, key_length), Slots { address, length }, cas)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |guest: Guest<'_>, key: u32, key_length: u32, value: u32, length: u32, cas: u32| {
            run(guest, "proxy_set_shared_data", |guest| {
                store(guest, (key, key_length), (value, length), cas)
            })
        },
    )?;
    Ok(())
}

fn link_queue_names(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_register_shared_queue",
        |guest: Guest<'_>, name: u32, length: u32, out: u32| {
            run(guest, "proxy_register_shared_queue", |guest| register(guest, (name, length), out))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_resolve_shared_queue",
        |guest: Guest<'_>, vm: u32, vm_length: u32, name: u32, length: u32, out: u32| {
            run(guest, "proxy_resolve_shared_queue", |guest| {
                resolve(guest, (vm, vm_length), (name, length), out)
            })
        },
    )?;
    Ok(())
}

fn link_queue_elements(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_enqueue_shared_queue",
        |guest: Guest<'_>, queue: u32, start: u32, length: u32| {
            run(guest, "proxy_enqueue_shared_queue", |guest| {
                let (memory, state) = memory_and_state(guest)?;
                let element = bytes(memory, start, length)?;
                state.facts.scope.queues.push(queue, element).map_err(refused)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_dequeue_shared_queue",
        |guest: Guest<'_>, queue: u32, address: u32, length: u32| {
            run(guest, "proxy_dequeue_shared_queue", |guest| {
                let element = guest.data().facts.scope.queues.pop(queue).map_err(refused)?;
                let element = element.ok_or(CallError::Answer(Status::Empty))?;
                give(guest, Slots { address, length }, &element)
            })
        },
    )?;
    Ok(())
}

fn read(guest: &mut Guest<'_>, key: Range, slots: Slots, cas: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let found = state.facts.scope.data.read(bytes(memory, key.0, key.1)?);
    let (value, revision) = found.ok_or(CallError::Answer(Status::NotFound))?;
    give(guest, slots, &value)?;
    write_u32(memory_and_state(guest)?.0, cas, revision)
}

/// SDKs know of no other refusal than a change in between: that the value was not stored is what matters.
fn store(guest: &mut Guest<'_>, key: Range, value: Range, cas: Revision) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let (key, value) = (name(memory, key)?, bytes(memory, value.0, value.1)?);
    let expected = (cas != 0).then_some(cas);
    state.facts.scope.data.store(key, value, expected).map_err(|error| match error {
        DataError::Changed => CallError::Answer(Status::CasMismatch),
        DataError::Full => {
            CallError::Refused(Status::CasMismatch, "the shared data has no room for it")
        }
    })
}

fn register(guest: &mut Guest<'_>, range: Range, out: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    state.errands.listens = true;
    let bell = &state.errands.bell;
    let id = state.facts.scope.queues.register(name(memory, range)?, bell).map_err(refused)?;
    write_u32(memory, out, id)
}

/// Only queues of its own scope, whose name is the plugin's vm-id.
fn resolve(guest: &mut Guest<'_>, vm: Range, range: Range, out: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let vm_id = bytes(memory, vm.0, vm.1)?;
    if !vm_id.is_empty() && vm_id != state.facts.settings.vm_id.as_bytes() {
        return Err(CallError::Refused(Status::NotFound, "queues of another vm-id are not shared"));
    }
    let id = state.facts.scope.queues.resolve(name(memory, range)?);
    write_u32(memory, out, id.ok_or(CallError::Answer(Status::NotFound))?)
}

fn name(memory: &[u8], range: Range) -> Result<&[u8], CallError> {
    if range.1 > MOST_NAME_BYTES {
        return Err(bad_argument("the key or name is too long"));
    }
    bytes(memory, range.0, range.1)
}

fn refused(error: QueueError) -> CallError {
    match error {
        QueueError::Unknown => CallError::Refused(Status::NotFound, "there is no such queue"),
        QueueError::Full => CallError::Refused(
            Status::InternalFailure,
            "there is no room for another queue or element",
        ),
    }
}
