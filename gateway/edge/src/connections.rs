//! The connections of one worker, so that it can close the silent ones and tell all of them to go.

use std::cell::RefCell;
use std::rc::Rc;

use portcullis_proxy::{Roster, look_at_all};

use crate::activity::Activity;
use crate::limits::Limits;
use crate::socket::SocketId;

/// Every connection that the worker serves.
#[derive(Debug, Default)]
pub(crate) struct Connections(RefCell<Roster<Entry>>);

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
        let index = self.0.borrow_mut().enter(Entry { activity, socket });
        Place { connections: self.clone(), index }
    }

    /// Ends or cuts those that have been silent for too long.
    pub(crate) async fn enforce(&self) {
        look_at_all(&self.0, |entry| entry.activity.enforce()).await;
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
        self.0.borrow().entries().for_each(tell);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.0.borrow_mut().leave(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn the_silent_are_cut() {
        let clock = Rc::new(Clock::default());
        let connections = Rc::new(Connections::default());
        let activities = [Activity::for_test(clock.clone()), Activity::for_test(clock.clone())];
        let _places = activities.clone().map(|each| connections.enter(each, SocketId::for_test(1)));
        clock.set_seconds(11);
        connections.enforce().await;
        assert!(activities.iter().all(|activity| activity.is_cut()));
    }

    #[test]
    fn only_those_of_a_socket_are_told_to_go() {
        let connections = Rc::new(Connections::default());
        let activity = Activity::for_test(Rc::new(Clock::default()));
        drop(connections.enter(activity.clone(), SocketId::for_test(1)));
        let _place = connections.enter(activity.clone(), SocketId::for_test(2));
        connections.finish_socket(SocketId::for_test(1));
        assert!(!activity.wants_goaway());
        connections.finish_socket(SocketId::for_test(2));
        assert!(activity.wants_goaway());
    }
}
