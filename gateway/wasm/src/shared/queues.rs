//! Queues by name. Each element is announced to one instance among those that registered the queue.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::doorbell::{Doorbell, Notified};

/// Queues of one scope, elements of one queue, bytes of all queues of a scope.
const MOST_QUEUES: usize = 256;
const MOST_ELEMENTS: usize = 1 << 14;
const MOST_BYTES: usize = 8 << 20;

/// Why a queue call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueError {
    /// There is no such queue.
    Unknown,
    /// There is no room for another queue or element.
    Full,
}

/// The queues of one scope. The lock is held for a push or a pop, never across a guest's callback.
#[derive(Default)]
pub(crate) struct Queues(Mutex<Vec<Queue>>);

struct Queue {
    name: Box<[u8]>,
    elements: VecDeque<Bytes>,
    bytes: usize,
    /// Elements that no instance was told of, because none was there.
    unannounced: usize,
    listeners: Vec<Weak<Doorbell>>,
    /// Whose turn it is.
    turn: usize,
}

impl Queues {
    /// The number of the queue with a name, which is made where there is none; the bell's owner will be told of its
    /// elements.
    pub(crate) fn register(&self, name: &[u8], bell: &Arc<Doorbell>) -> Result<u32, QueueError> {
        let mut queues = self.0.lock();
        let known = queues.iter().position(|queue| *queue.name == *name);
        if known.is_none() && queues.len() >= MOST_QUEUES {
            return Err(QueueError::Full);
        }
        let index = known.unwrap_or_else(|| {
            queues.push(Queue::named(name));
            queues.len() - 1
        });
        if let Some(queue) = queues.get_mut(index) {
            queue.listeners.retain(|listener| listener.strong_count() > 0);
            if !queue.listeners.iter().any(|listener| listener.as_ptr() == Arc::as_ptr(bell)) {
                queue.listeners.push(Arc::downgrade(bell));
            }
            queue.announce(number(index));
        }
        Ok(number(index))
    }

    /// The number of the queue with a name.
    pub(crate) fn resolve(&self, name: &[u8]) -> Option<u32> {
        self.0.lock().iter().position(|queue| *queue.name == *name).map(number)
    }

    /// Appends an element and has one instance told.
    pub(crate) fn push(&self, id: u32, element: &[u8]) -> Result<(), QueueError> {
        let mut queues = self.0.lock();
        let held: usize = queues.iter().map(|queue| queue.bytes).sum();
        let queue = queue(&mut queues, id).ok_or(QueueError::Unknown)?;
        if queue.elements.len() >= MOST_ELEMENTS || held + element.len() > MOST_BYTES {
            return Err(QueueError::Full);
        }
        queue.elements.push_back(Bytes::copy_from_slice(element));
        queue.bytes += element.len();
        queue.unannounced += 1;
        queue.announce(id);
        Ok(())
    }

    /// Takes the oldest element; `None` where the queue is empty.
    pub(crate) fn pop(&self, id: u32) -> Result<Option<Bytes>, QueueError> {
        let mut queues = self.0.lock();
        let queue = queue(&mut queues, id).ok_or(QueueError::Unknown)?;
        let element = queue.elements.pop_front();
        queue.bytes -= element.as_ref().map_or(0, Bytes::len);
        queue.unannounced = queue.unannounced.min(queue.elements.len());
        Ok(element)
    }

    /// A worker has taken an instance: what waited for one is announced.
    pub(crate) fn announce_all(&self) {
        for (index, queue) in self.0.lock().iter_mut().enumerate() {
            queue.announce(number(index));
        }
    }

    /// An instance is gone: others are told of what it was not told.
    pub(crate) fn give_back(&self, bell: &Doorbell) {
        let untold = bell.unhook();
        let mut queues = self.0.lock();
        for id in untold {
            if let Some(queue) = queue(&mut queues, id) {
                queue.unannounced = (queue.unannounced + 1).min(queue.elements.len());
            }
        }
        for (index, queue) in queues.iter_mut().enumerate() {
            queue.announce(number(index));
        }
    }
}

impl Queue {
    fn named(name: &[u8]) -> Self {
        Queue {
            name: name.into(),
            elements: VecDeque::new(),
            bytes: 0,
            unannounced: 0,
            listeners: Vec::new(),
            turn: 0,
        }
    }

    /// Tells one listener after the other, an element each.
    fn announce(&mut self, id: u32) {
        while self.unannounced > 0 && self.tell_one(id) == Notified::Yes {
            self.unannounced -= 1;
        }
    }

    fn tell_one(&mut self, id: u32) -> Notified {
        self.listeners.retain(|listener| listener.strong_count() > 0);
        let count = self.listeners.len();
        for step in 0..count {
            let place = self.turn.wrapping_add(step) % count;
            let bell = self.listeners.get(place).and_then(Weak::upgrade);
            if bell.is_some_and(|bell| bell.ring(id) == Notified::Yes) {
                self.turn = place + 1;
                return Notified::Yes;
            }
        }
        Notified::NobodyHome
    }
}

/// Numbers count from 1, as in proxy-wasm-cpp-host.
fn number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

fn queue(queues: &mut [Queue], id: u32) -> Option<&mut Queue> {
    queues.get_mut((id as usize).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn heard() -> Arc<Doorbell> {
        let bell = Doorbell::new();
        bell.answered_by(Waker::noop().clone());
        bell
    }

    #[test]
    fn elements_come_out_in_order_and_names_are_resolved() {
        let (queues, bell) = (Queues::default(), heard());
        let id = queues.register(b"jobs", &bell).unwrap();
        assert_eq!((queues.resolve(b"jobs"), queues.resolve(b"none")), (Some(id), None));
        queues.push(id, b"one").unwrap();
        queues.push(id, b"two").unwrap();
        assert_eq!(queues.pop(id).unwrap().unwrap(), "one");
        assert_eq!(queues.pop(id).unwrap().unwrap(), "two");
        assert_eq!(queues.pop(id), Ok(None));
        assert_eq!(queues.pop(0), Err(QueueError::Unknown));
        assert_eq!(queues.push(id + 1, b""), Err(QueueError::Unknown));
    }

    #[test]
    fn each_element_is_announced_to_one_listener_in_turn() {
        let (queues, one, other) = (Queues::default(), heard(), heard());
        let id = queues.register(b"jobs", &one).unwrap();
        assert_eq!(queues.register(b"jobs", &other), Ok(id));
        queues.push(id, b"a").unwrap();
        queues.push(id, b"b").unwrap();
        assert_eq!((one.take(), one.take()), (Some(id), None));
        assert_eq!((other.take(), other.take()), (Some(id), None));
    }

    #[test]
    fn what_a_dead_listener_was_not_told_is_told_to_another() {
        let (queues, dead) = (Queues::default(), heard());
        let id = queues.register(b"jobs", &dead).unwrap();
        queues.push(id, b"a").unwrap();
        queues.give_back(&dead);
        let late = heard();
        queues.register(b"jobs", &late).unwrap();
        assert_eq!((late.take(), late.take()), (Some(id), None));
    }

    #[test]
    fn elements_wait_for_a_listener_that_is_at_home() {
        let (queues, bell) = (Queues::default(), Doorbell::new());
        let id = queues.register(b"jobs", &bell).unwrap();
        queues.push(id, b"a").unwrap();
        assert_eq!(bell.take(), None);
        bell.answered_by(Waker::noop().clone());
        queues.announce_all();
        assert_eq!(bell.take(), Some(id));
    }

    #[test]
    fn a_queue_is_bounded_in_elements_bytes_and_number() {
        let (queues, bell) = (Queues::default(), Doorbell::new());
        let id = queues.register(b"jobs", &bell).unwrap();
        assert_eq!(queues.push(id, &vec![0; MOST_BYTES]), Ok(()));
        assert_eq!(queues.push(id, b"x"), Err(QueueError::Full));
        for nth in 1..MOST_QUEUES {
            queues.register(&nth.to_le_bytes(), &bell).unwrap();
        }
        assert_eq!(queues.register(b"one more", &bell), Err(QueueError::Full));
    }
}
