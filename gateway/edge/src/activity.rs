//! What one connection is doing, since when, and what it has been told: read and written by its own worker
//! only, so that a request pays a few plain stores for all its deadlines.

use std::cell::{Cell, OnceCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::clock::{Clock, Stage};
use crate::limits::Limits;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No byte of HTTP has come yet; the TLS handshake included.
    Greeting,
    /// A request head is coming in (HTTP/1).
    Head,
    /// Requests are being served.
    Busy,
    /// Between two requests.
    Idle,
}

/// What a connection has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Serve,
    /// Finish what is being served and go: `Connection: close`, GOAWAY.
    Finish,
    /// Go now.
    Cut,
}

/// The state of one connection, shared between its task, its I/O, its requests and the worker's sweep.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Rc<Clock>,
    phase: Cell<Phase>,
    since: Cell<u32>,
    open_requests: Cell<u32>,
    served: Cell<bool>,
    order: Cell<Order>,
    waker: OnceCell<Waker>,
}

impl Activity {
    /// A connection that was just accepted.
    pub(crate) fn new(clock: Rc<Clock>) -> Rc<Self> {
        Rc::new(Activity {
            since: Cell::new(clock.seconds()),
            clock,
            phase: Cell::new(Phase::Greeting),
            open_requests: Cell::new(0),
            served: Cell::new(false),
            order: Cell::new(Order::Serve),
            waker: OnceCell::new(),
        })
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

    /// The handshake is over: the first byte has its own time.
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

    /// Bytes went out. A slow reader of the last response is not idle while it reads.
    pub(crate) fn wrote(&self) {
        if self.phase.get() == Phase::Idle {
            self.since.set(self.clock.seconds());
        }
    }

    /// Whether an HTTP/1 connection should stop after what it is serving. A head on its way in is waited
    /// for: its sender could not know.
    pub(crate) fn wants_close(&self) -> bool {
        self.is_leaving() && matches!(self.phase.get(), Phase::Busy | Phase::Idle)
    }

    /// Whether an HTTP/2 connection should say GOAWAY. During a drain a new connection gets to send its
    /// first request before it is sent away.
    pub(crate) fn wants_goaway(&self) -> bool {
        self.is_leaving() || (self.clock.stage() == Stage::Draining && self.served.get())
    }

    /// Asks the connection to go after what it is serving.
    pub(crate) fn finish(&self) {
        if self.order.get() == Order::Serve {
            self.order.set(Order::Finish);
        }
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

    /// Ends or cuts the connection if it has been silent for too long.
    pub(crate) fn enforce(&self, limits: &Limits) {
        match self.phase.get() {
            Phase::Greeting if self.lasts(limits.greeting(self.clock.stage())) => self.cut(),
            Phase::Head if self.lasts(limits.head) => self.cut(),
            Phase::Idle if self.order.get() == Order::Finish && self.lasts(limits.farewell) => {
                self.cut();
            }
            Phase::Idle if self.order.get() == Order::Serve && self.lasts(limits.idle) => {
                self.enter(Phase::Idle);
                self.finish();
            }
            _ => {}
        }
    }

    fn is_leaving(&self) -> bool {
        self.order.get() != Order::Serve || self.clock.stage() == Stage::Closing
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.clock.seconds());
    }

    /// Whether the phase has lasted for so many seconds in full; ticks count whole seconds, so one more.
    fn lasts(&self, seconds: u32) -> bool {
        self.clock.seconds().saturating_sub(self.since.get()) > seconds
    }
}

/// One request from its head to the end of its response; counted while it exists.
#[derive(Debug)]
pub(crate) struct OpenRequest(Rc<Activity>);

impl OpenRequest {
    pub(crate) fn begin(activity: &Rc<Activity>) -> Self {
        activity.open_requests.set(activity.open_requests.get() + 1);
        activity.served.set(true);
        activity.phase.set(Phase::Busy);
        OpenRequest(activity.clone())
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let left = self.0.open_requests.get().saturating_sub(1);
        self.0.open_requests.set(left);
        if left == 0 {
            self.0.enter(Phase::Idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> (Rc<Clock>, Rc<Activity>) {
        let clock = Rc::new(Clock::default());
        (clock.clone(), Activity::new(clock))
    }

    fn after(clock: &Clock, activity: &Activity, seconds: u32) -> Order {
        clock.set_seconds(clock.seconds() + seconds);
        activity.enforce(&Limits::default());
        activity.order.get()
    }

    #[test]
    fn a_silent_connection_is_cut_after_ten_seconds() {
        let (clock, activity) = connection();
        assert_eq!(after(&clock, &activity, 10), Order::Serve);
        assert_eq!(after(&clock, &activity, 1), Order::Cut);
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
        drop(OpenRequest::begin(&activity));
        assert_eq!(after(&clock, &activity, 75), Order::Serve);
        assert_eq!(after(&clock, &activity, 1), Order::Finish);
        assert!(activity.wants_close());
        assert_eq!(after(&clock, &activity, 11), Order::Cut);
    }

    #[test]
    fn a_slow_reader_is_not_idle() {
        let (clock, activity) = connection();
        drop(OpenRequest::begin(&activity));
        assert_eq!(after(&clock, &activity, 70), Order::Serve);
        activity.wrote();
        assert_eq!(after(&clock, &activity, 70), Order::Serve);
    }

    #[test]
    fn a_request_in_flight_is_left_alone() {
        let (clock, activity) = connection();
        let first = OpenRequest::begin(&activity);
        let second = OpenRequest::begin(&activity);
        drop(first);
        assert_eq!(after(&clock, &activity, 1000), Order::Serve);
        drop(second);
        assert_eq!(after(&clock, &activity, 1), Order::Serve);
    }

    #[test]
    fn closing_waits_for_a_head_on_its_way() {
        let (clock, activity) = connection();
        activity.begin_head();
        clock.advance(Stage::Closing);
        assert!(!activity.wants_close());
        let _request = OpenRequest::begin(&activity);
        assert!(activity.wants_close());
    }

    #[test]
    fn a_drain_lets_a_new_http2_connection_send_its_first_request() {
        let (clock, activity) = connection();
        activity.begin_multiplexing();
        clock.advance(Stage::Draining);
        assert!(!activity.wants_goaway());
        let _request = OpenRequest::begin(&activity);
        assert!(activity.wants_goaway());
        assert!(!activity.wants_close());
    }
}
