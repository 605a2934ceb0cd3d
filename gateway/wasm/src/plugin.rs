//! One plugin object: its settings, its module, and the instances started for the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use portcullis_model::Isolation;
use portcullis_telemetry::PluginMetrics;

use crate::abi::AbiVersion;
use crate::background::Background;
use crate::breaker::Breaker;
use crate::call_memory::CallMemory;
use crate::capability_manifest::settle_capabilities;
use crate::engine::Engine;
use crate::fault_log::{FaultLog, FaultRecord};
use crate::frozen::Frozen;
use crate::load_error::LoadError;
use crate::mailbox::Mailbox;
use crate::module::Module;
use crate::restocking::Restocking;
use crate::state::PluginFacts;
use crate::ticker::Watch;
use crate::vm::Vm;

/// The number of a started plugin, unique in the process. A new version of an object has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginSlot(pub u64);

/// A plugin object that was started with its configuration: every worker has an instance ready.
pub struct Plugin {
    /// Its number.
    pub id: PluginSlot,
    engine: Arc<Engine>,
    module: Arc<Module>,
    facts: Arc<PluginFacts>,
    /// From which its requests' sandboxes are made, where each has its own.
    frozen: Option<Frozen>,
    mailbox: Mailbox,
    restocking: Restocking,
}

/// A plugin as `/plugins` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginStatus {
    /// `Kind/ns/name`
    pub name: String,
    /// Its number in the process.
    pub id: PluginSlot,
    /// The module's SHA-256 in hex.
    pub digest: String,
    /// The Proxy-Wasm version that the module declares.
    pub abi: AbiVersion,
    /// Instances alive, those of older versions of the object included.
    pub instances: i64,
    /// Their memory in bytes.
    pub memory_bytes: u64,
    /// Callbacks that trapped.
    pub traps: u64,
    /// Callbacks that went over a budget.
    pub budget_exceeded: u64,
    /// Requests that went on without it.
    pub fail_open: u64,
    /// What its requests share.
    pub isolation: Isolation,
    /// What it may touch, as in the annotation.
    pub capabilities: String,
    /// It failed too often: its fail strategy answers, and it is tried now and then.
    pub breaker_open: bool,
    /// When this version of it was started.
    pub started_at: SystemTime,
    /// How its instances failed last, the latest last.
    pub last_faults: Vec<FaultRecord>,
}

impl Plugin {
    /// Starts a plugin: a first instance as the canary, then one for each worker and a spare. Blocking, for
    /// control threads; when it fails, no request has met the plugin.
    pub fn start(
        engine: &Arc<Engine>,
        module: &Arc<Module>,
        settings: &Arc<portcullis_model::Plugin>,
        workers: usize,
        metrics: Arc<PluginMetrics>,
    ) -> Result<Arc<Self>, LoadError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let capabilities = settle_capabilities(settings, module.capabilities())?;
        let facts = Arc::new(PluginFacts {
            is_narrowed: !capabilities.is_compatible(),
            capabilities,
            name: settings.id.to_string().into(),
            property_name: format!("{}.{}", settings.id.namespace, settings.id.name).into(),
            settings: settings.clone(),
            metrics,
            node: engine.node().clone(),
            targets: engine.call_targets().clone(),
            scope: engine.scopes().of(settings),
            call_memory: CallMemory::beside(settings.limits.memory),
            abi: module.abi(),
            breaker: Breaker::new(settings.limits.breaker),
            faults: FaultLog::default(),
            started_at: SystemTime::now(),
            metering: engine.metering(),
        });
        let frozen = match settings.isolation {
            Isolation::Worker => None,
            Isolation::Request => Some(Frozen::make(engine, module, &facts)?),
        };
        let plugin = Plugin {
            id: PluginSlot(NEXT.fetch_add(1, Ordering::Relaxed)),
            engine: engine.clone(),
            module: module.clone(),
            facts,
            frozen,
            mailbox: Mailbox::new(workers),
            restocking: Restocking::default(),
        };
        if plugin.has_lasting_instances() {
            plugin.fill_mailbox()?;
        }
        Ok(Arc::new(plugin))
    }

    /// What it was started with.
    pub fn settings(&self) -> &Arc<portcullis_model::Plugin> {
        &self.facts.settings
    }

    /// Its module.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// Its metrics.
    pub fn metrics(&self) -> &Arc<PluginMetrics> {
        &self.facts.metrics
    }

    /// Counts a request that goes on although the plugin failed.
    pub fn count_fail_open(&self) {
        self.facts.metrics.fail_open.fetch_add(1, Ordering::Relaxed);
    }

    /// How it is doing.
    pub fn status(&self) -> PluginStatus {
        let metrics = &self.facts.metrics;
        PluginStatus {
            name: self.facts.name.to_string(),
            id: self.id,
            digest: self.module.digest().to_owned(),
            abi: self.module.abi(),
            instances: metrics.instances.load(Ordering::Relaxed),
            memory_bytes: metrics.memory_bytes.load(Ordering::Relaxed),
            traps: metrics.traps.load(Ordering::Relaxed),
            budget_exceeded: metrics.budget_exceeded.load(Ordering::Relaxed),
            fail_open: metrics.fail_open.load(Ordering::Relaxed),
            isolation: self.facts.settings.isolation,
            capabilities: self.facts.capabilities.to_string(),
            started_at: self.facts.started_at,
            last_faults: self.facts.faults.last(),
            breaker_open: self.facts.breaker.is_open(),
        }
    }

    /// From which its requests' sandboxes are made, where each has its own.
    pub(crate) fn frozen(&self) -> Option<&Frozen> {
        self.frozen.as_ref()
    }

    /// Whether workers have instances of it between requests: they serve those, or tick beside sandboxes.
    pub(crate) fn has_lasting_instances(&self) -> bool {
        self.frozen.as_ref().is_none_or(|frozen| frozen.ticks.is_some())
    }

    /// A mark that one of its guests runs.
    pub(crate) fn watch(&self) -> Watch {
        self.engine.watch(&self.facts.settings.limits)
    }

    /// Hands a worker an instance; `None` while a replacement is being started.
    pub(crate) fn hand_over(self: &Arc<Self>, worker: usize) -> Option<Box<Vm>> {
        let vm = self.mailbox.take(worker);
        self.restock();
        vm
    }

    pub(crate) fn facts(&self) -> &Arc<PluginFacts> {
        &self.facts
    }

    pub(crate) fn background(&self) -> &Arc<Background> {
        self.engine.background()
    }

    /// Has what is missing started in the background: one instance, then others have their turn.
    fn restock(self: &Arc<Self>) {
        if !self.mailbox.lacks_any() || !self.restocking.queue() {
            return;
        }
        let plugin = Arc::downgrade(self);
        let queued = self.background().try_run(self.restocking.lane(), move || {
            if let Some(plugin) = plugin.upgrade() {
                plugin.restock_one();
                plugin.restocking.leave_queue();
                plugin.restock();
            }
        });
        if queued.is_err() {
            self.restocking.leave_queue();
        }
    }

    fn restock_one(&self) {
        match self.start_one() {
            Ok(()) => self.restocking.succeeded(),
            Err(error) => {
                let pause = self.restocking.failed();
                tracing::error!(
                    plugin = &*self.facts.name,
                    ?pause,
                    "a replacement did not start: {error}"
                );
            }
        }
    }

    fn fill_mailbox(&self) -> Result<(), LoadError> {
        while self.mailbox.lacks_any() {
            self.start_one()?;
        }
        Ok(())
    }

    /// One that is wanted nowhere any more is dropped again.
    fn start_one(&self) -> Result<(), LoadError> {
        let began = Instant::now();
        let started = Vm::start(self.module.pre(), self.facts.clone(), self.watch());
        self.restocking.took(began.elapsed());
        drop(self.mailbox.put(started?));
        Ok(())
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({} #{})", self.facts.name, self.id.0)
    }
}
