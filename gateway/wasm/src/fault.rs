//! From wasmtime's errors to faults.

use wasmtime::{Trap, WasmBacktrace};

use crate::effects::{FaultKind, PluginFault};

/// Whether the guest was denied memory in the callback that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryDenial {
    /// It was, and that is most likely why it gave up.
    Denied,
    /// It was not.
    None,
}

/// The fault that an error of a guest call is.
pub(crate) fn fault_of(error: &wasmtime::Error, denial: MemoryDenial) -> PluginFault {
    let trap = error.downcast_ref::<Trap>();
    let (kind, message) = match (trap, denial) {
        (Some(Trap::Interrupt), _) => {
            (FaultKind::Deadline, "the callback ran over its time budget".to_owned())
        }
        (_, MemoryDenial::Denied) => (
            FaultKind::Memory,
            format!("memory beyond the plugin's limit was denied, then: {}", error.root_cause()),
        ),
        (Some(trap), MemoryDenial::None) => (FaultKind::Trap, trap.to_string()),
        (None, MemoryDenial::None) => (FaultKind::Trap, error.root_cause().to_string()),
    };
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    PluginFault { kind, message, backtrace: backtrace.map(frames).unwrap_or_default() }
}

/// One frame a line, without wasmtime's title.
fn frames(backtrace: &WasmBacktrace) -> String {
    let text = backtrace.to_string();
    let lines = text.lines().skip(1).map(str::trim_end).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}
