//! The annotation `portcullis.dev/limits`: the budgets of a plugin.

use std::time::Duration;

use portcullis_model::{BreakerLimits, PluginLimits, parse_duration};

use crate::reader::Cursor;
use crate::scalars::parse_quantity;

const KNOWN: &str = "limits are memory, callback, slice, request, call, start, share, breaker, recycle, \
                     recycle-memory, sandboxes, \
                     module";
/// Less than a page of Wasm is no memory.
const LEAST_MEMORY: usize = 64 << 10;
/// The clock of the budgets ticks so often.
const LEAST_SLICE: Duration = Duration::from_millis(1);
/// So many requests of one worker may have a sandbox at once at most: the pool has room for them.
const MOST_SANDBOXES: u32 = 4096;
/// Larger modules are not fetched, whatever is written.
const MOST_MODULE: usize = 128 << 20;

/// Reads one limit, `NAME=AMOUNT`.
pub(crate) fn read_limit(value: &Cursor<'_>, part: &str, limits: &mut PluginLimits) {
    let (name, amount) = part.trim().split_once('=').unwrap_or((part.trim(), ""));
    let read = match name {
        "memory" => memory(amount).map(|size| limits.memory = size),
        "callback" => positive(amount).map(|duration| limits.callback = duration),
        "slice" => positive(amount)
            .filter(|slice| *slice >= LEAST_SLICE)
            .map(|slice| limits.slice = Some(slice)),
        "request" => positive(amount).map(|duration| limits.request = duration),
        "start" => positive(amount).map(|duration| limits.start = duration),
        "call" => positive(amount).map(|duration| limits.call = duration),
        "share" => share(amount).map(|percent| limits.share = percent),
        "breaker" => breaker(amount).map(|breaker| limits.breaker = breaker),
        "recycle" => number(amount).map(|most| limits.recycling.requests = Some(most)),
        "recycle-memory" => memory(amount).map(|size| limits.recycling.memory = Some(size)),
        "sandboxes" => number(amount)
            .filter(|most| *most <= MOST_SANDBOXES)
            .map(|most| limits.sandboxes = most),
        "module" => module(amount).map(|size| limits.module = size),
        _ => return value.refuse(format!("there is no limit `{name}`"), KNOWN),
    };
    if read.is_none() {
        value.refuse(format!("`{amount}` is no amount for the limit `{name}`"), help(name));
    }
}

fn help(name: &str) -> &'static str {
    match name {
        "slice" => {
            "write how long a callback runs before others have their turn, as in `slice=2ms`; at least 1ms"
        }
        "share" => "write a share of a worker's time as in `share=20%`; 100% is no limit",
        "breaker" => "write failures and a time as in `breaker=20/10s`, or `breaker=off`",
        "recycle" => "write after how many requests, as in `recycle=100000`",
        "recycle-memory" => "write at which memory, as in `recycle-memory=12Mi`; at least 64Ki",
        "module" => "write how large the module may be, as in `module=20Mi`; at most 128Mi",
        "sandboxes" => "write how many of one worker, as in `sandboxes=256`; at most 4096",
        _ => {
            "write it as in `memory=16Mi,callback=10ms,request=50ms,start=5s`; memory is at least 64Ki"
        }
    }
}

fn memory(text: &str) -> Option<usize> {
    parse_quantity(text).filter(|size| *size >= LEAST_MEMORY)
}

fn module(text: &str) -> Option<usize> {
    parse_quantity(text).filter(|size| (1..=MOST_MODULE).contains(size))
}

fn positive(text: &str) -> Option<Duration> {
    parse_duration(text).ok().filter(|duration| !duration.is_zero())
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number > 0)
}

fn share(text: &str) -> Option<u8> {
    text.strip_suffix('%')?.parse().ok().filter(|percent| (1..=100).contains(percent))
}

fn breaker(text: &str) -> Option<BreakerLimits> {
    if text == "off" {
        return Some(BreakerLimits { failures: 0, window: Duration::ZERO });
    }
    let (failures, window) = text.split_once('/')?;
    Some(BreakerLimits { failures: number(failures)?, window: positive(window)? })
}
