//! Host calls for the log and the clock.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::level_filters::LevelFilter;
use wasmtime::Linker;

use crate::allowance::Taken;
use crate::call_end::{CallResult, bad_argument};
use crate::capability_gate::may_log;
use crate::guest::{Guest, bytes, memory_and_state, run_anytime, write, write_u32};
use crate::state::GuestState;

/// A longer message is cut.
const MOST_MESSAGE_BYTES: usize = 16 << 10;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_log",
        |guest: Guest<'_>, level: u32, start: u32, length: u32| {
            run_anytime(guest, "proxy_log", |guest| log(guest, level, start, length))
        },
    )?;
    linker.func_wrap("env", "proxy_get_log_level", |guest: Guest<'_>, out: u32| {
        run_anytime(guest, "proxy_get_log_level", |guest| {
            write_u32(memory_and_state(guest)?.0, out, log_level())
        })
    })?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |guest: Guest<'_>, out: u32| {
            run_anytime(guest, "proxy_get_current_time_nanoseconds", |guest| {
                write(memory_and_state(guest)?.0, out, &wall_clock().to_le_bytes())
            })
        },
    )?;
    Ok(())
}

/// Nanoseconds since 1970.
pub(crate) fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes a guest's message to the gateway's log, as one line at its own level.
pub(crate) fn emit(state: &mut GuestState, level: Level, message: &[u8]) {
    if !may_log(state) {
        state.facts.metrics.tallies.refuse("proxy_log");
        return;
    }
    if !state.keeps_log_lines() && level.of_host() > LevelFilter::current() {
        return;
    }
    let message = message.get(..MOST_MESSAGE_BYTES).unwrap_or(message);
    let text = String::from_utf8_lossy(message);
    let line = printable(text.trim_end_matches(['\n', '\r']));
    if line.is_empty() {
        return;
    }
    state.keep_log_line(&line);
    let Taken::Yes { refused_before: dropped } = state.log.take_line(line.len()) else { return };
    if dropped > 0 {
        let plugin = &*state.facts.name;
        tracing::warn!(target: "plugin", plugin, "logs too much: {dropped} lines were dropped");
    }
    let plugin = &*state.facts.name;
    match level {
        Level::Trace => tracing::trace!(target: "plugin", plugin, "{line}"),
        Level::Debug => tracing::debug!(target: "plugin", plugin, "{line}"),
        Level::Info => tracing::info!(target: "plugin", plugin, "{line}"),
        Level::Warn => tracing::warn!(target: "plugin", plugin, "{line}"),
        Level::Error => tracing::error!(target: "plugin", plugin, "{line}"),
    }
}

/// The levels of the gateway's log. Proxy-Wasm's `critical` is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    fn of_host(self) -> tracing::Level {
        match self {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error => tracing::Level::ERROR,
        }
    }
}

fn log(guest: &mut Guest<'_>, level: u32, start: u32, length: u32) -> CallResult {
    let level = match level {
        0 => Level::Trace,
        1 => Level::Debug,
        2 => Level::Info,
        3 => Level::Warn,
        4 | 5 => Level::Error,
        _ => return Err(bad_argument("there is no such log level")),
    };
    let (memory, state) = memory_and_state(guest)?;
    emit(state, level, bytes(memory, start, length)?);
    Ok(())
}

fn log_level() -> u32 {
    match LevelFilter::current() {
        LevelFilter::TRACE => 0,
        LevelFilter::DEBUG => 1,
        LevelFilter::INFO => 2,
        LevelFilter::WARN => 3,
        LevelFilter::ERROR => 4,
        _ => 5,
    }
}

/// Control characters escaped, so that one message stays one line and no terminal obeys it.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("plain é"), "plain é");
        assert_eq!(printable("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
    }
}
