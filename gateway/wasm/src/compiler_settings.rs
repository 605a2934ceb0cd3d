//! What every engine of the host is set to, pooled or not.

use wasmtime::{Config, OptLevel};

use crate::address_space::AddressSpace;

/// A guest's stack, in bytes. Recursion beyond it traps.
const STACK: usize = 512 << 10;

/// The settings, for the address space there is.
pub(crate) fn compiler_settings(space: AddressSpace) -> Config {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK);
    // Proxy-Wasm's pointers have 32 bits, and its one memory is named.
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.memory_init_cow(true);
    space.lay_out(&mut config);
    config
}
