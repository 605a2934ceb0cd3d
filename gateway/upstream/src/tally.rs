//! How many connections a worker has to each endpoint, where a cluster limits them.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use rustc_hash::FxHashMap;

use crate::endpoint::EndpointId;

/// How many connections a worker has, and who is to be told when one closes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    open: RefCell<FxHashMap<EndpointId, u32>>,
    listeners: RefCell<Vec<Waker>>,
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

    /// Has a task woken when a connection closes.
    pub(crate) fn tell(&self, waker: &Waker) {
        let mut listeners = self.listeners.borrow_mut();
        if !listeners.iter().any(|listener| listener.will_wake(waker)) {
            listeners.push(waker.clone());
        }
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
        listeners.into_iter().for_each(Waker::wake);
    }
}
