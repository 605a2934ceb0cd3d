//! What has come of a message's body so far, and what its task waits for.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// What a task that is not done waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// Something else than the body: the message is held meanwhile.
    Others,
    /// More of the body: what it has seen goes on.
    Chunk,
    /// The body's end: the head goes on, the body is gathered.
    Whole,
}

/// Told by callbacks, read by the message's task; both hold it.
pub(crate) struct Arrivals {
    /// Bytes in the host's buffer.
    pub(crate) size: Cell<usize>,
    /// How many of them the task has seen.
    pub(crate) seen: Cell<usize>,
    /// Nothing more comes.
    pub(crate) ended: Cell<bool>,
    /// There are trailers.
    pub(crate) trailers: Cell<bool>,
    /// The head has gone on and the body has begun.
    began: Cell<bool>,
    awaits: Cell<Awaits>,
    waker: Cell<Option<Waker>>,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Arrivals {
            size: Cell::new(0),
            seen: Cell::new(0),
            ended: Cell::new(false),
            trailers: Cell::new(false),
            began: Cell::new(false),
            awaits: Cell::new(Awaits::Others),
            waker: Cell::new(None),
        }
    }

    /// Another message begins.
    pub(crate) fn begin(&self, ended: bool) {
        self.size.set(0);
        self.seen.set(0);
        self.ended.set(ended);
        self.trailers.set(false);
        self.began.set(false);
        self.awaits.set(Awaits::Others);
        self.waker.take();
    }

    /// The host's buffer holds so many bytes now.
    pub(crate) fn body(&self, size: usize, ended: bool) {
        self.began.set(true);
        self.size.set(size);
        self.ended.set(ended);
        self.wake();
    }

    /// The body is over, trailers have come.
    pub(crate) fn trailers(&self) {
        self.began.set(true);
        self.ended.set(true);
        self.trailers.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether what is there may go on while the task waits.
    pub(crate) fn may_pass(&self) -> bool {
        match self.awaits.get() {
            Awaits::Others => false,
            Awaits::Chunk => true,
            Awaits::Whole => !self.began.get(),
        }
    }

    /// What was there has gone on.
    pub(crate) fn passed(&self) {
        self.size.set(0);
        self.seen.set(0);
    }

    /// Waits until there are bytes that were not seen, or the end: their number.
    pub(crate) fn more(&self) -> impl Future<Output = usize> {
        Wait { arrivals: self, awaits: Awaits::Chunk, is_over: Self::has_more }
    }

    /// Waits until the body has ended or is longer than `limit`: its length so far.
    pub(crate) fn whole(&self, limit: usize) -> impl Future<Output = usize> {
        let is_over =
            move |arrivals: &Arrivals| arrivals.ended.get() || arrivals.size.get() > limit;
        Wait { arrivals: self, awaits: Awaits::Whole, is_over }
    }

    fn has_more(&self) -> bool {
        self.ended.get() || self.size.get() > self.seen.get()
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrivals").field("size", &self.size).field("ended", &self.ended).finish()
    }
}

struct Wait<'a, O> {
    arrivals: &'a Arrivals,
    awaits: Awaits,
    is_over: O,
}

impl<O: Fn(&Arrivals) -> bool + Unpin> Future for Wait<'_, O> {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        let arrivals = self.arrivals;
        if (self.is_over)(arrivals) {
            return Poll::Ready(arrivals.size.get().saturating_sub(arrivals.seen.get()));
        }
        arrivals.awaits.set(self.awaits);
        let waker = match arrivals.waker.take() {
            Some(waker) if waker.will_wake(context.waker()) => waker,
            _ => context.waker().clone(),
        };
        arrivals.waker.set(Some(waker));
        Poll::Pending
    }
}

/// Whoever gives up waiting, or has what it waited for, holds the message again.
impl<O> Drop for Wait<'_, O> {
    fn drop(&mut self) {
        self.arrivals.awaits.set(Awaits::Others);
    }
}
