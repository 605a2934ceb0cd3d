//! What one connection is doing, since when, and what it has been told: read and written by its own worker
//! only, so that a request pays a few plain stores for all its deadlines.

mod deadlines;
mod open_request;
#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::BytesMut;
use portcullis_proxy::Progress;

use crate::clock::{Clock, Stage};
use crate::limits::Limits;

pub(crate) use self::open_request::OpenRequest;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The TLS handshake, or what comes before it.
    Handshake,
    /// No byte of HTTP has come yet.
    Greeting,
    /// A request head is coming in (HTTP/1).
    Head,
    /// Requests are being served.
    Busy,
    /// The rest of a body that nobody wants is coming in (HTTP/1).
    Draining,
    /// Between two requests.
    Idle,
}

/// What a connection has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Serve,
    /// Let the next response say that it is the last: `Connection: close`, GOAWAY.
    Retire,
    /// The same, and do not wait for a request.
    Finish,
    /// Go now.
    Cut,
}

/// The state of one connection, shared between its task, its I/O, its requests and the worker's sweep.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Rc<Clock>,
    limits: Cell<Limits>,
    phase: Cell<Phase>,
    since: Cell<u32>,
    born: u32,
    luck: u8,
    open_requests: Cell<u32>,
    served: Cell<bool>,
    order: Cell<Order>,
    /// Bytes of replies that went out since the phase began.
    sent: Cell<u64>,
    /// The request that is being served (HTTP/1), or has just begun (HTTP/2).
    request: RefCell<Option<Rc<Progress>>>,
    deaf: Cell<bool>,
    waker: OnceCell<Waker>,
}

impl Activity {
    /// A connection that was just accepted. `luck` is any number; it spreads the ends of old connections.
    pub(crate) fn new(clock: Rc<Clock>, limits: Limits, luck: u8) -> Rc<Self> {
        let now = clock.seconds();
        Rc::new(Activity {
            clock,
            limits: Cell::new(limits),
            phase: Cell::new(Phase::Handshake),
            since: Cell::new(now),
            born: now,
            luck,
            open_requests: Cell::new(0),
            served: Cell::new(false),
            order: Cell::new(Order::Serve),
            sent: Cell::new(0),
            request: RefCell::new(None),
            deaf: Cell::new(false),
            waker: OnceCell::new(),
        })
    }

    #[cfg(test)]
    pub(crate) fn for_test(clock: Rc<Clock>) -> Rc<Self> {
        Self::new(clock, Limits::default(), 0)
    }

    /// Another policy applies from now on.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
    }

    /// What is asked of the connection.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// Runs a connection until it ends or is cut.
    pub(crate) async fn attend(&self, connection: impl Future<Output = ()>) {
        let mut connection = pin!(connection);
        poll_fn(|cx| {
            // A task keeps its waker for life, so it is stored once.
            self.waker.get_or_init(|| cx.waker().clone());
            if self.order.get() == Order::Cut {
                return Poll::Ready(());
            }
            connection.as_mut().poll(cx)
        })
        .await;
    }

    /// The handshake is over, or there is none: the first byte has its own time.
    pub(crate) fn begin_waiting(&self) {
        self.enter(Phase::Greeting);
    }

    /// The first bytes of a request head came.
    pub(crate) fn begin_head(&self) {
        if matches!(self.phase.get(), Phase::Idle | Phase::Greeting) {
            self.enter(Phase::Head);
        }
    }

    /// HTTP/2 is spoken from here on: silence between streams is idleness.
    pub(crate) fn begin_multiplexing(&self) {
        self.enter(Phase::Idle);
    }

    /// Bytes are passed on from here on, which has deadlines of its own.
    pub(crate) fn begin_passing_on(&self) {
        self.enter(Phase::Busy);
    }

    /// The client's first byte came (HTTP/2).
    pub(crate) fn heard(&self) {
        if self.phase.get() == Phase::Greeting {
            self.begin_multiplexing();
        }
    }

    /// The reply is out, and the rest of its request is read only to find the next one (HTTP/1).
    pub(crate) fn begin_draining(&self) {
        self.enter(Phase::Draining);
    }

    /// That was it.
    pub(crate) fn end_draining(&self) {
        self.enter(Phase::Idle);
    }

    /// Nothing is read now that would show that the client left: it is to be asked again in a second (HTTP/1).
    pub(crate) fn turn_deaf(&self) {
        self.deaf.set(true);
    }

    /// So many bytes went out; `waiting` are there that the client does not take (HTTP/1).
    pub(crate) fn wrote(&self, bytes: usize, waiting: usize) {
        if let Some(request) = &*self.request.borrow() {
            request.took(bytes);
            request.owes(waiting > 0);
        }
    }

    /// So many bytes of replies went out (HTTP/2).
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.set(self.sent.get().saturating_add(bytes));
    }

    /// The request that has just begun, for the task that is to serve it (HTTP/2).
    pub(crate) fn take_newest(&self) -> Option<Rc<Progress>> {
        self.request.take()
    }

    /// The client of the request that is being served can be sent interim replies (HTTP/1).
    pub(crate) fn accept_interim_replies(&self) {
        if let Some(request) = &*self.request.borrow() {
            request.accept_interim_replies();
        }
    }

    /// The interim replies to that request that came meanwhile (HTTP/1).
    pub(crate) fn take_interim_replies(&self) -> Option<BytesMut> {
        self.request.borrow().as_ref()?.take_interim_replies()
    }

    /// Whether the request that is being served is to be broken off (HTTP/1).
    pub(crate) fn is_overdue(&self) -> bool {
        self.request.borrow().as_ref().is_some_and(|request| request.is_overdue())
    }

    /// Whether an HTTP/1 connection should stop after what it is serving. A head on its way in is waited
    /// for: its sender could not know.
    pub(crate) fn wants_close(&self) -> bool {
        self.is_leaving() && matches!(self.phase.get(), Phase::Busy | Phase::Draining | Phase::Idle)
    }

    /// Whether the response that is about to be written is the last of an HTTP/1 connection.
    pub(crate) fn answers_last(&self) -> bool {
        self.is_leaving() || self.order.get() == Order::Retire
    }

    /// Whether an HTTP/2 connection should say GOAWAY. During a drain a new connection gets to send its
    /// first request before it is sent away.
    pub(crate) fn wants_goaway(&self) -> bool {
        self.answers_last() || (self.clock.stage() == Stage::Draining && self.served.get())
    }

    /// Requests that it has under way.
    pub(crate) fn open_requests(&self) -> u32 {
        self.open_requests.get()
    }

    /// The worker's coarse time.
    pub(crate) fn seconds(&self) -> u32 {
        self.clock.seconds()
    }

    /// Asks the connection to go after what it is serving.
    pub(crate) fn finish(&self) {
        self.order.set(self.order.get().max(Order::Finish));
        self.wake();
    }

    /// Ends the connection at once.
    pub(crate) fn cut(&self) {
        self.order.set(Order::Cut);
        self.wake();
    }

    #[cfg(test)]
    pub(crate) fn is_reading_head(&self) -> bool {
        self.phase.get() == Phase::Head
    }

    #[cfg(test)]
    pub(crate) fn is_cut(&self) -> bool {
        self.order.get() == Order::Cut
    }

    /// Has the connection look at its state again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    fn is_leaving(&self) -> bool {
        self.order.get() >= Order::Finish || self.clock.stage() == Stage::Closing
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.clock.seconds());
        self.sent.set(0);
    }
}
