//! Host calls about contexts: which one is meant, that it is done, that its stream goes on.

use portcullis_exchange::HeadChange;
use wasmtime::{Caller, FuncType, Linker};

use crate::call_end::{CallError, CallResult, bad_argument};
use crate::effects::Direction;
use crate::guest::{Guest, run};
use crate::state::{GuestState, ROOT_CONTEXT};

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap("env", "proxy_set_effective_context", |guest: Guest<'_>, context: u32| {
        run(guest, "proxy_set_effective_context", |guest| set_effective_context(guest, context))
    })?;
    linker.func_wrap("env", "proxy_done", |guest: Guest<'_>| run(guest, "proxy_done", done))?;
    linker.func_wrap("env", "proxy_continue_stream", |guest: Guest<'_>, stream: u32| {
        run(guest, "proxy_continue_stream", |guest| continue_stream(guest, stream))
    })?;
    linker.func_wrap("env", "proxy_close_stream", |guest: Guest<'_>, stream: u32| {
        run(guest, "proxy_close_stream", |guest| close_stream(guest, stream))
    })?;
    linker.func_wrap("env", "pthread_equal", |one: u32, other: u32| u32::from(one == other))?;
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_memory: u32| {})?;
    Ok(())
}

/// `proxy_continue_request`, `proxy_continue_response` and `proxy_clear_route_cache`: the specification gives
/// them no result, proxy-wasm-cpp-host a status; both kinds of modules exist.
pub(super) fn link_by_type(
    linker: &mut Linker<GuestState>,
    name: &str,
    signature: &FuncType,
) -> wasmtime::Result<()> {
    let (name, call): (&'static str, fn(&mut Guest<'_>) -> CallResult) = match name {
        "proxy_continue_request" => ("proxy_continue_request", |guest| continue_stream(guest, 0)),
        "proxy_continue_response" => ("proxy_continue_response", |guest| continue_stream(guest, 1)),
        "proxy_clear_route_cache" => ("proxy_clear_route_cache", clear_route_cache),
        _ => return Ok(()),
    };
    // A module that imports it twice has linked it already.
    linker.allow_shadowing(true);
    if signature.results().len() == 0 {
        linker.func_wrap("env", name, move |guest: Caller<'_, GuestState>| {
            run(guest, name, call).map(|_status| ())
        })?;
    } else {
        linker
            .func_wrap("env", name, move |guest: Caller<'_, GuestState>| run(guest, name, call))?;
    }
    Ok(())
}

/// The route is chosen anew after the callback.
fn clear_route_cache(guest: &mut Guest<'_>) -> CallResult {
    clear_route_cache_of(guest.data_mut());
    Ok(())
}

/// The same for whoever has the guest's state.
pub(super) fn clear_route_cache_of(state: &mut GuestState) {
    if let Some(exchange) = state.exchange_mut() {
        exchange.change_head(HeadChange::Line);
    }
}

fn set_effective_context(guest: &mut Guest<'_>, context: u32) -> CallResult {
    let state = guest.data_mut();
    if context != ROOT_CONTEXT && !state.streams.contains(&context) {
        return Err(bad_argument("there is no such context"));
    }
    state.effective = context;
    Ok(())
}

/// The context whose stream is over, and which said that it was not done, is.
fn done(guest: &mut Guest<'_>) -> CallResult {
    let state = guest.data_mut();
    state.drop_lingering(state.effective);
    Ok(())
}

/// Within a callback of the same half of the stream it voids the pause that this callback returns; of what is held
/// it ends the holding, after the callback. The guest is never re-entered.
fn continue_stream(guest: &mut Guest<'_>, stream: u32) -> CallResult {
    let state = guest.data_mut();
    let Some(direction) = direction(state, stream)? else { return Ok(()) };
    if state.runs_half(direction) {
        state.wishes.resume = true;
    } else {
        state.held.resume(state.effective, direction);
    }
    Ok(())
}

/// Breaks the stream off after the callback.
fn close_stream(guest: &mut Guest<'_>, stream: u32) -> CallResult {
    let state = guest.data_mut();
    if direction(state, stream)?.is_none() {
        return Ok(());
    }
    if state.means_what_runs() && state.phase.direction().is_some() {
        state.wishes.close = true;
    } else if state.streams.contains(&state.effective) {
        state.held.close(state.effective);
    }
    Ok(())
}

/// `None` where the context has no such half: 0 and 1 are those of requests, 2 and 3 those of connections.
fn direction(state: &GuestState, stream: u32) -> Result<Option<Direction>, CallError> {
    match (stream, state.means_connection()) {
        (0, false) | (2, true) => Ok(Some(Direction::Request)),
        (1, false) | (3, true) => Ok(Some(Direction::Response)),
        (0..=3, _) => Ok(None),
        _ => Err(bad_argument("there is no such kind of stream")),
    }
}
