//! Host calls for buffers: so far the two configurations.

use smallvec::SmallVec;
use wasmtime::Linker;

use crate::abi::Status;
use crate::guest::{
    CallError, CallResult, Guest, Slots, bad_argument, give, memory_and_state, run, write_u32,
};
use crate::state::{GuestState, Phase};

const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;
const MOST_BUFFER: u32 = 8;

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
    let whole = contents(guest.data(), buffer)?;
    let start = whole.len().min(part.0 as usize);
    let end = whole.len().min(start.saturating_add(part.1 as usize));
    let copy = SmallVec::<[u8; 256]>::from_slice(whole.get(start..end).unwrap_or_default());
    give(guest, slots, &copy)
}

fn status(guest: &mut Guest<'_>, buffer: u32, length: u32, flags: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let size = contents(state, buffer)?.len();
    write_u32(memory, length, u32::try_from(size).unwrap_or(u32::MAX))?;
    write_u32(memory, flags, 0)
}

/// A buffer that is not there now is not found. There is no VM configuration apart from the plugin's.
fn contents(state: &GuestState, buffer: u32) -> Result<&[u8], CallError> {
    match (buffer, state.phase) {
        (VM_CONFIGURATION, Phase::VmStart) => Ok(&[]),
        (PLUGIN_CONFIGURATION, Phase::Configure) => Ok(&state.facts.settings.configuration),
        (0..=MOST_BUFFER, _) => Err(CallError::Answer(Status::NotFound)),
        _ => Err(bad_argument("there is no such buffer")),
    }
}
