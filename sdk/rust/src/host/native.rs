//! The same calls, answered by the mock host of [`crate::mock`].

mod call;
mod calls;
mod events;
mod grpc;
mod messages;
mod metrics;
mod properties;
mod shared;
mod state;
mod stream;

pub use call::{Answer, Call};
pub(crate) use call::{Delivered, first_text};
pub(crate) use calls::*;
pub(crate) use events::Event;
pub use grpc::{GrpcAnswer, GrpcCall};
pub(crate) use messages::*;
pub use metrics::Metrics;
pub(crate) use properties::{property, set_property};
pub(crate) use state::{Trap, reset, with_state};
pub(crate) use stream::{Half, Headers, LocalReply, Reach, Stream};

use std::time::Duration;

use crate::HostError;
use crate::abi::{Level, MetricKind, Stored};

/// Unwinds to the mock, which reports it as the host would.
pub(crate) fn trap() -> ! {
    std::panic::resume_unwind(Box::new(Trap))
}

pub(crate) fn log(level: Level, message: &str) {
    with_state(|state| state.log.push((level, message.to_owned())));
}

pub(crate) fn log_level() -> Level {
    with_state(|state| state.log_level)
}

pub(crate) fn now_nanoseconds() -> u64 {
    with_state(|state| u64::try_from(state.now.as_nanos()).unwrap_or(u64::MAX))
}

pub(crate) fn set_effective_context(context: u32) -> Result<(), HostError> {
    with_state(|state| state.enter(context))
}

pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), HostError> {
    let period = (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()));
    with_state(|state| {
        let (root, now) = (state.root(), state.now);
        state.events.set_tick_period(root, now, period);
    });
    Ok(())
}

pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32, HostError> {
    with_state(|state| state.metrics.define(kind, name))
}

pub(crate) fn increment_metric(id: u32, amount: i64) -> Result<(), HostError> {
    with_state(|state| state.metrics.increment(id, amount))
}

pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    with_state(|state| state.metrics.record(id, value))
}

pub(crate) fn metric_value(id: u32) -> Result<u64, HostError> {
    with_state(|state| state.metrics.value(id))
}

/// A foreign function is called without a borrow of the state: it may ask the host itself.
pub(crate) fn call_foreign_function(name: &str, arguments: &[u8]) -> Result<Vec<u8>, HostError> {
    let function = with_state(|state| state.functions.get(name).cloned());
    match function {
        Some(function) => function(arguments),
        None => Err(HostError::new("call_foreign_function", HostError::NOT_FOUND)),
    }
}

pub(crate) fn shared_data(key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
    with_state(|state| Ok(state.shared.read(key)))
}

pub(crate) fn set_shared_data(
    key: &str,
    value: &[u8],
    version: Option<u32>,
) -> Result<Stored, HostError> {
    with_state(|state| Ok(state.shared.write(key, value, version)))
}

pub(crate) fn register_queue(name: &str) -> Result<u32, HostError> {
    with_state(|state| {
        let root = state.root();
        Ok(state.queues.register(name, root))
    })
}

/// All plugins of a thread have one VM id, whatever it is.
pub(crate) fn resolve_queue(_: &str, name: &str) -> Result<Option<u32>, HostError> {
    with_state(|state| Ok(state.queues.resolve(name)))
}

pub(crate) fn enqueue(queue: u32, value: &[u8]) -> Result<(), HostError> {
    with_state(|state| {
        let root = state.queues.push(queue, value)?;
        state.events.announce(state.now, Event::QueueReady { root, queue });
        Ok(())
    })
}

pub(crate) fn dequeue(queue: u32) -> Result<Option<Vec<u8>>, HostError> {
    with_state(|state| state.queues.pop(queue))
}

/// The same bytes in every run: splitmix64 over a seed that the test may set.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), HostError> {
    with_state(|state| {
        for part in bytes.chunks_mut(8) {
            state.seed = state.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state.seed;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let mixed = (mixed ^ (mixed >> 31)).to_le_bytes();
            part.iter_mut().zip(mixed).for_each(|(byte, random)| *byte = random);
        }
    });
    Ok(())
}
