//! The same calls, answered by the mock host of [`crate::mock`].

mod metrics;
mod state;

pub use metrics::Metrics;
pub(crate) use state::{Trap, reset, with_state};

use crate::HostError;
use crate::abi::{Level, MapKind, MetricKind};
use crate::packed::Packed;

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

pub(crate) fn plugin_configuration(size: usize) -> Result<Vec<u8>, HostError> {
    with_state(|state| Ok(state.configuration.iter().copied().take(size).collect()))
}

pub(crate) fn header_pairs(map: MapKind) -> Result<Vec<u8>, HostError> {
    with_state(|state| {
        let pairs: Vec<_> =
            state.map(map).iter().map(|(name, value)| (name.as_bytes(), &**value)).collect();
        Ok(Packed::pack(&pairs))
    })
}

pub(crate) fn header_value(map: MapKind, name: &str) -> Result<Option<Vec<u8>>, HostError> {
    with_state(|state| {
        let mut values =
            state.map(map).iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        Ok(values.next().map(|(_, value)| value.clone()))
    })
}

pub(crate) fn add_header(map: MapKind, name: &str, value: &[u8]) -> Result<(), HostError> {
    let forbidden = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    if name.is_empty() || name.as_bytes().iter().chain(value).any(forbidden) {
        return Err(HostError::new("add_header_map_value", HostError::BAD_ARGUMENT));
    }
    with_state(|state| state.map(map).push((name.to_ascii_lowercase(), value.to_vec())));
    Ok(())
}

pub(crate) fn replace_header(map: MapKind, name: &str, value: &[u8]) -> Result<(), HostError> {
    remove_header(map, name)?;
    add_header(map, name, value)
}

pub(crate) fn remove_header(map: MapKind, name: &str) -> Result<(), HostError> {
    with_state(|state| state.map(map).retain(|(found, _)| !found.eq_ignore_ascii_case(name)));
    Ok(())
}

/// The mock takes the reply from the verdict itself.
pub(crate) fn send_reply(_: u32, _: &str, _: &[u8], _: &[u8]) -> Result<(), HostError> {
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

pub(crate) fn property(path: &str) -> Result<Option<Vec<u8>>, HostError> {
    with_state(|state| Ok(state.properties.get(&path.replace('\0', ".")).cloned()))
}

pub(crate) fn set_property(path: &str, value: &[u8]) -> Result<(), HostError> {
    with_state(|state| state.properties.insert(path.replace('\0', "."), value.to_vec()));
    Ok(())
}

pub(crate) fn call_foreign_function(name: &str, arguments: &[u8]) -> Result<Vec<u8>, HostError> {
    let function = with_state(|state| state.foreign_functions.get(name).cloned());
    match function {
        Some(function) => function(arguments),
        None => Err(HostError::new("call_foreign_function", HostError::NOT_FOUND)),
    }
}
