//! The host's calls as safe functions: the ABI in a module, a mock where the filter is compiled natively.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod wasm;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::*;
#[cfg(not(target_arch = "wasm32"))]
pub use native::{Answer, Call, GrpcAnswer, GrpcCall, Metrics};
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm::*;

use crate::HostError;
use crate::abi::BufferKind;

/// The configuration of the plugin object that is being configured; empty when it has none.
pub(crate) fn plugin_configuration(size: usize) -> Result<Vec<u8>, HostError> {
    buffer(BufferKind::PluginConfiguration, 0, size)
}
