//! WASI preview 1 without files and sockets: log lines, clocks, random bytes, an environment.

use std::sync::OnceLock;
use std::time::Instant;

use portcullis_crypto::fill_random;
use wasmtime::{FuncType, Linker, Val, ValType};

use crate::call_end::{CallResult, outside_memory};
use crate::calls::logging::{Level, emit, wall_clock};
use crate::guest::{Guest, bytes, memory_and_state, write, write_u32};
use crate::state::GuestState;

const BAD_DESCRIPTOR: u32 = 8;
const FAULT: u32 = 21;
const INVALID: u32 = 28;
const NO_ENTRY: u32 = 44;
const NOT_IMPLEMENTED: u32 = 52;
const NOT_SUPPORTED: u32 = 58;
const NOT_SEEKABLE: u32 = 70;

/// What one `fd_write` may log, and how many pieces it may come in.
const MOST_WRITTEN: usize = 64 << 10;
const MOST_PIECES: u32 = 1024;
const MOST_RANDOM: u32 = 64 << 10;
const MOST_POLLED: u32 = 64;

/// Functions that only say no: name, arguments (`i` for i32, `I` for i64), error number.
const REFUSED: [(&str, &str, u32); 34] = [
    ("fd_advise", "iIIi", NOT_SUPPORTED),
    ("fd_allocate", "iII", NOT_SUPPORTED),
    ("fd_close", "i", BAD_DESCRIPTOR),
    ("fd_datasync", "i", BAD_DESCRIPTOR),
    ("fd_fdstat_set_flags", "ii", BAD_DESCRIPTOR),
    ("fd_fdstat_set_rights", "iII", BAD_DESCRIPTOR),
    ("fd_filestat_get", "ii", BAD_DESCRIPTOR),
    ("fd_filestat_set_size", "iI", BAD_DESCRIPTOR),
    ("fd_filestat_set_times", "iIIi", BAD_DESCRIPTOR),
    ("fd_pread", "iiiIi", NOT_IMPLEMENTED),
    ("fd_prestat_dir_name", "iii", BAD_DESCRIPTOR),
    ("fd_prestat_get", "ii", BAD_DESCRIPTOR),
    ("fd_pwrite", "iiiIi", NOT_IMPLEMENTED),
    ("fd_read", "iiii", NOT_IMPLEMENTED),
    ("fd_readdir", "iiiIi", BAD_DESCRIPTOR),
    ("fd_renumber", "ii", BAD_DESCRIPTOR),
    ("fd_seek", "iIii", NOT_SEEKABLE),
    ("fd_sync", "i", BAD_DESCRIPTOR),
    ("fd_tell", "ii", NOT_SEEKABLE),
    ("path_create_directory", "iii", NOT_SUPPORTED),
    ("path_filestat_get", "iiiii", NOT_SUPPORTED),
    ("path_filestat_set_times", "iiiiIIi", NOT_SUPPORTED),
    ("path_link", "iiiiiii", NOT_SUPPORTED),
    ("path_open", "iiiiiIIii", NO_ENTRY),
    ("path_readlink", "iiiiii", NOT_SUPPORTED),
    ("path_remove_directory", "iii", NOT_SUPPORTED),
    ("path_rename", "iiiiii", NOT_SUPPORTED),
    ("path_symlink", "iiiii", NOT_SUPPORTED),
    ("path_unlink_file", "iii", NOT_SUPPORTED),
    ("proc_raise", "i", NOT_SUPPORTED),
    ("sock_accept", "iii", NOT_SUPPORTED),
    ("sock_recv", "iiiiii", NOT_SUPPORTED),
    ("sock_send", "iiiii", NOT_SUPPORTED),
    ("sock_shutdown", "ii", NOT_SUPPORTED),
];

/// Links all of it, under both names that it goes by.
pub(crate) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
        link_refused(linker, module)?;
        link_environment(linker, module)?;
        link_clocks(linker, module)?;
        link_output(linker, module)?;
    }
    Ok(())
}

fn link_refused(linker: &mut Linker<GuestState>, module: &str) -> wasmtime::Result<()> {
    for (name, arguments, error) in REFUSED {
        let arguments =
            arguments.chars().map(|kind| if kind == 'I' { ValType::I64 } else { ValType::I32 });
        let signature = FuncType::new(linker.engine(), arguments, [ValType::I32]);
        linker.func_new(module, name, signature, move |_, _, results| {
            if let Some(result) = results.first_mut() {
                *result = Val::I32(error.cast_signed());
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn link_environment(linker: &mut Linker<GuestState>, module: &str) -> wasmtime::Result<()> {
    linker.func_wrap(module, "args_sizes_get", |mut guest: Guest<'_>, count: u32, size: u32| {
        errno(sizes(&mut guest, (count, 0), (size, 0)))
    })?;
    linker.func_wrap(module, "args_get", |_argv: u32, _buffer: u32| 0_u32)?;
    linker.func_wrap(
        module,
        "environ_sizes_get",
        |mut guest: Guest<'_>, count: u32, size: u32| {
            let variables = variables(guest.data());
            let total: usize = variables.iter().map(Vec::len).sum();
            errno(sizes(&mut guest, (count, variables.len()), (size, total)))
        },
    )?;
    linker.func_wrap(module, "environ_get", |mut guest: Guest<'_>, list: u32, buffer: u32| {
        errno(environment(&mut guest, list, buffer))
    })?;
    Ok(())
}

fn link_clocks(linker: &mut Linker<GuestState>, module: &str) -> wasmtime::Result<()> {
    linker.func_wrap(module, "clock_res_get", |mut guest: Guest<'_>, clock: u32, out: u32| {
        put_clock(&mut guest, clock, out, 1, 1)
    })?;
    linker.func_wrap(
        module,
        "clock_time_get",
        |mut guest: Guest<'_>, clock: u32, _precision: u64, out: u32| {
            put_clock(&mut guest, clock, out, wall_clock(), steady_clock())
        },
    )?;
    linker.func_wrap(module, "sched_yield", || 0_u32)?;
    linker.func_wrap(
        module,
        "poll_oneoff",
        |mut guest: Guest<'_>, subscriptions: u32, events: u32, count: u32, out: u32| {
            if count == 0 || count > MOST_POLLED {
                return INVALID;
            }
            errno(poll(&mut guest, subscriptions, events, count, out))
        },
    )?;
    Ok(())
}

fn link_output(linker: &mut Linker<GuestState>, module: &str) -> wasmtime::Result<()> {
    linker.func_wrap(module, "random_get", |mut guest: Guest<'_>, start: u32, length: u32| {
        if length > MOST_RANDOM { INVALID } else { errno(random(&mut guest, start, length)) }
    })?;
    linker.func_wrap(
        module,
        "fd_write",
        |mut guest: Guest<'_>, descriptor: u32, pieces: u32, count: u32, out: u32| {
            let level = match descriptor {
                1 => Level::Info,
                2 => Level::Error,
                _ => return BAD_DESCRIPTOR,
            };
            if count > MOST_PIECES {
                INVALID
            } else {
                errno(print(&mut guest, level, pieces, count, out))
            }
        },
    )?;
    linker.func_wrap(
        module,
        "fd_fdstat_get",
        |mut guest: Guest<'_>, descriptor: u32, out: u32| {
            if matches!(descriptor, 1 | 2) {
                errno(describe(&mut guest, out))
            } else {
                BAD_DESCRIPTOR
            }
        },
    )?;
    linker.func_wrap(module, "proc_exit", |code: u32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg(format!("the guest ended itself with proc_exit({code})")))
    })?;
    Ok(())
}

fn errno(result: CallResult) -> u32 {
    match result {
        Ok(()) => 0,
        Err(_) => FAULT,
    }
}

fn sizes(guest: &mut Guest<'_>, count: (u32, usize), size: (u32, usize)) -> CallResult {
    let (memory, _) = memory_and_state(guest)?;
    for (address, number) in [count, size] {
        write_u32(memory, address, u32::try_from(number).unwrap_or(u32::MAX))?;
    }
    Ok(())
}

/// `NAME=VALUE` with a closing zero byte, as C expects it.
fn variables(state: &GuestState) -> Vec<Vec<u8>> {
    let variables = &state.facts.settings.environment;
    variables.iter().map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}

fn environment(guest: &mut Guest<'_>, mut list: u32, mut buffer: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    for variable in variables(state) {
        write_u32(memory, list, buffer)?;
        write(memory, buffer, &variable)?;
        list = list.wrapping_add(4);
        buffer = buffer.wrapping_add(u32::try_from(variable.len()).unwrap_or(u32::MAX));
    }
    Ok(())
}

fn put_clock(guest: &mut Guest<'_>, clock: u32, out: u32, wall: u64, steady: u64) -> u32 {
    let value = match clock {
        0 => wall,
        1 => steady,
        _ => return NOT_SUPPORTED,
    };
    errno(memory_and_state(guest).and_then(|(memory, _)| write(memory, out, &value.to_le_bytes())))
}

fn steady_clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Nothing is waited for: every subscription is reported as due at once.
fn poll(guest: &mut Guest<'_>, from: u32, to: u32, count: u32, out: u32) -> CallResult {
    const SUBSCRIPTION: u32 = 48;
    const EVENT: u32 = 32;
    let (memory, _) = memory_and_state(guest)?;
    for nth in 0..count {
        let subscription = bytes(memory, from.wrapping_add(nth * SUBSCRIPTION), SUBSCRIPTION)?;
        let mut event = [0; EVENT as usize];
        // The user's mark, no error, the same kind.
        for (index, byte) in subscription.iter().enumerate().take(9) {
            let place = if index < 8 { index } else { 10 };
            if let Some(to) = event.get_mut(place) {
                *to = *byte;
            }
        }
        write(memory, to.wrapping_add(nth * EVENT), &event)?;
    }
    write_u32(memory, out, count)
}

fn random(guest: &mut Guest<'_>, start: u32, length: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    state.drew_random = true;
    let start = start as usize;
    let buffer = memory.get_mut(start..start.saturating_add(length as usize));
    if fill_random(buffer.ok_or_else(outside_memory)?) { Ok(()) } else { Err(outside_memory()) }
}

fn print(guest: &mut Guest<'_>, level: Level, pieces: u32, count: u32, out: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let mut text = Vec::new();
    let mut total = 0_u32;
    for nth in 0..count {
        let piece = bytes(memory, pieces.wrapping_add(nth * 8), 8)?;
        let mut numbers = piece.chunks_exact(4).map(|number| {
            number.iter().rev().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte))
        });
        let (start, length) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let part = bytes(memory, start, length)?;
        let room = MOST_WRITTEN.saturating_sub(text.len()).min(part.len());
        text.extend_from_slice(part.get(..room).unwrap_or_default());
        total = total.saturating_add(length);
    }
    emit(state, level, &text);
    write_u32(memory, out, total)
}

/// A character device that may be written to.
fn describe(guest: &mut Guest<'_>, out: u32) -> CallResult {
    const KIND_AND_FLAGS: u64 = 2;
    const MAY_WRITE: u64 = 1 << 6;
    let (memory, _) = memory_and_state(guest)?;
    write(memory, out, &KIND_AND_FLAGS.to_le_bytes())?;
    write(memory, out.wrapping_add(8), &MAY_WRITE.to_le_bytes())?;
    write(memory, out.wrapping_add(16), &0_u64.to_le_bytes())
}
