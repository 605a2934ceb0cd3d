//! What one connection is doing, since when, and what it has been told: read and written by its own worker
//! only, so that a request pays a few plain stores for all its deadlines.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use portcullis_proxy::{Progress, RequestPlace};

use crate::clock::{Clock, Stage};
use crate::limits::Limits;

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

/// Bytes a second below which a client that still reads its last replies counts as idle (HTTP/2).
const READING: u64 = 100;

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

    /// Ends or cuts the connection if it has been silent for too long, or has become too old.
    pub(crate) fn enforce(&self) {
        let limits = self.limits.get();
        match self.phase.get() {
            Phase::Handshake => self.cut_after(limits.handshake),
            Phase::Greeting => self.cut_after(limits.first_byte_at(self.clock.stage())),
            Phase::Head => self.cut_after(limits.head),
            Phase::Draining => self.cut_after(limits.farewell),
            Phase::Idle
                if self.order.get() == Order::Finish && self.is_idle_for(limits.farewell) =>
            {
                self.cut();
            }
            Phase::Idle if self.order.get() < Order::Finish && self.is_idle_for(limits.idle) => {
                self.enter(Phase::Idle);
                self.finish();
            }
            Phase::Busy if self.deaf.take() || self.is_overdue() => self.wake(),
            Phase::Busy | Phase::Idle => {}
        }
        let age = self.clock.seconds().saturating_sub(self.born);
        if self.order.get() == Order::Serve && age > limits.age_for(self.luck) {
            self.order.set(Order::Retire);
            self.wake();
        }
    }

    fn cut_after(&self, seconds: u32) {
        if self.lasts(seconds) {
            self.cut();
        }
    }

    /// Whether it has been idle for so long. A client that still reads is not, as long as it does so at some
    /// speed: its time begins anew.
    fn is_idle_for(&self, seconds: u32) -> bool {
        if !self.lasts(seconds) {
            return false;
        }
        let reads = self.sent.get() > READING * u64::from(seconds);
        if reads {
            self.enter(Phase::Idle);
        }
        !reads
    }

    fn is_leaving(&self) -> bool {
        self.order.get() >= Order::Finish || self.clock.stage() == Stage::Closing
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.clock.seconds());
        self.sent.set(0);
    }

    /// Whether the phase has lasted for so many seconds in full; ticks count whole seconds, so one more.
    fn lasts(&self, seconds: u32) -> bool {
        self.clock.seconds().saturating_sub(self.since.get()) > seconds
    }
}

/// One request from its head to the end of its response; counted while it exists.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    activity: Rc<Activity>,
    place: RequestPlace,
}

impl OpenRequest {
    /// The present request of an HTTP/1 connection, whose reply is what is written there; on HTTP/2 the newest
    /// one, until its task [takes it over](Activity::take_newest).
    pub(crate) fn begin(activity: &Rc<Activity>, place: RequestPlace) -> Self {
        activity.open_requests.set(activity.open_requests.get() + 1);
        activity.served.set(true);
        activity.phase.set(Phase::Busy);
        *activity.request.borrow_mut() = Some(place.progress().clone());
        OpenRequest { activity: activity.clone(), place }
    }

    #[cfg(test)]
    pub(crate) fn for_test(activity: &Rc<Activity>) -> Self {
        Self::begin(activity, Rc::new(portcullis_proxy::UnderWay::default()).enter())
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> &Rc<Progress> {
        self.place.progress()
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.activity.request.take();
        let left = self.activity.open_requests.get().saturating_sub(1);
        self.activity.open_requests.set(left);
        if left == 0 {
            self.activity.enter(Phase::Idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose first byte is awaited.
    fn connection() -> (Rc<Clock>, Rc<Activity>) {
        let clock = Rc::new(Clock::default());
        let activity = Activity::for_test(clock.clone());
        activity.begin_waiting();
        (clock, activity)
    }

    fn after(clock: &Clock, activity: &Activity, seconds: u32) -> Order {
        clock.set_seconds(clock.seconds() + seconds);
        activity.enforce();
        activity.order.get()
    }

    #[test]
    fn a_silent_connection_is_cut_after_ten_seconds() {
        let (clock, activity) = connection();
        assert_eq!(after(&clock, &activity, 10), Order::Serve);
        assert_eq!(after(&clock, &activity, 1), Order::Cut);
    }

    #[test]
    fn a_handshake_has_a_time_of_its_own() {
        let clock = Rc::new(Clock::default());
        let limits = Limits { handshake: 3, ..Limits::default() };
        let stalled = Activity::new(clock.clone(), limits, 0);
        let done = Activity::new(clock.clone(), limits, 0);
        clock.set_seconds(3);
        done.begin_waiting();
        assert_eq!(after(&clock, &stalled, 1), Order::Cut);
        assert_eq!(after(&clock, &done, 9), Order::Serve);
        assert_eq!(after(&clock, &done, 1), Order::Cut);
    }

    #[test]
    fn a_dribbled_head_has_ten_seconds_in_all() {
        let (clock, activity) = connection();
        activity.begin_head();
        assert_eq!(after(&clock, &activity, 6), Order::Serve);
        activity.begin_head();
        assert_eq!(after(&clock, &activity, 5), Order::Cut);
    }

    #[test]
    fn idleness_lasts_longer_than_an_alb_keeps_its_connections() {
        let (clock, activity) = connection();
        drop(OpenRequest::for_test(&activity));
        assert_eq!(after(&clock, &activity, 75), Order::Serve);
        assert_eq!(after(&clock, &activity, 1), Order::Finish);
        assert!(activity.wants_close());
        assert_eq!(after(&clock, &activity, 11), Order::Cut);
    }

    #[test]
    fn another_policy_applies_at_once() {
        let (clock, activity) = connection();
        drop(OpenRequest::for_test(&activity));
        assert_eq!(after(&clock, &activity, 50), Order::Serve);
        activity.set_limits(Limits { idle: 20, ..Limits::default() });
        assert_eq!(after(&clock, &activity, 0), Order::Finish);
    }

    #[test]
    fn who_still_reads_is_not_idle_but_who_pings_is() {
        let (clock, reader) = connection();
        let pinger = Activity::for_test(clock.clone());
        for activity in [&reader, &pinger] {
            activity.begin_multiplexing();
            drop(OpenRequest::for_test(activity));
        }
        reader.sent(76 * 101);
        assert_eq!(after(&clock, &reader, 76), Order::Serve);
        // Acknowledgements are not sent to be read.
        assert_eq!(after(&clock, &pinger, 0), Order::Finish);
        reader.sent(75 * 99);
        assert_eq!(after(&clock, &reader, 76), Order::Finish);
        reader.sent(10 * 101);
        assert_eq!(after(&clock, &reader, 11), Order::Finish);
        assert_eq!(after(&clock, &reader, 11), Order::Cut);
    }

    #[test]
    fn the_rest_of_an_unwanted_body_has_its_time() {
        let (clock, activity) = connection();
        drop(OpenRequest::for_test(&activity));
        activity.begin_draining();
        assert_eq!(after(&clock, &activity, 10), Order::Serve);
        assert!(!activity.wants_close());
        assert_eq!(after(&clock, &activity, 1), Order::Cut);
    }

    #[test]
    fn a_request_in_flight_is_left_alone() {
        let (clock, activity) = connection();
        let first = OpenRequest::for_test(&activity);
        let second = OpenRequest::for_test(&activity);
        drop(first);
        assert_eq!(after(&clock, &activity, 1000), Order::Serve);
        drop(second);
        assert_eq!(after(&clock, &activity, 1), Order::Serve);
    }

    #[test]
    fn an_old_connection_goes_with_its_next_response() {
        let (clock, activity) = connection();
        drop(OpenRequest::for_test(&activity));
        clock.set_seconds(3560);
        drop(OpenRequest::for_test(&activity));
        assert_eq!(after(&clock, &activity, 41), Order::Retire);
        assert!(activity.answers_last() && activity.wants_goaway());
        // A request may be on its way to it.
        assert!(!activity.wants_close());
        assert_eq!(after(&clock, &activity, 76), Order::Finish);
        assert!(activity.wants_close());
    }

    #[test]
    fn age_never_ends_a_request() {
        let (clock, activity) = connection();
        let _request = OpenRequest::for_test(&activity);
        assert_eq!(after(&clock, &activity, 10_000), Order::Retire);
        assert_eq!(after(&clock, &activity, 10_000), Order::Retire);
    }

    #[test]
    fn closing_waits_for_a_head_on_its_way() {
        let (clock, activity) = connection();
        activity.begin_head();
        clock.advance(Stage::Closing);
        assert!(!activity.wants_close());
        let _request = OpenRequest::for_test(&activity);
        assert!(activity.wants_close());
    }

    #[test]
    fn a_drain_lets_a_new_http2_connection_send_its_first_request() {
        let (clock, activity) = connection();
        activity.begin_multiplexing();
        clock.advance(Stage::Draining);
        assert!(!activity.wants_goaway());
        let _request = OpenRequest::for_test(&activity);
        assert!(activity.wants_goaway());
        assert!(!activity.wants_close());
    }
}
