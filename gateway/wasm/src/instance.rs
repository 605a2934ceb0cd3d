//! A worker's instance of a plugin: the callbacks of a request's life.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use portcullis_exchange::Exchange;
use wasmtime::Store;

use crate::abi::{Callbacks, HeadersCallback};
use crate::background::Background;
use crate::calls::{request_field_count, response_field_count};
use crate::effects::{Action, Effects, EndOfStream, FaultKind, PluginFault, StreamId};
use crate::state::{GuestState, Phase, PluginFacts, ROOT_CONTEXT};
use crate::vm::{Vm, arm};

/// One warm guest that serves many requests of one worker, called synchronously and never re-entered.
///
/// After a fault the instance is dead: every later callback of any stream says so, and
/// [`WorkerInstances`](crate::WorkerInstances) hands out another.
pub struct Instance {
    facts: Arc<PluginFacts>,
    background: Arc<Background>,
    /// Taken out while the guest runs, and for good when it fails: what panics or re-enters finds nothing.
    vm: Cell<Option<Box<Vm>>>,
    alive: Cell<bool>,
    next_stream: Cell<u32>,
}

impl Instance {
    pub(crate) fn new(facts: Arc<PluginFacts>, background: Arc<Background>, vm: Box<Vm>) -> Self {
        Instance {
            facts,
            background,
            vm: Cell::new(Some(vm)),
            alive: Cell::new(true),
            next_stream: Cell::new(ROOT_CONTEXT + 1),
        }
    }

    /// A number for a new request. The guest learns of it at its first callback.
    pub fn open_stream(&self) -> StreamId {
        let stream = self.next_stream.get();
        self.next_stream.set(stream.checked_add(1).unwrap_or(ROOT_CONTEXT + 1));
        StreamId(stream)
    }

    /// The request's head has come. The guest may change it, answer, or hold it. The exchange is the guest's
    /// to see during the callback, and is back afterwards whatever happened.
    pub fn on_request_headers(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let fields = request_field_count(exchange);
        self.headers(stream, exchange, Phase::RequestHeaders, |store, callbacks| {
            call_headers(&callbacks.request_headers, store, stream, fields, end)
        })
    }

    /// The reply's head is known.
    pub fn on_response_headers(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        end: EndOfStream,
    ) -> Result<Effects, PluginFault> {
        let fields = response_field_count(exchange);
        self.headers(stream, exchange, Phase::ResponseHeaders, |store, callbacks| {
            call_headers(&callbacks.response_headers, store, stream, fields, end)
        })
    }

    /// The exchange is over: `on_done`, `on_log` and `on_delete`. A guest that never saw the stream sees
    /// nothing of its end. A fault here is logged and counted, it concerns no one any more.
    pub fn close_stream(&self, stream: StreamId, exchange: &mut Box<Exchange>) {
        let _ = self.with_guest(exchange, |vm| {
            if !vm.store.data_mut().streams.remove(&stream.0) {
                return Ok(());
            }
            vm.run(|store, callbacks| end_stream(store, callbacks, stream))
        });
    }

    /// Whether it can still serve.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.get()
    }

    fn headers(
        &self,
        stream: StreamId,
        exchange: &mut Box<Exchange>,
        phase: Phase,
        call: impl FnOnce(&mut Store<GuestState>, &Callbacks) -> wasmtime::Result<Action>,
    ) -> Result<Effects, PluginFault> {
        self.with_guest(exchange, |vm| {
            let action = vm.run(|store, callbacks| {
                create_stream(store, callbacks, stream)?;
                store.data_mut().enter(phase, stream.0);
                call(store, callbacks)
            })?;
            let wishes = std::mem::take(&mut vm.store.data_mut().wishes);
            Ok(match (wishes.reply, action) {
                (Some(reply), _) => Effects { action: Action::Pause, reply: Some(reply) },
                (None, Action::Pause) if !wishes.resume => {
                    Effects { action: Action::Pause, reply: None }
                }
                (None, _) => Effects::none(),
            })
        })
    }

    /// Lends the exchange to the guest. Boxes are swapped, so it is back after a trap too, and after a panic
    /// in a host call, which costs this request and this instance as a trap would.
    fn with_guest<T>(
        &self,
        exchange: &mut Box<Exchange>,
        run: impl FnOnce(&mut Vm) -> Result<T, PluginFault>,
    ) -> Result<T, PluginFault> {
        let Some(mut vm) = self.vm.take() else {
            return Err(PluginFault::dead());
        };
        std::mem::swap(&mut vm.store.data_mut().exchange, exchange);
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut vm)))
            .unwrap_or_else(|_panic| Err(PluginFault::host_panic()));
        std::mem::swap(&mut vm.store.data_mut().exchange, exchange);
        match &result {
            Ok(_) => self.vm.set(Some(vm)),
            Err(fault) => self.bury(vm, fault),
        }
        result
    }

    /// Counts and logs the fault; the store is dropped on a control thread.
    fn bury(&self, vm: Box<Vm>, fault: &PluginFault) {
        self.alive.set(false);
        let count = match fault.kind {
            FaultKind::Deadline | FaultKind::Memory => &self.facts.metrics.budget_exceeded,
            FaultKind::Trap | FaultKind::Dead => &self.facts.metrics.traps,
        };
        count.fetch_add(1, Relaxed);
        tracing::error!(
            plugin = &*self.facts.name,
            kind = %fault.kind,
            backtrace = %fault.backtrace.lines().map(str::trim).collect::<Vec<_>>().join(" | "),
            "the instance failed and is replaced: {}",
            fault.message
        );
        let _ = self.background.try_run(move || drop(vm));
    }
}

/// A guest's memory is given back on the control thread, not between two requests of the worker.
impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(vm) = self.vm.take() {
            let _ = self.background.try_run(move || drop(vm));
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instance({}, alive: {})", self.facts.name, self.alive.get())
    }
}

/// Makes the stream's context when the guest meets it first.
fn create_stream(
    store: &mut Store<GuestState>,
    callbacks: &Callbacks,
    stream: StreamId,
) -> wasmtime::Result<()> {
    if !store.data_mut().streams.insert(stream.0) {
        return Ok(());
    }
    let Some(create) = &callbacks.context_create else { return Ok(()) };
    store.data_mut().enter(Phase::ContextCreate, stream.0);
    create.call(&mut *store, (stream.0, ROOT_CONTEXT))?;
    arm(store);
    Ok(())
}

fn call_headers(
    callback: &Option<HeadersCallback>,
    store: &mut Store<GuestState>,
    stream: StreamId,
    fields: u32,
    end: EndOfStream,
) -> wasmtime::Result<Action> {
    let end = u32::from(end == EndOfStream::Yes);
    let raw = match callback {
        None => return Ok(Action::Continue),
        Some(HeadersCallback::WithEnd(call)) => call.call(store, (stream.0, fields, end))?,
        Some(HeadersCallback::Plain(call)) => call.call(store, (stream.0, fields))?,
    };
    // C++ and Higress filters return Envoy's own numbers; 2 goes on too.
    Ok(if matches!(raw, 0 | 2) { Action::Continue } else { Action::Pause })
}

/// `on_done` may say that the guest is not done; without calls in flight nothing can end that wait, so the
/// context goes at once, as in Envoy.
fn end_stream(
    store: &mut Store<GuestState>,
    callbacks: &Callbacks,
    stream: StreamId,
) -> wasmtime::Result<()> {
    store.data_mut().enter(Phase::Log, stream.0);
    if let Some(done) = &callbacks.done {
        done.call(&mut *store, stream.0)?;
        arm(store);
    }
    if let Some(log) = &callbacks.log {
        store.data_mut().enter(Phase::Log, stream.0);
        log.call(&mut *store, stream.0)?;
        arm(store);
    }
    if let Some(delete) = &callbacks.delete {
        store.data_mut().enter(Phase::Delete, stream.0);
        delete.call(&mut *store, stream.0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::FaultKind;
    use crate::tests::{Bench, exchange};

    #[test]
    fn a_panic_in_a_host_call_costs_the_instance_and_not_the_exchange() {
        let bench = Bench::start("");
        let (instance, mut exchange) = (bench.instance(), exchange());
        let result: Result<(), _> = instance.with_guest(&mut exchange, |_| panic!("a bug of ours"));
        assert_eq!(result.unwrap_err().kind, FaultKind::Trap);
        assert_eq!(exchange.request.path, "/shop?q=1");
        assert!(!instance.is_alive());
    }

    #[test]
    fn the_guest_is_never_re_entered() {
        let bench = Bench::start("");
        let instance = bench.instance();
        let nested = instance.with_guest(&mut exchange(), |_| {
            Ok(instance.with_guest(&mut exchange(), |_| Ok(())).unwrap_err().kind)
        });
        assert_eq!(nested, Ok(FaultKind::Dead));
        assert!(instance.is_alive());
    }
}
