//! Requests that wait for a connection of HTTP/1: whichever is first, one that comes back or a new one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;

use crate::endpoint::EndpointId;
use crate::failure::ConnectError;
use crate::pooled::{Origin, PooledConnection};
use crate::terms::Terms;

/// What a waiting request gets.
pub(crate) type Given = Result<(PooledConnection, Origin), ConnectError>;

/// The requests of one worker that wait, by endpoint, the longest waiting first.
#[derive(Default)]
pub(crate) struct Waiting {
    queues: RefCell<FxHashMap<EndpointId, VecDeque<Rc<Waiter>>>>,
    /// How many they are: nobody has to look for whom nobody waits.
    count: Cell<usize>,
}

/// One of them.
pub(crate) struct Waiter {
    terms: Terms,
    given: RefCell<Option<Given>>,
    waker: RefCell<Option<Waker>>,
}

impl Waiting {
    /// Joins the queue for an endpoint.
    pub(crate) fn join(self: &Rc<Self>, endpoint: EndpointId, terms: Terms) -> InQueue {
        let waiter =
            Rc::new(Waiter { terms, given: RefCell::default(), waker: RefCell::default() });
        self.queues.borrow_mut().entry(endpoint).or_default().push_back(waiter.clone());
        self.count.set(self.count.get() + 1);
        InQueue { waiting: self.clone(), endpoint, waiter }
    }

    /// Hands a connection to the first that waits for such a one; it comes back where nobody does.
    pub(crate) fn offer(
        &self,
        connection: PooledConnection,
        origin: Origin,
    ) -> Option<PooledConnection> {
        if self.count.get() == 0 {
            return Some(connection);
        }
        let endpoint = connection.counted.endpoint().id;
        let next = self.take_where(endpoint, |waiter| waiter.terms == connection.terms);
        let Some(waiter) = next else { return Some(connection) };
        waiter.give(Ok((connection, origin)));
        None
    }

    /// Takes the first that fulfils a condition out of its queue.
    fn take_where(
        &self,
        endpoint: EndpointId,
        wanted: impl Fn(&Waiter) -> bool,
    ) -> Option<Rc<Waiter>> {
        let mut queues = self.queues.borrow_mut();
        let queue = queues.get_mut(&endpoint)?;
        let nth = queue.iter().position(|waiter| wanted(waiter))?;
        let waiter = queue.remove(nth);
        if queue.is_empty() {
            queues.remove(&endpoint);
        }
        self.count.set(self.count.get() - 1);
        waiter
    }
}

impl Waiter {
    /// Ends its waiting: no connection comes about for it. One that it was handed meanwhile is better.
    pub(crate) fn fail(&self, error: ConnectError) {
        if self.given.borrow().is_none() {
            self.give(Err(error));
        }
    }

    /// Ends its waiting.
    fn give(&self, given: Given) {
        *self.given.borrow_mut() = Some(given);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// A place in the queue, left when this is dropped.
pub(crate) struct InQueue {
    waiting: Rc<Waiting>,
    endpoint: EndpointId,
    waiter: Rc<Waiter>,
}

impl InQueue {
    /// The waiter, for who opens a connection for it.
    pub(crate) fn waiter(&self) -> Rc<Waiter> {
        self.waiter.clone()
    }

    /// What it was given.
    pub(crate) fn poll_given(&self, cx: &Context<'_>) -> Poll<Given> {
        if let Some(given) = self.waiter.given.borrow_mut().take() {
            return Poll::Ready(given);
        }
        *self.waiter.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for InQueue {
    fn drop(&mut self) {
        self.waiting.take_where(self.endpoint, |waiter| std::ptr::eq(waiter, &*self.waiter));
        // Whoever was given a connection and left before it took it lets the next one have it.
        if let Some(Ok((connection, origin))) = self.waiter.given.borrow_mut().take() {
            let _unwanted = self.waiting.offer(connection, origin);
        }
    }
}
