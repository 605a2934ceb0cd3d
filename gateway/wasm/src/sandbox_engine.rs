//! The engine of sandboxes: memories in one pool, used again and again.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, Linker, PoolingAllocationConfig,
};

use crate::address_space::AddressSpace;
use crate::compiler_settings::compiler_settings;
use crate::limits::TABLE_ELEMENTS;
use crate::linking::host_calls;
use crate::state::GuestState;

/// So many sandboxes at once, of all plugins and workers; fewer where the address space does not hold so many.
const POOLS: [u32; 4] = [8192, 2048, 512, 128];
/// The largest memory that a pool holds, in bytes; a plugin's own limit is smaller.
const LARGEST_MEMORY: usize = 1 << 32;
/// The same where the address space is limited.
const LARGEST_MEMORY_IN_LITTLE_SPACE: usize = 32 << 20;
/// What of a memory is put back by copying, rather than by giving its pages back and faulting them in again, in bytes.
const KEPT_RESIDENT: usize = 256 << 10;
/// From here on Linux tells which pages were written to (`PAGEMAP_SCAN`).
const TELLS_WRITTEN_PAGES: (u32, u32) = (6, 7);

/// An engine of its own, so that instances that stay take no room of the pool.
pub(crate) struct SandboxEngine {
    wasmtime: Engine,
    linker: Linker<GuestState>,
}

impl SandboxEngine {
    /// The largest pool for which there is room; where there is for none, each memory is mapped as it is needed.
    pub(crate) fn open() -> wasmtime::Result<Self> {
        let space = AddressSpace::probe();
        let pooled = POOLS.into_iter().find_map(|room| Engine::new(&pooled(space, room)).ok());
        let wasmtime = match pooled {
            Some(engine) => engine,
            None => {
                tracing::warn!(
                    "there is no address space for a pool of sandboxes: `isolation: request` is slower"
                );
                Engine::new(&compiler_settings(space))?
            }
        };
        let linker = host_calls(&wasmtime)?;
        Ok(SandboxEngine { wasmtime, linker })
    }

    pub(crate) fn wasmtime(&self) -> &Engine {
        &self.wasmtime
    }

    pub(crate) fn linker(&self) -> &Linker<GuestState> {
        &self.linker
    }
}

fn pooled(space: AddressSpace, room: u32) -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(room)
        .total_memories(room)
        .total_tables(room)
        // One for each callback that gave way.
        .total_stacks(room)
        .max_tables_per_module(4)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(match space {
            AddressSpace::Plenty => LARGEST_MEMORY,
            AddressSpace::Limited => LARGEST_MEMORY_IN_LITTLE_SPACE,
        });
    if kernel_version() >= TELLS_WRITTEN_PAGES {
        pool.pagemap_scan(Enabled::Auto);
        pool.linear_memory_keep_resident(KEPT_RESIDENT);
        pool.table_keep_resident(KEPT_RESIDENT);
    }
    let mut config = compiler_settings(space);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Of Linux; (0, 0) where it is not told.
#[cfg(target_os = "linux")]
fn kernel_version() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    }
}

#[cfg(not(target_os = "linux"))]
fn kernel_version() -> (u32, u32) {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    /// Every pool, in every address space, gives memories that can grow.
    #[test]
    fn sandboxes_are_made_in_plenty_of_space_and_in_little() {
        let module = "(module (memory (export \"memory\") 1 16)
            (func (export \"grow\") (result i32) (memory.grow (i32.const 15))))";
        for space in [AddressSpace::Plenty, AddressSpace::Limited] {
            let engine = Engine::new(&pooled(space, 16)).unwrap();
            let module = wasmtime::Module::new(&engine, wat::parse_str(module).unwrap()).unwrap();
            for _ in 0..32 {
                let mut store = wasmtime::Store::new(&engine, ());
                store.set_epoch_deadline(1);
                let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
                let grow = instance.get_typed_func::<(), i32>(&mut store, "grow").unwrap();
                assert_eq!(grow.call(&mut store, ()).unwrap(), 1);
            }
        }
    }

    /// A callback that gave way has a stack of its own: all sandboxes of a pool may have one.
    #[test]
    fn as_many_callbacks_can_give_way_as_there_are_sandboxes() {
        const ROOM: u32 = 1100;
        let module = "(module (func (export \"loop\") (loop $again (br $again))))";
        let engine = Engine::new(&pooled(AddressSpace::Plenty, ROOM)).unwrap();
        let module = wasmtime::Module::new(&engine, wat::parse_str(module).unwrap()).unwrap();
        let mut under_way = Vec::new();
        for _ in 0..ROOM {
            let mut store = wasmtime::Store::new(&engine, ());
            store.epoch_deadline_callback(|_| Ok(wasmtime::UpdateDeadline::Yield(1)));
            let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
            let endless = instance.get_typed_func::<(), ()>(&mut store, "loop").unwrap();
            let mut call = Box::pin(async move { endless.call_async(&mut store, ()).await });
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "{}: {polled:?}", under_way.len());
            under_way.push(call);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_kernel_tells_its_version() {
        assert!(kernel_version() > (2, 0));
    }
}
