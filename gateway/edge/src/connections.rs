//! The connections of one worker, so that it can close the silent ones and tell all of them to go.

use std::cell::RefCell;
use std::rc::Rc;

use crate::activity::Activity;
use crate::limits::Limits;
use crate::socket::SocketId;

/// How many connections are looked at before requests get their turn.
const AT_ONCE: usize = 1024;

/// Every connection that the worker serves.
#[derive(Debug, Default)]
pub(crate) struct Connections(RefCell<Places>);

#[derive(Debug, Default)]
struct Places {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Entry {
    activity: Rc<Activity>,
    socket: SocketId,
}

/// A connection's place among the others; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Rc<Connections>,
    index: usize,
}

impl Connections {
    /// Adds a connection that came in on a socket.
    pub(crate) fn enter(self: &Rc<Self>, activity: Rc<Activity>, socket: SocketId) -> Place {
        let mut places = self.0.borrow_mut();
        let entry = Some(Entry { activity, socket });
        let index = match places.free.pop() {
            Some(index) => {
                if let Some(place) = places.entries.get_mut(index) {
                    *place = entry;
                }
                index
            }
            None => {
                places.entries.push(entry);
                places.entries.len() - 1
            }
        };
        Place { connections: self.clone(), index }
    }

    /// Ends or cuts those that have been silent for too long.
    pub(crate) async fn enforce(&self) {
        let mut next = 0;
        while self.look_at(next, |entry| entry.activity.enforce()) {
            next += AT_ONCE;
            tokio::task::yield_now().await;
        }
    }

    /// Has another policy apply to those of one socket.
    pub(crate) fn set_limits(&self, socket: SocketId, limits: Limits) {
        self.each(|entry| {
            if entry.socket == socket {
                entry.activity.set_limits(limits);
            }
        });
    }

    /// Has each one look at the state of the drain.
    pub(crate) fn wake_all(&self) {
        self.each(|entry| entry.activity.wake());
    }

    /// Asks those of one socket to go after what they are serving.
    pub(crate) fn finish_socket(&self, socket: SocketId) {
        self.each(|entry| {
            if entry.socket == socket {
                entry.activity.finish();
            }
        });
    }

    /// Asks each one to go after what it is serving.
    pub(crate) fn finish_all(&self) {
        self.each(|entry| entry.activity.finish());
    }

    /// Ends each one at once.
    pub(crate) fn cut_all(&self) {
        self.each(|entry| entry.activity.cut());
    }

    fn each(&self, tell: impl Fn(&Entry)) {
        self.0.borrow().entries.iter().flatten().for_each(tell);
    }

    /// Tells a stretch of places from `first` on; whether there are more.
    fn look_at(&self, first: usize, tell: impl Fn(&Entry)) -> bool {
        let places = self.0.borrow();
        places.entries.iter().skip(first).take(AT_ONCE).flatten().for_each(tell);
        places.entries.len() > first + AT_ONCE
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.connections.0.borrow_mut();
        if let Some(place) = places.entries.get_mut(self.index) {
            *place = None;
        }
        places.free.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn the_silent_are_cut_however_many_there_are() {
        let clock = Rc::new(Clock::default());
        let connections = Rc::new(Connections::default());
        let entered = (0..AT_ONCE + 2).map(|_| {
            let activity = Activity::for_test(clock.clone());
            (connections.enter(activity.clone(), SocketId::for_test(1)), activity)
        });
        let (places, activities): (Vec<_>, Vec<_>) = entered.unzip();
        clock.set_seconds(11);
        connections.enforce().await;
        assert!(activities.iter().all(|activity| activity.is_cut()));
        drop(places);
        assert_eq!(connections.0.borrow().free.len(), AT_ONCE + 2);
    }

    #[test]
    fn a_place_is_used_again() {
        let connections = Rc::new(Connections::default());
        let activity = Activity::for_test(Rc::new(Clock::default()));
        drop(connections.enter(activity.clone(), SocketId::for_test(1)));
        let _place = connections.enter(activity.clone(), SocketId::for_test(2));
        assert_eq!(connections.0.borrow().entries.len(), 1);
        connections.finish_socket(SocketId::for_test(1));
        assert!(!activity.wants_goaway());
        connections.finish_socket(SocketId::for_test(2));
        assert!(activity.wants_goaway());
    }
}
