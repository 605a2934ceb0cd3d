//! Where a worker keeps its idle connections: by endpoint, the most recently used first, until their
//! idle timeout.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::endpoint::{Endpoint, EndpointId};
use crate::pooled::{Origin, PooledConnection};
use crate::tally::Tally;
use crate::terms::Terms;
use crate::waiting::Waiting;

/// How often idle connections are swept, which is also the step in which idleness is measured: requests
/// read no clock for it.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How many idle connections a worker keeps to one endpoint; those beyond are closed, the longest unused first.
const MOST_IDLE: usize = 256;

/// A connection taken from the shelf.
pub(crate) struct Taken {
    pub(crate) connection: PooledConnection,
    /// Whether it lay there long enough to look at it twice.
    pub(crate) rested: Rested,
}

/// Whether a connection lay unused across a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rested {
    /// It was used within about a second.
    Briefly,
    /// It was not.
    Long,
}

struct Idle {
    connection: PooledConnection,
    since: u32,
}

/// The idle connections of one worker.
#[derive(Default)]
pub(crate) struct Shelf {
    idle: RefCell<FxHashMap<EndpointId, Vec<Idle>>>,
    sweeps: Cell<u32>,
    sweeping: Cell<bool>,
    waiting: Rc<Waiting>,
    tally: Rc<Tally>,
}

/// The number of sweeps that an idle timeout lasts, never longer than the timeout; zero is for ever.
pub(crate) fn patience(idle_timeout: Duration) -> u32 {
    match idle_timeout.as_secs() {
        _ if idle_timeout.is_zero() => u32::MAX,
        seconds => u32::try_from(seconds / SWEEP_EVERY.as_secs()).unwrap_or(u32::MAX).max(1),
    }
}

impl Shelf {
    /// The most recently used connection to an endpoint, of those of the same terms.
    pub(crate) fn take(&self, endpoint: EndpointId, terms: &Terms) -> Option<Taken> {
        let mut shelf = self.idle.borrow_mut();
        let idle = shelf.get_mut(&endpoint)?;
        let idle = if idle.last()?.connection.terms == *terms {
            idle.pop()?
        } else {
            // Those that were made under other rules serve nobody any more.
            idle.retain(|idle| idle.connection.terms.transport == terms.transport);
            let nth = idle.iter().rposition(|idle| idle.connection.terms == *terms)?;
            idle.remove(nth)
        };
        let rested = if idle.since == self.sweeps.get() { Rested::Briefly } else { Rested::Long };
        Some(Taken { connection: idle.connection, rested })
    }

    /// Puts a connection back after an exchange, or hands it to a request that waits; closes it where it has served
    /// enough or its endpoint has left.
    pub(crate) fn put(self: &Rc<Self>, mut connection: PooledConnection) {
        if !connection.counted.endpoint().is_removed() && connection.has_served() {
            self.keep(connection, Origin::Reused);
        }
    }

    /// The same with one that has served nobody yet.
    pub(crate) fn put_new(self: &Rc<Self>, connection: PooledConnection) {
        self.keep(connection, Origin::Opened);
    }

    fn keep(self: &Rc<Self>, connection: PooledConnection, origin: Origin) {
        let Some(connection) = self.waiting.offer(connection, origin) else { return };
        let endpoint = connection.counted.endpoint().id;
        let mut shelf = self.idle.borrow_mut();
        let idle = shelf.entry(endpoint).or_default();
        if idle.len() >= MOST_IDLE {
            idle.remove(0);
        }
        idle.push(Idle { connection, since: self.sweeps.get() });
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(sweep_until_empty(Rc::downgrade(self)));
        }
    }

    /// Who waits for a connection.
    pub(crate) fn waiting(&self) -> &Rc<Waiting> {
        &self.waiting
    }

    /// How many connections there are, idle or not.
    pub(crate) fn tally(&self) -> &Rc<Tally> {
        &self.tally
    }

    /// Closes the idle connections to all but these endpoints.
    pub(crate) fn retain(&self, keep: impl Fn(&Endpoint) -> bool) {
        let kept = |idle: &Idle| keep(idle.connection.counted.endpoint());
        self.idle.borrow_mut().retain(|_, idle| idle.first().is_some_and(kept));
    }

    /// How many connections lie idle.
    pub(crate) fn len(&self) -> usize {
        self.idle.borrow().values().map(Vec::len).sum()
    }

    /// Closes what has lain too long or was closed by its peer; says whether anything is left.
    fn sweep(&self) -> Swept {
        let now = self.sweeps.get().wrapping_add(1);
        self.sweeps.set(now);
        let mut shelf = self.idle.borrow_mut();
        shelf.retain(|_, idle| {
            // Made under other rules than one that came later, it serves nobody any more.
            let newest = idle.iter().map(|idle| idle.connection.terms.transport).max();
            idle.retain_mut(|idle| {
                now.wrapping_sub(idle.since) < idle.connection.patience
                    && Some(idle.connection.terms.transport) == newest
                    && !idle.connection.counted.endpoint().is_removed()
                    && !idle.connection.is_expired()
                    && idle.connection.http1.is_quiet()
            });
            !idle.is_empty()
        });
        if shelf.is_empty() { Swept::Empty } else { Swept::SomeLeft }
    }
}

#[derive(PartialEq)]
enum Swept {
    Empty,
    SomeLeft,
}

/// The one sweep task of a worker. It ends with the shelf, or when the shelf is empty, so that an idle
/// gateway never wakes.
async fn sweep_until_empty(shelf: Weak<Shelf>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(shelf) = shelf.upgrade() else { return };
        if shelf.sweep() == Swept::Empty {
            shelf.sweeping.set(false);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_whole_sweeps() {
        assert_eq!(patience(Duration::from_secs(30)), 30);
        assert_eq!(patience(Duration::from_millis(1_900)), 1);
        assert_eq!(patience(Duration::from_millis(10)), 1);
        assert_eq!(patience(Duration::ZERO), u32::MAX);
        assert_eq!(patience(Duration::MAX), u32::MAX);
    }
}
