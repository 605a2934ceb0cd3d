//! A callback that gives way: it runs on a stack of its own, for one slice after the other, and the worker serves
//! others in between (the limit `slice`).
//!
//! Only sandboxes run so: nobody else waits for their guest. What a request has lent to it is inside meanwhile, and is
//! back once the callback has ended, however it ends.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use portcullis_exchange::Exchange;
use wasmtime::Store;

use crate::asked::{Asked, Seen, action_of, effects};
use crate::budget::{Slices, processor_time};
use crate::effects::{Direction, Effects, PluginFault, StreamId};
use crate::fault::{MemoryDenial, fault_of};
use crate::state::{GuestState, Phase, ROOT_CONTEXT, blank_exchange};
use crate::ticker::Watch;
use crate::vm::Vm;

/// What of an instance's callbacks has given way. The two halves of a stream may both have one, of which one at most
/// runs: before the other begins it is run to its end.
#[derive(Default)]
pub(crate) struct SlowCalls {
    running: Cell<Option<Box<SlowCall>>>,
    untold: [Cell<Option<Untold>>; 2],
}

/// The end of a callback that was run to it before anyone asked. Until the half of the stream that it is of is told,
/// what it was lent is parked with the instance.
pub(crate) struct Untold {
    pub(crate) about: About,
    pub(crate) result: Result<Effects, PluginFault>,
}

/// What a callback is about, for when it has ended.
#[derive(Clone)]
pub(crate) struct About {
    pub(crate) stream: StreamId,
    pub(crate) direction: Direction,
    /// Whether it may change the body.
    pub(crate) of_body: bool,
    /// As much of the body as it was shown.
    pub(crate) shown: Bytes,
}

impl SlowCalls {
    /// A callback gave way.
    pub(crate) fn set_running(&self, call: Box<SlowCall>) {
        self.running.set(Some(call));
    }

    /// The callback that gave way, of either half.
    pub(crate) fn take_running(&self) -> Option<Box<SlowCall>> {
        self.running.take()
    }

    /// The same, if it is of this half.
    pub(crate) fn take_running_of(&self, direction: Direction) -> Option<Box<SlowCall>> {
        let call = self.running.take()?;
        if call.about.direction == direction {
            return Some(call);
        }
        self.running.set(Some(call));
        None
    }

    pub(crate) fn set_untold(&self, untold: Untold) {
        self.untold_of(untold.about.direction).set(Some(untold));
    }

    pub(crate) fn take_untold(&self, direction: Direction) -> Option<Untold> {
        self.untold_of(direction).take()
    }

    fn untold_of(&self, direction: Direction) -> &Cell<Option<Untold>> {
        let [request, response] = &self.untold;
        match direction {
            Direction::Request => request,
            Direction::Response => response,
        }
    }
}

/// Such a callback on its way.
pub(crate) struct SlowCall {
    pub(crate) about: About,
    future: Pin<Box<dyn Future<Output = Ended>>>,
    slices: Slices,
    watch: Watch,
    /// Where the exchange is put when the callback is broken off.
    left: Rc<Cell<Option<Box<Exchange>>>>,
}

/// The guest, and what came of it.
pub(crate) type Ended = (Option<Box<Vm>>, Result<Effects, PluginFault>);

impl SlowCall {
    /// Begins a callback; nothing of it runs before it is polled. The guest has the exchange already.
    pub(crate) fn begin(
        vm: Box<Vm>,
        seen: Seen,
        body: Bytes,
        asked: Asked,
        slices: Slices,
    ) -> Self {
        let about = About {
            stream: seen.stream,
            direction: seen.phase.direction().unwrap_or(Direction::Request),
            of_body: !matches!(asked, Asked::Head(_)),
            shown: body.clone(),
        };
        let (watch, left) = (vm.watch.clone(), Rc::default());
        let lent = Lent { vm: Some(vm), left: Rc::clone(&left) };
        let future = Box::pin(run(lent, seen, body, asked, slices.clone()));
        SlowCall { about, future, slices, watch, left }
    }

    /// Runs it for one slice. `None` for the guest where the host failed it.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.slices.resume(processor_time());
        self.watch.begin();
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx)));
        self.watch.end();
        polled.unwrap_or_else(|_panic| Poll::Ready((None, Err(PluginFault::host_panic()))))
    }

    /// Breaks it off where it stands; the exchange that it had.
    pub(crate) fn break_off(self) -> Option<Box<Exchange>> {
        drop(self.future);
        self.left.take()
    }
}

/// A guest whose exchange does not go with it.
struct Lent {
    vm: Option<Box<Vm>>,
    left: Rc<Cell<Option<Box<Exchange>>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(mut vm) = self.vm.take() {
            let lent = &mut vm.store.data_mut().exchange;
            let exchange = std::mem::replace(lent, blank_exchange());
            self.left.set(Some(exchange));
        }
    }
}

async fn run(mut lent: Lent, seen: Seen, body: Bytes, asked: Asked, slices: Slices) -> Ended {
    let result = match &mut lent.vm {
        None => Err(PluginFault::dead()),
        Some(vm) => run_guest(vm, &seen, body, &asked, slices).await,
    };
    (lent.vm.take(), result)
}

async fn run_guest(
    vm: &mut Vm,
    seen: &Seen,
    body: Bytes,
    asked: &Asked,
    slices: Slices,
) -> Result<Effects, PluginFault> {
    let Vm { store, callbacks, .. } = &mut *vm;
    let ticks = store.data_mut().time.arm_slices(slices);
    store.set_epoch_deadline(ticks);
    let called = async {
        if store.data_mut().streams.insert(seen.stream.0)
            && let Some(create) = &callbacks.context_create
        {
            store.data_mut().enter(Phase::ContextCreate, seen.stream.0);
            create.call_async(&mut *store, (seen.stream.0, ROOT_CONTEXT)).await?;
        }
        let state = store.data_mut();
        state.enter(seen.phase, seen.stream.0);
        (state.body, state.end) = (body, seen.end);
        let raw = asked.call_slowly(callbacks, seen, store).await?;
        Ok(action_of(raw, asked, store.data()))
    };
    let called = called.await;
    let body = std::mem::take(&mut vm.store.data_mut().body);
    let action = called.map_err(|error| fault_of(&error, denial(&mut vm.store)))?;
    let effects = effects(vm, seen.stream, action, Some(body));
    vm.delete_done()?;
    Ok(effects)
}

fn denial(store: &mut Store<GuestState>) -> MemoryDenial {
    if store.data_mut().account.take_denied() { MemoryDenial::Denied } else { MemoryDenial::None }
}
