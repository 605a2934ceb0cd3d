//! A worker's instance of a plugin: how its guest is lent what it works on, and buried when it fails.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use portcullis_exchange::Exchange;
use rustc_hash::FxHashSet;

use crate::agenda::{Agenda, Caller};
use crate::background::Background;
use crate::desk::Desk;
use crate::effects::{Direction, FaultKind, PluginFault, Resumed, StreamId};
use crate::held::{HeldStreams, Parked};
use crate::state::{PluginFacts, ROOT_CONTEXT};
use crate::vm::Vm;

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
    /// In the guest's store while it runs.
    held: RefCell<HeldStreams>,
    pub(crate) desk: Desk,
    /// The streams that have met its failure.
    failed: RefCell<FxHashSet<u32>>,
}

/// How often a stream has met the failure of its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// Now.
    First,
    /// Before too.
    Again,
}

impl Instance {
    /// An instance of a guest that this worker has just taken.
    pub(crate) fn new(
        facts: Arc<PluginFacts>,
        background: Arc<Background>,
        mut vm: Box<Vm>,
        agenda: Rc<Agenda>,
        caller: Weak<dyn Caller>,
    ) -> Self {
        Instance {
            desk: Desk::open(agenda, caller, vm.store.data_mut()),
            facts,
            background,
            vm: Cell::new(Some(vm)),
            alive: Cell::new(true),
            next_stream: Cell::new(ROOT_CONTEXT + 1),
            held: RefCell::default(),
            failed: RefCell::default(),
        }
    }

    /// A number for a new request. The guest learns of it at its first callback.
    pub fn open_stream(&self) -> StreamId {
        let stream = self.next_stream.get();
        self.next_stream.set(stream.checked_add(1).unwrap_or(ROOT_CONTEXT + 1));
        StreamId(stream)
    }

    /// Leaves a held half of a stream with the instance, where callbacks of other contexts find it. It is to be
    /// [taken back](Self::unpark) before the stream goes on or ends.
    pub fn park(&self, stream: StreamId, direction: Direction, parked: Parked) {
        self.held.borrow_mut().park(stream.0, direction, parked);
    }

    /// Takes it back; `None` where nothing was left.
    pub fn unpark(&self, stream: StreamId, direction: Direction) -> Option<Parked> {
        self.held.borrow_mut().unpark(stream.0, direction)
    }

    /// Whether the holding of a stream has ended; otherwise the task is woken when it has. What is told is told
    /// once.
    pub fn poll_resumed(
        &self,
        stream: StreamId,
        direction: Direction,
        cx: &Context<'_>,
    ) -> Poll<Resumed> {
        if !self.is_alive() {
            return Poll::Ready(Resumed::Failed);
        }
        self.held.borrow_mut().poll(stream.0, direction, cx)
    }

    /// Forgets what was asked of a stream that has ended.
    pub(crate) fn forget_held(&self, stream: StreamId) {
        let mut held = self.held.borrow_mut();
        if !held.is_empty() {
            held.forget(stream.0);
        }
    }

    /// Whose it is.
    pub(crate) fn facts(&self) -> &PluginFacts {
        &self.facts
    }

    /// A stream has met the failure of the instance: whether for the first time. Whoever decides what that means
    /// for the request does so once, however many callbacks were still to come.
    pub fn meet_failure(&self, stream: StreamId) -> Meeting {
        let first = self.failed.borrow_mut().insert(stream.0);
        if first { Meeting::First } else { Meeting::Again }
    }

    /// Whether it can still serve.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.get()
    }

    /// Lends the exchange to the guest. Boxes are swapped, so it is back after a trap too, and after a panic
    /// in a host call, which costs this request and this instance as a trap would.
    pub(crate) fn with_guest<T>(
        &self,
        exchange: &mut Box<Exchange>,
        run: impl FnOnce(&mut Vm) -> Result<T, PluginFault>,
    ) -> Result<T, PluginFault> {
        self.with_vm(|vm| {
            std::mem::swap(&mut vm.store.data_mut().exchange, exchange);
            let result = catch_unwind(AssertUnwindSafe(|| run(&mut *vm)))
                .unwrap_or_else(|_panic| Err(PluginFault::host_panic()));
            std::mem::swap(&mut vm.store.data_mut().exchange, exchange);
            result
        })
    }

    /// Runs the guest without an exchange of its own, for callbacks of the root context. Those of held streams
    /// are at hand in both cases.
    pub(crate) fn with_vm<T>(
        &self,
        run: impl FnOnce(&mut Vm) -> Result<T, PluginFault>,
    ) -> Result<T, PluginFault> {
        let Some(mut vm) = self.vm.take() else {
            return Err(PluginFault::dead());
        };
        self.lend_held(&mut vm);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = run(&mut vm)?;
            vm.delete_done()?;
            Ok(result)
        }))
        .unwrap_or_else(|_panic| Err(PluginFault::host_panic()));
        self.lend_held(&mut vm);
        match &result {
            Ok(_) => {
                self.desk.settle(vm.store.data_mut());
                self.vm.set(Some(vm));
            }
            Err(fault) => self.bury(vm, fault),
        }
        result
    }

    /// To the store, and back.
    fn lend_held(&self, vm: &mut Vm) {
        let mut ours = self.held.borrow_mut();
        let theirs = &mut vm.store.data_mut().held;
        if !ours.is_empty() || !theirs.is_empty() {
            std::mem::swap(&mut *ours, theirs);
        }
    }

    /// Counts and logs the fault; the store is dropped on a control thread.
    fn bury(&self, vm: Box<Vm>, fault: &PluginFault) {
        self.alive.set(false);
        self.held.borrow_mut().wake_all();
        self.desk.abandon();
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
