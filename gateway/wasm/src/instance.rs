//! A worker's instance of a plugin: how its guest is lent what it works on, and buried when it fails.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use portcullis_exchange::Exchange;
use portcullis_telemetry::PluginPhase;
use rustc_hash::FxHashSet;

use crate::agenda::Agenda;
use crate::background::{Background, Lane};
use crate::breaker::Opened;
use crate::budget::UNSEEN;
use crate::desk::{Desk, Role};
use crate::effects::{Direction, FaultKind, PluginFault, Resumed, StreamId};
use crate::held::{HeldStreams, Parked};
use crate::slow_call::SlowCalls;
use crate::state::{PluginFacts, ROOT_CONTEXT};
use crate::stopwatch::Stopwatch;
use crate::usage::{Spent, Usage};
use crate::vm::Vm;

/// One warm guest that serves many requests of one worker, called synchronously and never re-entered.
///
/// After a fault the instance is dead: every later callback of any stream says so, and
/// [`WorkerInstances`](crate::WorkerInstances) hands out another.
pub struct Instance {
    facts: Arc<PluginFacts>,
    background: Arc<Background>,
    /// Taken out while the guest runs, and for good when it fails: what panics or re-enters finds nothing.
    pub(crate) vm: Cell<Option<Box<Vm>>>,
    alive: Cell<bool>,
    next_stream: Cell<u32>,
    /// In the guest's store while it runs.
    pub(crate) held: RefCell<HeldStreams>,
    pub(crate) desk: Desk,
    /// The streams that have met its failure, or their own.
    failed: RefCell<FxHashSet<u32>>,
    pub(crate) usage: Usage,
    stopwatch: Stopwatch,
    /// The time of the callback that ran last has been counted: it was long.
    pub(crate) counted: Cell<bool>,
    long: Cell<Duration>,
    /// Whether its plugin works again shows at its next callback.
    on_trial: Cell<bool>,
    lasting: Lasting,
    /// How long its callbacks run before others have their turn; `None` runs them at once.
    pub(crate) slice: Option<Duration>,
    /// Those of them that gave way.
    pub(crate) slow: SlowCalls,
    me: Weak<Instance>,
    /// Itself, while it awaits results after its request has ended.
    kept: Cell<Option<Rc<Instance>>>,
}

/// How long an instance lasts.
pub(crate) enum Lasting {
    /// Beyond requests.
    Beyond,
    /// As long as its request; it has one of the places for such.
    Request { _place: SandboxPlace },
}

/// A place among the sandboxes that one worker may have of a plugin. It is free again once this is dropped.
pub(crate) struct SandboxPlace(Rc<Cell<u32>>);

impl SandboxPlace {
    /// A place where fewer than so many are taken.
    pub(crate) fn take(taken: &Rc<Cell<u32>>, most: u32) -> Option<Self> {
        let next = taken.get() + 1;
        (next <= most).then(|| {
            taken.set(next);
            SandboxPlace(taken.clone())
        })
    }
}

impl Drop for SandboxPlace {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// What an instance is made with.
pub(crate) struct Setting {
    pub(crate) facts: Arc<PluginFacts>,
    pub(crate) background: Arc<Background>,
    pub(crate) agenda: Rc<Agenda>,
    pub(crate) usage: Usage,
    pub(crate) lasting: Lasting,
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
    pub(crate) fn new(mut vm: Box<Vm>, setting: Setting, me: Weak<Instance>) -> Self {
        let Setting { facts, background, agenda, usage, lasting } = setting;
        let role = match lasting {
            Lasting::Beyond => Role::Lasting,
            Lasting::Request { .. } => Role::Sandbox,
        };
        let slice = facts.settings.limits.slice.filter(|_| role == Role::Sandbox);
        Instance {
            slice,
            slow: SlowCalls::default(),
            desk: Desk::open(agenda, me.clone(), vm.store.data_mut(), role),
            facts,
            background,
            usage,
            stopwatch: Stopwatch::new(),
            counted: Cell::new(false),
            long: Cell::default(),
            on_trial: Cell::new(false),
            lasting,
            me,
            kept: Cell::default(),
            vm: Cell::new(Some(vm)),
            alive: Cell::new(true),
            next_stream: Cell::new(ROOT_CONTEXT + 1),
            held: RefCell::default(),
            failed: RefCell::default(),
        }
    }

    /// A number for a new request. The guest learns of it at its first callback.
    pub fn open_stream(&self) -> StreamId {
        self.usage.begin_request();
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

    /// Whether the caller of the next callback is to measure how long it takes, and [charge](Self::charge) that. Where
    /// the last ones were short, few are: those that turn out to be long are noticed all the same.
    pub fn times_next(&self) -> bool {
        self.stopwatch.times_next()
    }

    /// A callback that nobody measured has ended: its processor time, where it was so long that it was noticed. Others
    /// are to be [counted](Self::take_untimed) with the next one that is measured.
    pub fn end_untimed(&self, phase: PluginPhase) -> Option<Duration> {
        if self.counted.take() {
            return Some(self.long.get());
        }
        self.stopwatch.add_untimed(phase);
        None
    }

    /// How many callbacks of a phase nobody measured, since this was last asked.
    pub fn take_untimed(&self, phase: PluginPhase) -> u32 {
        self.stopwatch.take_untimed(phase)
    }

    /// Counts the time of the stream's last callback, as its caller has measured it, against the budgets of the request
    /// and of the worker. Those that were long have been counted by the processor's clock.
    pub fn charge(&self, stream: StreamId, began: Instant, took: Duration) {
        self.stopwatch.note(took);
        if !self.counted.take() {
            self.count_time(Some(stream.0), began + took, Self::at_most_uncounted(took));
        }
    }

    /// What a callback can have used that never came to its deadline. However long it took by the wall clock: a busy
    /// machine lets its thread wait, which is not its fault.
    fn at_most_uncounted(took: Duration) -> Duration {
        took.min(UNSEEN)
    }

    /// The same of a callback for a connection whose bytes are passed on: however long it lasts, no budget of a request
    /// ends it.
    pub fn charge_connection(&self, began: Instant, took: Duration) {
        self.charge_root(began, took);
    }

    /// The same of a tick or of an element of a queue.
    pub(crate) fn charge_unasked(&self, began: Instant, took: Duration) {
        if !self.counted.take() {
            let took = Self::at_most_uncounted(took);
            self.tell_spent(self.usage.charge_unasked(began + took, took));
        }
    }

    /// The same of what a callback cost beside its own time.
    pub(crate) fn charge_cost(&self, now: Instant, cost: Duration) {
        self.tell_spent(self.usage.charge_unasked(now, cost));
    }

    /// The same of a callback for no stream.
    pub(crate) fn charge_root(&self, began: Instant, took: Duration) {
        if !self.counted.take() {
            self.count_time(None, began + took, Self::at_most_uncounted(took));
        }
    }

    fn count_time(&self, stream: Option<u32>, now: Instant, took: Duration) {
        self.tell_spent(self.usage.charge(stream, now, took));
    }

    /// A client has a say in how much there is to do for its request, so that what takes long in all is no failure that
    /// would open the breaker for others.
    fn tell_spent(&self, spent: Spent) {
        let plugin = &*self.facts.name;
        match spent {
            Spent::Within => return,
            Spent::RequestBudget => {
                tracing::error!(
                    plugin,
                    "took too long for one request, with all callbacks together"
                );
            }
            Spent::Share => {
                tracing::error!(
                    plugin,
                    "took too much of a worker's time, and has to cool down there"
                );
            }
        }
        self.facts.metrics.budget_exceeded.fetch_add(1, Relaxed);
    }

    fn count_failure(&self) {
        if self.facts.breaker.fail() == Opened::Yes {
            tracing::error!(
                plugin = &*self.facts.name,
                "failed too often: its fail strategy answers, until a trial goes well"
            );
        }
    }

    /// Its next callback is a trial of its plugin.
    pub(crate) fn put_on_trial(&self) {
        self.on_trial.set(true);
    }

    /// A request has ended: what lasts no longer than that waits for the results that it has asked for.
    pub(crate) fn end_request(&self, stream: StreamId) {
        self.usage.forget(stream.0);
        let mut failed = self.failed.borrow_mut();
        if !failed.is_empty() {
            failed.remove(&stream.0);
        }
        if matches!(self.lasting, Lasting::Request { .. }) && self.desk.awaits_results() {
            self.kept.set(self.me.upgrade());
        }
    }

    /// A result has come.
    pub(crate) fn end_waiting(&self) {
        if !self.desk.awaits_results() {
            self.kept.take();
        }
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
        self.lend(Some(exchange), run)
    }

    /// Runs the guest without an exchange of its own, for callbacks of the root context. Those of held streams
    /// are at hand in both cases.
    pub(crate) fn with_vm<T>(
        &self,
        run: impl FnOnce(&mut Vm) -> Result<T, PluginFault>,
    ) -> Result<T, PluginFault> {
        self.lend(None, run)
    }

    fn lend<T>(
        &self,
        mut exchange: Option<&mut Box<Exchange>>,
        run: impl FnOnce(&mut Vm) -> Result<T, PluginFault>,
    ) -> Result<T, PluginFault> {
        if self.slice.is_some() {
            self.run_out();
        }
        let Some(mut vm) = self.vm.take() else {
            return Err(PluginFault::dead());
        };
        self.counted.set(false);
        self.lend_held(&mut vm);
        if let Some(exchange) = &mut exchange {
            std::mem::swap(&mut vm.store.data_mut().exchange, *exchange);
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = run(&mut vm)?;
            if !vm.store.data().done.is_empty() {
                // Their requests are others.
                vm.give_back(&mut exchange);
                vm.delete_done()?;
            }
            Ok(result)
        }))
        .unwrap_or_else(|_panic| Err(PluginFault::host_panic()));
        vm.give_back(&mut exchange);
        self.lend_held(&mut vm);
        match &result {
            Ok(_) => self.settle(vm),
            Err(fault) => self.bury(vm, fault),
        }
        result
    }

    /// It serves nobody any more, and whoever has a stream in it finds that out.
    pub(crate) fn die(&self) {
        self.alive.set(false);
        self.held.borrow_mut().wake_all();
        self.desk.abandon();
    }

    /// What follows a callback that went well.
    pub(crate) fn settle(&self, mut vm: Box<Vm>) {
        let state = vm.store.data_mut();
        self.desk.settle(state);
        self.usage.note_memory(&state.account);
        if let Some(long) = state.time.take_long() {
            let of_request =
                state.running != ROOT_CONTEXT && !state.connections.contains(&state.running);
            let stream = of_request.then_some(state.running);
            self.counted.set(true);
            self.long.set(long);
            self.stopwatch.note(long);
            self.count_time(stream, Instant::now(), long);
        }
        if self.on_trial.take() {
            self.facts.breaker.close();
            tracing::info!(plugin = &*self.facts.name, "works again");
        }
        self.vm.set(Some(vm));
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
    pub(crate) fn bury(&self, vm: Box<Vm>, fault: &PluginFault) {
        self.die();
        let (phase, tallies) = (vm.store.data().phase.told(), &self.facts.metrics.tallies);
        self.facts.faults.note(tallies, phase, fault);
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
        self.count_failure();
        let _ = self.background.try_run(Lane::Quick, move || drop(vm));
    }
}

/// A guest's memory is given back on the control thread, not between two requests of the worker; but that of a sandbox
/// costs less than the way there.
impl Drop for Instance {
    fn drop(&mut self) {
        if let Lasting::Beyond = self.lasting
            && let Some(vm) = self.vm.take()
        {
            let _ = self.background.try_run(Lane::Quick, move || drop(vm));
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
