//! One instance's dealings with its worker: calls under way and ticks.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::agenda::{Agenda, Begun, Caller};
use crate::call_line::{CallLine, Hangup};
use crate::errands::{Brought, CallId, CallKind, Errand};
use crate::shared::{Doorbell, Scope};
use crate::state::GuestState;

/// What an instance keeps of its errands outside of its guest.
pub(crate) struct Desk {
    role: Role,
    agenda: Rc<Agenda>,
    caller: Weak<dyn Caller>,
    scope: Arc<Scope>,
    bell: Arc<Doorbell>,
    lines: RefCell<FxHashMap<u32, Line>>,
    tick: Cell<Option<Tick>>,
}

/// Whether an instance is there between requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is: ticks and queues are its own.
    Lasting,
    /// It goes with its request: another one ticks and listens.
    Sandbox,
}

/// A call under way.
struct Line {
    /// The stream in which it was made, while that lasts; `None` for the root context's.
    stream: Option<u32>,
    kind: CallKind,
    brought: Brought,
    line: Rc<CallLine>,
}

#[derive(Clone, Copy)]
struct Tick {
    period: Duration,
    next: Instant,
}

impl Desk {
    /// The desk of an instance that this worker has just taken, with what its guest asked for at its start.
    pub(crate) fn open(
        agenda: Rc<Agenda>,
        caller: Weak<dyn Caller>,
        state: &mut GuestState,
        role: Role,
    ) -> Self {
        let bell = state.errands.bell.clone();
        let scope = state.facts.scope.clone();
        if role == Role::Lasting {
            bell.answered_by(agenda.waker());
            scope.queues.announce_all();
        }
        let (lines, tick) = (RefCell::default(), Cell::new(None));
        let desk = Desk { role, agenda, caller, scope, bell, lines, tick };
        desk.settle(state);
        desk
    }

    /// Takes up what a callback asked for.
    pub(crate) fn settle(&self, state: &mut GuestState) {
        self.hang_up_for_the_gone(state);
        if !std::mem::take(&mut state.errands.has_news) {
            return;
        }
        self.set_tick(state.errands.tick);
        for (context, errand) in std::mem::take(&mut state.errands.outbox) {
            let stream = state.streams.contains(&context).then_some(context);
            self.take_up(errand, stream);
        }
    }

    fn take_up(&self, errand: Errand, stream: Option<u32>) {
        match errand {
            Errand::Begin(call, brought) => {
                let line = Rc::new(CallLine::default());
                let kept = Line { stream, kind: call.kind, brought, line: line.clone() };
                self.lines.borrow_mut().insert(call.id.0, kept);
                let caller = self.caller.clone();
                self.agenda.begin(Begun { caller, call: *call, line });
            }
            Errand::Send(call, message) => self.on_line(call, |line| line.send(message)),
            Errand::Overrun(call) => self.break_off(call),
            Errand::EndSending(call) => self.on_line(call, CallLine::end_sending),
            Errand::Cancel(call) => {
                if let Some(line) = self.lines.borrow_mut().remove(&call.0) {
                    line.line.hang_up(Hangup::Cancelled);
                }
            }
        }
    }

    fn on_line(&self, call: CallId, what: impl FnOnce(&CallLine)) {
        if let Some(line) = self.lines.borrow().get(&call.0) {
            what(&line.line);
        }
    }

    /// The call is over. Who brought it about; `None` where nobody awaits it any more.
    pub(crate) fn end_call(&self, call: CallId) -> Option<Brought> {
        self.lines.borrow_mut().remove(&call.0).map(|line| line.brought)
    }

    /// What kind of call the guest still awaits, and who brought it about; `None` where it does not.
    pub(crate) fn awaited(&self, call: CallId) -> Option<(CallKind, Brought)> {
        self.lines.borrow().get(&call.0).map(|line| (line.kind, line.brought))
    }

    /// The guest is sent more than it may take: the call fails.
    pub(crate) fn break_off(&self, call: CallId) {
        self.on_line(call, |line| line.hang_up(Hangup::TooMuchWaiting));
    }

    /// Whether calls are under way that end by themselves.
    pub(crate) fn awaits_results(&self) -> bool {
        self.lines.borrow().values().any(|line| line.kind != CallKind::GrpcStream)
    }

    /// Nobody needs the results of the calls of streams that are over. The guest waits for them still, so it is told
    /// that they failed, on its root context.
    fn hang_up_for_the_gone(&self, state: &GuestState) {
        let mut lines = self.lines.borrow_mut();
        if lines.is_empty() {
            return;
        }
        for line in lines.values_mut() {
            if line.stream.is_some_and(|stream| !state.streams.contains(&stream)) {
                line.stream = None;
                line.line.hang_up(Hangup::StreamClosed);
            }
        }
    }

    /// The guest is gone.
    pub(crate) fn abandon(&self) {
        for (_, line) in self.lines.borrow_mut().drain() {
            line.line.hang_up(Hangup::Cancelled);
        }
        self.retire();
    }

    /// When its next tick is due.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        self.tick.get().map(|tick| tick.next)
    }

    /// Whether a tick is due; the next one is then a period away.
    pub(crate) fn take_tick(&self, now: Instant) -> bool {
        match self.tick.get() {
            Some(Tick { period, next }) if next <= now => {
                self.tick.set(Some(Tick { period, next: now + period }));
                true
            }
            _ => false,
        }
    }

    /// The next queue that it is to be told of.
    pub(crate) fn take_queue(&self) -> Option<u32> {
        self.bell.take()
    }

    /// Whether there is another.
    pub(crate) fn has_queues(&self) -> bool {
        self.bell.has_rung()
    }

    /// Its plugin was replaced: streams in it go on, ticks and queues are the newer one's.
    pub(crate) fn retire(&self) {
        if self.role == Role::Sandbox {
            return;
        }
        self.tick.set(None);
        self.scope.queues.give_back(&self.bell);
    }

    fn set_tick(&self, period: Option<Duration>) {
        let before = self.tick.get();
        if self.role == Role::Sandbox || before.map(|tick| tick.period) == period {
            return;
        }
        self.tick.set(period.map(|period| Tick { period, next: Instant::now() + period }));
        self.agenda.stir();
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.abandon();
    }
}
