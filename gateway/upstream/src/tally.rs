//! How many connections of HTTP/1 a worker has to each endpoint.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use rustc_hash::FxHashMap;

use crate::endpoint::EndpointId;

/// How many connections a worker has, and who is to be told when one closes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    open: RefCell<FxHashMap<EndpointId, u32>>,
    listeners: RefCell<FxHashMap<u64, Waker>>,
    next: Cell<u64>,
}

impl Tally {
    /// How many there are to an endpoint, those that are coming about included.
    pub(crate) fn open(&self, endpoint: EndpointId) -> u32 {
        self.open.borrow().get(&endpoint).copied().unwrap_or(0)
    }

    /// Counts one more for as long as the returned value lives.
    pub(crate) fn enter(self: &Rc<Self>, endpoint: EndpointId) -> Mine {
        *self.open.borrow_mut().entry(endpoint).or_default() += 1;
        Mine { tally: self.clone(), endpoint }
    }

    /// A way to be told when a connection closes.
    pub(crate) fn listen(self: &Rc<Self>) -> Listener {
        let number = self.next.replace(self.next.get().wrapping_add(1));
        Listener { tally: self.clone(), number }
    }
}

/// One who is told when a connection closes, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Listener {
    tally: Rc<Tally>,
    number: u64,
}

impl Listener {
    /// Has a task woken by the next that closes.
    pub(crate) fn tell(&self, waker: &Waker) {
        self.tally.listeners.borrow_mut().insert(self.number, waker.clone());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tally.listeners.borrow_mut().remove(&self.number);
    }
}

/// One connection of this worker.
#[derive(Debug)]
pub(crate) struct Mine {
    tally: Rc<Tally>,
    endpoint: EndpointId,
}

impl Drop for Mine {
    fn drop(&mut self) {
        let mut open = self.tally.open.borrow_mut();
        if let Some(count) = open.get_mut(&self.endpoint) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.endpoint);
            }
        }
        drop(open);
        let listeners = std::mem::take(&mut *self.tally.listeners.borrow_mut());
        listeners.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_no_more_is_forgotten() {
        let tally = Rc::new(Tally::default());
        let listeners: Vec<_> = (0..3).map(|_| tally.listen()).collect();
        listeners.iter().for_each(|listener| listener.tell(Waker::noop()));
        assert_eq!(tally.listeners.borrow().len(), 3);
        drop(listeners);
        assert!(tally.listeners.borrow().is_empty());
    }
}
