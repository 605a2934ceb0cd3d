//! The engine of the process: compiler settings, the host calls, the clock of the budgets, the starter.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use portcullis_model::PluginLimits;
use portcullis_store::Store;
use wasmtime::Linker;

use crate::address_space::AddressSpace;
use crate::background::Background;
use crate::call_targets::CallTargets;
use crate::compiler_settings::compiler_settings;
use crate::linking::host_calls;
use crate::load_error::LoadError;
use crate::metering::Metering;
use crate::module::{MODULE_LIMIT, Module};
use crate::node::NodeMetadata;
use crate::sandbox_engine::SandboxEngine;
use crate::shared::Scopes;
use crate::state::GuestState;
use crate::ticker::{Ticker, Watch};

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
    /// Made with the first plugin that wants it: its pool takes address space.
    sandboxes: OnceLock<Result<SandboxEngine, String>>,
    machine_code: OnceLock<Store>,
    metering: Metering,
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
        Self::open(node, Metering::Off)
    }

    /// One that counts what guests run, for authors: its code is slower, and never serves. What was counted is said by
    /// [`Instance::consumption`](crate::Instance::consumption).
    pub fn counting_fuel() -> Result<Arc<Self>, EngineError> {
        Self::open(NodeMetadata::default(), Metering::Fuel)
    }

    fn open(node: NodeMetadata, metering: Metering) -> Result<Arc<Self>, EngineError> {
        let runtime = |error: wasmtime::Error| EngineError::Runtime(format!("{error:#}"));
        let mut settings = compiler_settings(AddressSpace::probe());
        settings.consume_fuel(metering == Metering::Fuel);
        let wasmtime = wasmtime::Engine::new(&settings).map_err(runtime)?;
        let linker = host_calls(&wasmtime).map_err(runtime)?;
        Ok(Arc::new(Engine {
            ticker: Ticker::start(wasmtime.clone())?,
            background: Arc::new(Background::start()?),
            node: Arc::new(node),
            call_targets: Arc::default(),
            scopes: Scopes::default(),
            sandboxes: OnceLock::new(),
            machine_code: OnceLock::new(),
            metering,
            wasmtime,
            linker,
        }))
    }

    /// Compiles a module, checks that it is Proxy-Wasm, and links it to all that it imports. Blocking: for
    /// control threads. One module serves any number of plugins.
    pub fn compile(&self, bytes: &[u8]) -> Result<Arc<Module>, LoadError> {
        self.compile_within(bytes, MODULE_LIMIT)
    }

    /// The same for a module of at most `limit` bytes.
    pub fn compile_within(&self, bytes: &[u8], limit: usize) -> Result<Arc<Module>, LoadError> {
        if bytes.len() > limit {
            return Err(LoadError::TooLarge { size: bytes.len(), limit });
        }
        Module::compile(&self.wasmtime, &self.linker, bytes, self.machine_code.get()).map(Arc::new)
    }

    /// Keeps machine code there from now on, and takes what is kept; the first one stands.
    pub fn keep_machine_code(&self, store: Store) {
        // Whoever came first is as good.
        let _ = self.machine_code.set(store);
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

    /// What runs sandboxes of single requests. Blocking the first time: for control threads.
    pub(crate) fn sandboxes(&self) -> Result<&SandboxEngine, LoadError> {
        let opened = self.sandboxes.get_or_init(|| {
            let opened = SandboxEngine::open().map_err(|error| format!("{error:#}"))?;
            self.ticker.drive(opened.wasmtime().clone());
            Ok(opened)
        });
        opened.as_ref().map_err(|error| LoadError::Isolation {
            reason: format!("this machine has no room for sandboxes ({error})"),
        })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    pub(crate) fn linker(&self) -> &Linker<GuestState> {
        &self.linker
    }

    pub(crate) fn watch(&self, limits: &PluginLimits) -> Watch {
        self.ticker.watch(limits)
    }

    pub(crate) fn background(&self) -> &Arc<Background> {
        &self.background
    }

    pub(crate) fn metering(&self) -> Metering {
        self.metering
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
