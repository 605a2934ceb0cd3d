//! Host calls for metrics.

use portcullis_telemetry::{MetricError, MetricKind};
use wasmtime::Linker;

use crate::abi::Status;
use crate::call_end::{CallError, CallResult, bad_argument};
use crate::guest::{Guest, bytes, memory_and_state, run, write, write_u32};
use crate::state::GuestState;

/// A longer name is cut, since SDKs take no refusal here.
const MOST_NAME_BYTES: usize = 200;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |guest: Guest<'_>, kind: u32, name: u32, length: u32, out: u32| {
            run(guest, "proxy_define_metric", |guest| define(guest, kind, (name, length), out))
        },
    )?;
    linker.func_wrap("env", "proxy_record_metric", |guest: Guest<'_>, id: u32, value: u64| {
        run(guest, "proxy_record_metric", |guest| {
            guest.data().facts.metrics.record(id, value).map_err(refused)
        })
    })?;
    linker.func_wrap("env", "proxy_increment_metric", |guest: Guest<'_>, id: u32, by: i64| {
        run(guest, "proxy_increment_metric", |guest| {
            guest.data().facts.metrics.increment(id, by).map_err(refused)
        })
    })?;
    linker.func_wrap("env", "proxy_get_metric", |guest: Guest<'_>, id: u32, out: u32| {
        run(guest, "proxy_get_metric", |guest| get(guest, id, out))
    })?;
    Ok(())
}

fn define(guest: &mut Guest<'_>, kind: u32, name: (u32, u32), out: u32) -> CallResult {
    let kind = match kind {
        0 => MetricKind::Counter,
        1 => MetricKind::Gauge,
        2 => MetricKind::Histogram,
        _ => return Err(bad_argument("there is no such kind of metric")),
    };
    let (memory, state) = memory_and_state(guest)?;
    let name = bytes(memory, name.0, name.1)?;
    let name = String::from_utf8_lossy(name.get(..MOST_NAME_BYTES).unwrap_or(name));
    let id = state.facts.metrics.define(kind, &name).map_err(refused)?;
    write_u32(memory, out, id)
}

fn get(guest: &mut Guest<'_>, id: u32, out: u32) -> CallResult {
    let (memory, state) = memory_and_state(guest)?;
    let metrics = &state.facts.metrics;
    match metrics.value(id) {
        Some(value) => write(memory, out, &value.to_le_bytes()),
        // Adding nothing tells a histogram from what does not exist.
        None => Err(metrics
            .increment(id, 0)
            .map_or_else(refused, |()| CallError::Answer(Status::NotFound))),
    }
}

fn refused(error: MetricError) -> CallError {
    match error {
        MetricError::Unknown => CallError::Refused(Status::NotFound, "no metric has this id"),
        MetricError::WrongKind => bad_argument("the metric's kind cannot do this"),
        MetricError::EmptyName => bad_argument("the metric's name is empty"),
    }
}
