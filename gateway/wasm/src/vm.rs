//! One guest: its store and its callbacks, from instantiation to the configured root context.

use std::sync::Arc;

use portcullis_exchange::Exchange;
use wasmtime::{Engine, Instance, InstancePre, Store, UpdateDeadline};

use crate::abi::{Callbacks, find_allocator};
use crate::budget::{AtDeadline, TimeBudget};
use crate::effects::PluginFault;
use crate::fault::{MemoryDenial, fault_of};
use crate::load_error::{GuestLog, LoadError};
use crate::quotas::LogQuota;
use crate::state::{GuestState, Nesting, Phase, PluginFacts, ROOT_CONTEXT};
use crate::strict_maps::forget_held_back;
use crate::ticker::Watch;

/// A started and configured guest. It is `Send`: control threads make it, a worker runs it.
pub(crate) struct Vm {
    pub(crate) store: Store<GuestState>,
    pub(crate) callbacks: Callbacks,
    pub(crate) watch: Watch,
    pub(crate) instance: Instance,
}

impl Vm {
    /// Instantiates, initialises and configures a guest under its start budget, which covers all of it.
    /// Blocking: for control threads.
    pub(crate) fn start(
        pre: &InstancePre<GuestState>,
        facts: Arc<PluginFacts>,
        watch: Watch,
    ) -> Result<Box<Vm>, LoadError> {
        let (callback, metering) = (facts.settings.limits.callback, facts.metering);
        let mut store = new_store(pre.module().engine(), GuestState::new(facts));
        metering.fill(&mut store);
        arm(&mut store);
        watch.begin();
        let started = boot(pre, &mut store);
        watch.end();
        let (instance, callbacks) = started?;
        let state = store.data_mut();
        state.take_log_lines();
        state.account.take_denied();
        state.account.note_start();
        state.time = TimeBudget::new(callback);
        Ok(Box::new(Vm { store, callbacks, watch, instance }))
    }

    /// Makes a guest of what another was once it was configured: nothing of it runs. Quick, for workers.
    pub(crate) fn thaw(
        pre: &InstancePre<GuestState>,
        facts: Arc<PluginFacts>,
        watch: Watch,
        log: LogQuota,
    ) -> Result<Box<Vm>, LoadError> {
        let mut store = new_store(pre.module().engine(), GuestState::of_sandbox(facts, log));
        let (instance, callbacks) = instantiate(pre, &mut store)?;
        Ok(Box::new(Vm { store, callbacks, watch, instance }))
    }

    /// Runs guest code under the callback budget, all of it at once.
    pub(crate) fn run<T>(
        &mut self,
        calls: impl FnOnce(&mut Store<GuestState>, &Callbacks) -> wasmtime::Result<T>,
    ) -> Result<T, PluginFault> {
        arm(&mut self.store);
        self.watch.begin();
        let result = calls(&mut self.store, &self.callbacks);
        self.watch.end();
        result.map_err(|error| fault_of(&error, denial(&mut self.store)))
    }
}

impl Vm {
    /// Gives back the exchange that it was lent, once.
    pub(crate) fn give_back(&mut self, lent: &mut Option<&mut Box<Exchange>>) {
        if let Some(exchange) = lent.take() {
            std::mem::swap(&mut self.store.data_mut().exchange, exchange);
        }
    }

    /// `on_delete` for the contexts that are done.
    pub(crate) fn delete_done(&mut self) -> Result<(), PluginFault> {
        while let Some(context) = self.store.data_mut().done.pop() {
            self.run(|store, callbacks| delete_context(store, callbacks, context))?;
        }
        Ok(())
    }
}

/// Forgets a context that is done: `on_delete`.
pub(crate) fn delete_context(
    store: &mut Store<GuestState>,
    callbacks: &Callbacks,
    context: u32,
) -> wasmtime::Result<()> {
    let state = store.data_mut();
    state.streams.remove(&context);
    state.connections.remove(&context);
    forget_held_back(state, context);
    if !state.errands.links.is_empty() {
        state.errands.links.remove(&context);
    }
    let Some(delete) = &callbacks.delete else { return Ok(()) };
    state.enter(Phase::Delete, context);
    delete.call(store, context)
}

/// Gives the guest its whole time budget from now on.
pub(crate) fn arm(store: &mut Store<GuestState>) {
    let ticks = store.data_mut().time.arm();
    store.set_epoch_deadline(ticks);
}

fn denial(store: &mut Store<GuestState>) -> MemoryDenial {
    if store.data_mut().account.take_denied() { MemoryDenial::Denied } else { MemoryDenial::None }
}

fn new_store(engine: &Engine, state: GuestState) -> Store<GuestState> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.account);
    store.epoch_deadline_callback(|mut store| {
        Ok(match store.data_mut().time.at_deadline() {
            AtDeadline::Extend(ticks) => UpdateDeadline::Continue(ticks),
            // A host call waits for its allocator.
            AtDeadline::GiveWay(_) if store.data().nesting == Nesting::Allocator => {
                UpdateDeadline::Continue(1)
            }
            AtDeadline::GiveWay(ticks) => UpdateDeadline::Yield(ticks),
            AtDeadline::End => UpdateDeadline::Interrupt,
        })
    });
    store
}

/// The order of a start: initialise, root context, VM start, configuration.
fn boot(
    pre: &InstancePre<GuestState>,
    store: &mut Store<GuestState>,
) -> Result<(Instance, Callbacks), LoadError> {
    let (instance, callbacks) = instantiate(pre, store)?;
    initialise(&instance, store)?;
    configure(&callbacks, store)?;
    Ok((instance, callbacks))
}

fn instantiate(
    pre: &InstancePre<GuestState>,
    store: &mut Store<GuestState>,
) -> Result<(Instance, Callbacks), LoadError> {
    let instance = pre.instantiate(&mut *store);
    let instance = named(store, "instantiation", instance)?;
    store.data_mut().memory = instance.get_memory(&mut *store, "memory");
    let allocator = find_allocator(&instance, &mut *store).ok_or(LoadError::Allocator)?;
    store.data_mut().allocator = Some(Arc::new(allocator));
    let callbacks = Callbacks::find(&instance, &mut *store)
        .map_err(|name| LoadError::Abi(format!("the export `{name}` has a wrong type")))?;
    Ok((instance, callbacks))
}

/// `_initialize` and then `main`, else `_start`; AssemblyScript has neither.
fn initialise(instance: &Instance, store: &mut Store<GuestState>) -> Result<(), LoadError> {
    store.data_mut().enter(Phase::Boot, ROOT_CONTEXT);
    if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize") {
        let ran = initialize.call(&mut *store, ());
        named(store, "_initialize", ran)?;
        if let Ok(main) = instance.get_typed_func::<(i32, i32), i32>(&mut *store, "main") {
            let ran = main.call(&mut *store, (0, 0));
            named(store, "main", ran)?;
        } else if let Ok(main) = instance.get_typed_func::<(), i32>(&mut *store, "__main_void") {
            let ran = main.call(&mut *store, ());
            named(store, "__main_void", ran)?;
        }
    } else if let Ok(start) = instance.get_typed_func::<(), ()>(&mut *store, "_start") {
        let ran = start.call(&mut *store, ());
        named(store, "_start", ran)?;
    }
    Ok(())
}

fn configure(callbacks: &Callbacks, store: &mut Store<GuestState>) -> Result<(), LoadError> {
    if let Some(create) = &callbacks.context_create {
        store.data_mut().enter(Phase::ContextCreate, ROOT_CONTEXT);
        let ran = create.call(&mut *store, (ROOT_CONTEXT, 0));
        named(store, "proxy_on_context_create", ran)?;
    }
    if let Some(vm_start) = &callbacks.vm_start {
        store.data_mut().enter(Phase::VmStart, ROOT_CONTEXT);
        let said = vm_start.call(&mut *store, (ROOT_CONTEXT, 0));
        accepted(store, "proxy_on_vm_start", said)?;
    }
    if let Some(configure) = &callbacks.configure {
        store.data_mut().enter(Phase::Configure, ROOT_CONTEXT);
        let size = store.data().facts.settings.configuration.len();
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let said = configure.call(&mut *store, (ROOT_CONTEXT, size));
        accepted(store, "proxy_on_configure", said)?;
    }
    Ok(())
}

fn named<T>(
    store: &mut Store<GuestState>,
    callback: &'static str,
    result: wasmtime::Result<T>,
) -> Result<T, LoadError> {
    result.map_err(|error| {
        let fault = fault_of(&error, denial(store));
        LoadError::of_start(callback, fault, GuestLog(store.data_mut().take_log_lines()))
    })
}

fn accepted(
    store: &mut Store<GuestState>,
    callback: &'static str,
    result: wasmtime::Result<u32>,
) -> Result<(), LoadError> {
    if named(store, callback, result)? != 0 {
        return Ok(());
    }
    Err(LoadError::Refused { callback, log: GuestLog(store.data_mut().take_log_lines()) })
}
