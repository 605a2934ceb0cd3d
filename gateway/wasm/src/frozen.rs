//! A plugin as it was once it was configured, from which each request gets a sandbox (`isolation: request`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use wasmparser::ValType;
use wasmtime::{InstancePre, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, Wizer};

use crate::at_once::at_once;
use crate::engine::Engine;
use crate::linking::{link, one_line};
use crate::load_error::LoadError;
use crate::module::Module;
use crate::quotas::LogQuota;
use crate::state::{GuestState, PluginFacts};
use crate::ticker::Watch;
use crate::vm::Vm;

/// A module whose memory and globals are those that a configured instance had.
pub(crate) struct Frozen {
    pre: InstancePre<GuestState>,
    /// It set a period for ticks.
    pub(crate) ticks: Option<Duration>,
}

impl Frozen {
    /// Starts and configures the plugin once, and keeps what it then is. Blocking, for control threads.
    pub(crate) fn make(
        engine: &Engine,
        module: &Module,
        facts: &Arc<PluginFacts>,
    ) -> Result<Frozen, LoadError> {
        let pool = engine.sandboxes()?;
        let wizer = Wizer::new();
        let instrumented = contained(|| wizer.instrument(module.source()))?;
        let (context, instrumented) = instrumented.map_err(|error| refused(&error))?;
        let instrumented = wasmtime::Module::from_binary(engine.wasmtime(), &instrumented)
            .map_err(|error| LoadError::Compile(one_line(&error)))?;
        let pre = link(engine.linker(), &instrumented)?;
        let watch = engine.watch(&facts.settings.limits);
        let mut configured = Vm::start(&pre, facts.clone(), watch.clone())?;
        check_nothing_is_open(configured.store.data())?;
        let ticks = configured.store.data().errands.tick;
        let mut seen = Seen { vm: &mut configured, unknown: None };
        let snapshot = contained(|| at_once(wizer.snapshot(&context, &mut seen)))?;
        if let Some(unknown) = seen.unknown {
            return Err(isolation(format!("its `{unknown}` cannot be read")));
        }
        let snapshot = snapshot.ok_or_else(|| isolation("its state cannot be read".to_owned()))?;
        let snapshot = snapshot.map_err(|error| refused(&error))?;
        let frozen = wasmtime::Module::from_binary(pool.wasmtime(), &snapshot)
            .map_err(|error| isolation(one_line(&error)))?;
        let frozen = Frozen { pre: link(pool.linker(), &frozen)?, ticks };
        // The first one shows whether there is room for it at all.
        frozen.thaw(facts.clone(), watch, LogQuota::default())?;
        Ok(frozen)
    }

    /// A guest that is what the plugin was. Quick, for workers.
    pub(crate) fn thaw(
        &self,
        facts: Arc<PluginFacts>,
        watch: Watch,
        log: LogQuota,
    ) -> Result<Box<Vm>, LoadError> {
        Vm::thaw(&self.pre, facts, watch, log)
    }
}

/// What would come to nobody, or be everybody's, is refused.
fn check_nothing_is_open(state: &GuestState) -> Result<(), LoadError> {
    if !state.errands.calls.is_empty() || !state.errands.outbox.is_empty() {
        let reason = "it leaves a call open once it is configured, whose result no request awaits";
        return Err(isolation(reason.to_owned()));
    }
    if state.errands.listens {
        let reason = "it registers a queue while it is configured, of which no request is told";
        return Err(isolation(reason.to_owned()));
    }
    if state.drew_random {
        tracing::info!(
            plugin = &*state.facts.name,
            "drew random bytes while it was configured; with `isolation: request` all requests find the same ones"
        );
    }
    Ok(())
}

/// Reads a configured guest for the snapshot.
struct Seen<'a> {
    vm: &'a mut Vm,
    /// What was asked for and is not there, which does not happen.
    unknown: Option<String>,
}

impl InstanceState for Seen<'_> {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        let global = self.vm.instance.get_global(&mut self.vm.store, name);
        match global.map(|global| global.get(&mut self.vm.store)) {
            Some(Val::I32(value)) => SnapshotVal::I32(value),
            Some(Val::I64(value)) => SnapshotVal::I64(value),
            Some(Val::F32(bits)) => SnapshotVal::F32(bits),
            Some(Val::F64(bits)) => SnapshotVal::F64(bits),
            Some(Val::V128(value)) => SnapshotVal::V128(value.as_u128()),
            _ => {
                self.unknown = Some(name.to_owned());
                SnapshotVal::I32(0)
            }
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.vm.instance.get_memory(&mut self.vm.store, name) {
            Some(memory) => contents(memory.data(&self.vm.store)),
            None => {
                self.unknown = Some(name.to_owned());
                contents(&[]);
            }
        }
    }
}

/// A panic over a strange module is that module's.
fn contained<T>(run: impl FnOnce() -> T) -> Result<T, LoadError> {
    catch_unwind(AssertUnwindSafe(run))
        .map_err(|_panic| isolation("no snapshot can be made of its module".to_owned()))
}

fn refused(error: &wasmtime::Error) -> LoadError {
    isolation(format!("no snapshot can be made of its module ({})", one_line(error)))
}

fn isolation(reason: String) -> LoadError {
    LoadError::Isolation { reason }
}
