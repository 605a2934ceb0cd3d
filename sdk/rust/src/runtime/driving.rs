//! Beginning, polling and ending the callbacks of messages.
//!
//! No borrow of the runtime lives while a callback is polled or dropped: tasks are taken out for that time.

use std::rc::Rc;
use std::task::Poll;

use super::stream::Stream;
use super::task::{AnyTask, Start, request_task, response_task};
use super::{CONTINUE, PAUSE, Runtime, fail};
use crate::abi::StreamKind;
use crate::waking::{Duty, next_woken};
use crate::{Error, Filter, Flow, Reply, host, place, property};

/// As many tasks as this are kept for what comes next.
const MOST_IDLE: usize = 32;

/// What the host is to do with a message now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Continue,
    Hold,
    /// The filter's own reply was sent in its place.
    Replied,
}

impl Verdict {
    fn action(self) -> u32 {
        match self {
            Verdict::Continue => CONTINUE,
            Verdict::Hold | Verdict::Replied => PAUSE,
        }
    }
}

/// What a message's callback begins with; None of both where the state is still in use.
enum Beginning<F: Filter> {
    Ready { root: u32, start: Start<F> },
    Deferred,
}

impl<F: Filter> Runtime<F> {
    pub(super) fn on_head(&self, context: u32, kind: StreamKind, bodiless: bool) -> u32 {
        place::enter(context);
        if !F::WAITS {
            let result = match kind {
                StreamKind::Request => self.request_at_once(context, bodiless),
                StreamKind::Response => self.response_at_once(context, bodiless),
            };
            return conclude(kind, result).action();
        }
        let verdict = self.begin(context, kind, bodiless);
        self.settle(context, kind, verdict)
    }

    pub(super) fn on_body(&self, context: u32, kind: StreamKind, size: usize, ended: bool) -> u32 {
        place::enter(context);
        let told = self.tell(context, kind, |task| task.arrivals().body(size, ended));
        if !told {
            return CONTINUE;
        }
        let verdict = self.poll(context, kind);
        self.settle(context, kind, verdict)
    }

    pub(super) fn on_trailers(&self, context: u32, kind: StreamKind) -> u32 {
        place::enter(context);
        if !self.tell(context, kind, |task| task.arrivals().trailers()) {
            return CONTINUE;
        }
        let verdict = self.poll(context, kind);
        self.settle(context, kind, verdict)
    }

    /// False where no callback is waiting: the message is none of the filter's business any more.
    fn tell(&self, context: u32, kind: StreamKind, tell: impl FnOnce(&AnyTask<F>)) -> bool {
        let mut streams = self.streams.borrow_mut();
        let task = streams.get_mut(&context).and_then(|stream| stream.half(kind).task.as_ref());
        task.map(tell).is_some()
    }

    /// Lets others run whom this callback woke, and then answers the host.
    fn settle(&self, context: u32, kind: StreamKind, mut verdict: Verdict) -> u32 {
        while let Some((woken, duty)) = next_woken() {
            if woken == context && duty == duty_of(kind) {
                place::act_for(context, place::root());
                verdict = self.poll(context, kind);
            } else {
                self.wake(woken, duty);
            }
        }
        if let Some(stream) = self.streams.borrow_mut().get_mut(&context) {
            stream.half(kind).held = verdict == Verdict::Hold;
        }
        verdict.action()
    }

    /// Polls everything that was woken.
    pub(super) fn drive(&self) {
        while F::WAITS
            && let Some((context, duty)) = next_woken()
        {
            self.wake(context, duty);
        }
    }

    fn wake(&self, context: u32, duty: Duty) {
        match duty {
            Duty::Request => self.resume(context, StreamKind::Request),
            Duty::Response => self.resume(context, StreamKind::Response),
            Duty::Background => self.poll_background(context),
        }
    }

    fn poll_background(&self, root: u32) {
        let find = |plugin: &&mut super::PluginObject<F>| plugin.root == root;
        let background =
            self.plugins.borrow_mut().iter_mut().find(find).and_then(|p| p.background.take());
        let Some(mut background) = background else { return };
        if place::act_for(root, root) && background.poll() {
            return;
        }
        if let Some(plugin) = self.plugins.borrow_mut().iter_mut().find(find) {
            plugin.background = Some(background);
        }
    }

    /// Polls a callback outside of its message's own turn, and tells the host when the message may go on.
    fn resume(&self, context: u32, kind: StreamKind) {
        let root = match self.streams.borrow().get(&context) {
            Some(stream) => stream.root,
            None => return,
        };
        if !place::act_for(context, root) {
            return;
        }
        let verdict = self.poll(context, kind);
        self.let_go(context, kind, verdict);
    }

    fn let_go(&self, context: u32, kind: StreamKind, verdict: Verdict) {
        let held = match self.streams.borrow_mut().get_mut(&context) {
            Some(stream) => std::mem::take(&mut stream.half(kind).held),
            None => false,
        };
        match verdict {
            Verdict::Continue if held => {
                if let Err(error) = host::continue_stream(kind) {
                    fail(name_of(kind), error);
                }
            }
            Verdict::Hold if held => {
                if let Some(stream) = self.streams.borrow_mut().get_mut(&context) {
                    stream.half(kind).held = true;
                }
            }
            _ => {}
        }
    }

    fn begin(&self, context: u32, kind: StreamKind, bodiless: bool) -> Verdict {
        let (root, start) = match self.beginning(context, kind, bodiless) {
            Beginning::Ready { root, start } => (root, start),
            Beginning::Deferred => return Verdict::Hold,
        };
        place::act_for(context, root);
        let filter = start.filter.clone();
        let idle = self.idle(kind).borrow_mut().pop();
        let mut task = idle.unwrap_or_else(|| match kind {
            StreamKind::Request => request_task(),
            StreamKind::Response => response_task(),
        });
        task.begin(start);
        self.advance(context, kind, task, || Stream::new(root, filter, None))
    }

    fn beginning(&self, context: u32, kind: StreamKind, bodiless: bool) -> Beginning<F> {
        let ready = |root: u32, filter: Rc<F>, state: Option<F::State>| {
            let state = state.unwrap_or_default();
            Beginning::Ready { root, start: Start { context, filter, state, bodiless } }
        };
        let mut streams = self.streams.borrow_mut();
        let Some(stream) = streams.get_mut(&context) else {
            return match self.only_filter() {
                Some((root, filter)) => ready(root, filter, None),
                None => fail(name_of(kind), "called for a request that has not begun"),
            };
        };
        let in_use = !Self::REMEMBERS_NOTHING && stream.state.is_none();
        if in_use && kind == StreamKind::Response {
            if came_from_upstream() {
                stream.half(kind).deferred = Some(bodiless);
                return Beginning::Deferred;
            }
            drop(streams);
            self.end_task(context, StreamKind::Request);
            return self.beginning_after(context, ready);
        }
        ready(stream.root, stream.filter.clone(), stream.state.take())
    }

    /// The request's callback was given up; its state is there.
    fn beginning_after(
        &self,
        context: u32,
        ready: impl Fn(u32, Rc<F>, Option<F::State>) -> Beginning<F>,
    ) -> Beginning<F> {
        match self.streams.borrow_mut().get_mut(&context) {
            Some(stream) => ready(stream.root, stream.filter.clone(), stream.state.take()),
            None => fail("response", "called for a request that has not begun"),
        }
    }

    /// Polls the callback of a message, if there is one.
    fn poll(&self, context: u32, kind: StreamKind) -> Verdict {
        let (task, deferred) = match self.streams.borrow_mut().get_mut(&context) {
            Some(stream) => {
                let half = stream.half(kind);
                (half.task.take(), half.deferred.is_some())
            }
            None => (None, false),
        };
        match task {
            Some(task) => self.advance(context, kind, task, || fail(name_of(kind), "no request")),
            None if deferred => Verdict::Hold,
            None => Verdict::Continue,
        }
    }

    /// Polls a task: it ends, or waits in its stream, which is made where there is none.
    fn advance(
        &self,
        context: u32,
        kind: StreamKind,
        mut task: AnyTask<F>,
        make: impl FnOnce() -> Stream<F>,
    ) -> Verdict {
        match task.poll() {
            Poll::Ready(result) => {
                self.retire(context, kind, task);
                let verdict = conclude(kind, result);
                self.begin_deferred(context, kind);
                verdict
            }
            Poll::Pending => {
                let may_pass = task.arrivals().may_pass();
                if may_pass {
                    task.arrivals().passed();
                }
                let mut streams = self.streams.borrow_mut();
                let stream = streams.entry(context).or_insert_with(make);
                stream.half(kind).task = Some(task);
                if may_pass { Verdict::Continue } else { Verdict::Hold }
            }
        }
    }

    /// A response that waited for the request's callback to give the state back.
    fn begin_deferred(&self, context: u32, ended: StreamKind) {
        if ended == StreamKind::Response || Self::REMEMBERS_NOTHING {
            return;
        }
        let deferred = match self.streams.borrow_mut().get_mut(&context) {
            Some(stream) => stream.half(StreamKind::Response).deferred.take(),
            None => None,
        };
        if let Some(bodiless) = deferred {
            let verdict = self.begin(context, StreamKind::Response, bodiless);
            self.let_go(context, StreamKind::Response, verdict);
        }
    }

    /// Drops what the callbacks of an exchange still wait for.
    pub(super) fn abandon(&self, context: u32) {
        self.end_task(context, StreamKind::Request);
        self.end_task(context, StreamKind::Response);
    }

    fn end_task(&self, context: u32, kind: StreamKind) {
        let task = match self.streams.borrow_mut().get_mut(&context) {
            Some(stream) => stream.half(kind).task.take(),
            None => None,
        };
        if let Some(task) = task {
            self.retire(context, kind, task);
        }
    }

    /// The state goes back to the stream, the task to those that wait for work.
    fn retire(&self, context: u32, kind: StreamKind, mut task: AnyTask<F>) {
        let state = task.end();
        if !Self::REMEMBERS_NOTHING
            && let Some(stream) = self.streams.borrow_mut().get_mut(&context)
        {
            stream.state = state;
        }
        let mut idle = self.idle(kind).borrow_mut();
        if idle.len() < MOST_IDLE {
            idle.push(task);
        }
    }

    fn idle(&self, kind: StreamKind) -> &std::cell::RefCell<Vec<AnyTask<F>>> {
        let [requests, responses] = &self.idle;
        match kind {
            StreamKind::Request => requests,
            StreamKind::Response => responses,
        }
    }
}

/// A reply stops the request whatever else happens to it.
fn conclude(kind: StreamKind, result: Result<Flow, Error>) -> Verdict {
    let reply = match result {
        Ok(Flow::Continue) => return Verdict::Continue,
        Ok(Flow::Reply(reply)) => Ok(reply),
        Err(error) => error.into_reply(),
    };
    match reply.and_then(|reply: Reply| reply.send().map_err(Into::into)) {
        Ok(()) => Verdict::Replied,
        Err(error) => fail(name_of(kind), error),
    }
}

fn duty_of(kind: StreamKind) -> Duty {
    match kind {
        StreamKind::Request => Duty::Request,
        StreamKind::Response => Duty::Response,
    }
}

fn name_of(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Request => "request",
        StreamKind::Response => "response",
    }
}

/// Replies of the host itself say why they were given.
fn came_from_upstream() -> bool {
    property::RESPONSE_CODE_DETAILS.read().is_none_or(|details| details == "via_upstream")
}
