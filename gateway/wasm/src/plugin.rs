//! One plugin object: its settings, its module, and the instances started for the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use portcullis_model::Isolation;
use portcullis_telemetry::PluginMetrics;

use crate::abi::AbiVersion;
use crate::background::Background;
use crate::breaker::Breaker;
use crate::capability_manifest::settle_capabilities;
use crate::engine::Engine;
use crate::fault_log::{FaultLog, FaultRecord};
use crate::frozen::Frozen;
use crate::load_error::LoadError;
use crate::mailbox::Mailbox;
use crate::module::Module;
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
    restocking: AtomicBool,
    retry: Retry,
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
            abi: module.abi(),
            breaker: Breaker::new(settings.limits.breaker),
            faults: FaultLog::default(),
            started_at: SystemTime::now(),
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
            restocking: AtomicBool::new(false),
            retry: Retry::default(),
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
        self.engine.watch()
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

    /// Has what is missing started in the background; at most one such job of a plugin waits at a time.
    fn restock(self: &Arc<Self>) {
        if !self.mailbox.lacks_any()
            || self.retry.is_too_early()
            || self.restocking.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let plugin = Arc::downgrade(self);
        let queued = self.background().try_run(move || {
            if let Some(plugin) = plugin.upgrade() {
                plugin.restock_now();
            }
        });
        if queued.is_err() {
            self.restocking.store(false, Ordering::Release);
        }
    }

    fn restock_now(&self) {
        match self.fill_mailbox() {
            Ok(()) => self.retry.succeeded(),
            Err(error) => {
                let pause = self.retry.failed();
                tracing::error!(
                    plugin = &*self.facts.name,
                    ?pause,
                    "a replacement did not start: {error}"
                );
            }
        }
        self.restocking.store(false, Ordering::Release);
    }

    fn fill_mailbox(&self) -> Result<(), LoadError> {
        while self.mailbox.lacks_any() {
            let vm = Vm::start(self.module.pre(), self.facts.clone(), self.engine.watch())?;
            if self.mailbox.put(vm).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({} #{})", self.facts.name, self.id.0)
    }
}

/// When to try again after a replacement failed to start: after 1 s, then twice as long up to 32 s.
struct Retry {
    origin: Instant,
    not_before_ms: AtomicU64,
    failures: AtomicU32,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            origin: Instant::now(),
            not_before_ms: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        }
    }
}

impl Retry {
    fn is_too_early(&self) -> bool {
        let not_before = self.not_before_ms.load(Ordering::Relaxed);
        not_before != 0 && self.now_ms() < not_before
    }

    fn failed(&self) -> Duration {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(5);
        let pause = Duration::from_secs(1 << failures);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.not_before_ms.store(self.now_ms() + pause_ms, Ordering::Relaxed);
        pause
    }

    fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.not_before_ms.store(0, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
