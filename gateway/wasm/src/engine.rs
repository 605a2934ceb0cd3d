//! The engine of the process: compiler settings, the host calls, the clock of the budgets, the starter.

use std::sync::Arc;

use arc_swap::ArcSwap;
use wasmtime::{Config, Linker, OptLevel};

use crate::background::Background;
use crate::call_targets::CallTargets;
use crate::load_error::LoadError;
use crate::module::Module;
use crate::node::NodeMetadata;
use crate::shared::Scopes;
use crate::state::GuestState;
use crate::ticker::{Ticker, Watch};
use crate::{calls, wasi};

/// A guest's stack, in bytes. Recursion beyond it traps.
const STACK: usize = 512 << 10;

/// What compiles and runs every plugin of the process. It owns two threads: the clock of the time budgets,
/// asleep while no guest runs, and the starter of replacements.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Linker<GuestState>,
    ticker: Ticker,
    background: Arc<Background>,
    node: Arc<NodeMetadata>,
    call_targets: Arc<ArcSwap<CallTargets>>,
    scopes: Scopes,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The Wasm runtime does not start on this machine.
    #[error("the Wasm runtime does not start: {0}")]
    Runtime(String),
    /// A thread could not be started.
    #[error("a thread of the plugin host could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl Engine {
    /// One per process. The property `node.metadata` is read from the environment.
    pub fn new() -> Result<Arc<Self>, EngineError> {
        Self::for_node(NodeMetadata::from_environment())
    }

    /// The same, with given node metadata.
    pub fn for_node(node: NodeMetadata) -> Result<Arc<Self>, EngineError> {
        let runtime = |error: wasmtime::Error| EngineError::Runtime(format!("{error:#}"));
        let wasmtime = wasmtime::Engine::new(&config()).map_err(runtime)?;
        let mut linker = Linker::new(&wasmtime);
        calls::link(&mut linker).map_err(runtime)?;
        wasi::link(&mut linker).map_err(runtime)?;
        Ok(Arc::new(Engine {
            ticker: Ticker::start(wasmtime.clone())?,
            background: Arc::new(Background::start()?),
            node: Arc::new(node),
            call_targets: Arc::default(),
            scopes: Scopes::default(),
            wasmtime,
            linker,
        }))
    }

    /// Compiles a module, checks that it is Proxy-Wasm, and links it to all that it imports. Blocking: for
    /// control threads. One module serves any number of plugins.
    pub fn compile(&self, bytes: &[u8]) -> Result<Arc<Module>, LoadError> {
        Module::compile(&self.wasmtime, &self.linker, bytes).map(Arc::new)
    }

    /// The clusters that plugins may call from now on. To be set before the plugins of a configuration start, as they
    /// may call while they are configured.
    pub fn set_call_targets(&self, targets: Arc<CallTargets>) {
        self.call_targets.store(targets);
    }

    pub(crate) fn call_targets(&self) -> &Arc<ArcSwap<CallTargets>> {
        &self.call_targets
    }

    pub(crate) fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    pub(crate) fn watch(&self) -> Watch {
        self.ticker.watch()
    }

    pub(crate) fn background(&self) -> &Arc<Background> {
        &self.background
    }

    pub(crate) fn node(&self) -> &Arc<NodeMetadata> {
        &self.node
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK);
    // Proxy-Wasm's pointers have 32 bits, and its one memory is named.
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config
}
