//! How many connections each worker has, and when a new one goes to another worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The connections of every worker of the process.
#[derive(Debug)]
pub(crate) struct Load {
    connections: Box<[AtomicUsize]>,
    awaited: AtomicBool,
    left: Notify,
}

/// A connection's place in the count of its worker.
#[derive(Debug)]
pub(crate) struct Seat {
    load: Arc<Load>,
    worker: usize,
}

impl Load {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Load {
            connections: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            awaited: AtomicBool::new(false),
            left: Notify::new(),
        })
    }

    /// Counts a new connection that `worker` accepted: to that worker, or to the least loaded one where
    /// `worker` is clearly busier. The count changes at once, so that a burst spreads.
    pub(crate) fn seat(self: &Arc<Self>, worker: usize) -> Seat {
        let mine = self.of(worker);
        let (least, index) = self.least();
        let worker = if is_clearly_busier(mine, least) { index } else { worker };
        if let Some(count) = self.connections.get(worker) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        Seat { load: self.clone(), worker }
    }

    /// The connections of all workers.
    pub(crate) fn active(&self) -> usize {
        self.connections.iter().map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// Returns when there are no connections.
    pub(crate) async fn none_left(&self) {
        self.awaited.store(true, Ordering::SeqCst);
        loop {
            let left = self.left.notified();
            if self.active() == 0 {
                return;
            }
            left.await;
        }
    }

    pub(crate) fn of(&self, worker: usize) -> usize {
        self.connections.get(worker).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn least(&self) -> (usize, usize) {
        let loads = self.connections.iter().map(|count| count.load(Ordering::Relaxed));
        loads.zip(0..).min().unwrap_or((0, 0))
    }
}

/// Among a few connections each one counts, because an ALB's few live long; among many a hand-over costs
/// more than an eighth of imbalance.
fn is_clearly_busier(mine: usize, least: usize) -> bool {
    mine > least + least / 8
}

impl Seat {
    /// The worker that the connection belongs to.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(count) = self.load.connections.get(self.worker) {
            count.fetch_sub(1, Ordering::SeqCst);
        }
        if self.load.awaited.load(Ordering::SeqCst) {
            self.load.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_connections_spread_evenly() {
        let load = Load::new(3);
        let seats: Vec<Seat> = (0..6).map(|_| load.seat(1)).collect();
        let of = |worker| seats.iter().filter(|seat| seat.worker() == worker).count();
        assert_eq!([of(0), of(1), of(2)], [2, 2, 2]);
    }

    #[test]
    fn a_slight_imbalance_among_many_is_left_alone() {
        assert!(!is_clearly_busier(107, 100));
        assert!(is_clearly_busier(113, 100));
        assert!(!is_clearly_busier(0, 0));
    }

    #[test]
    fn one_worker_keeps_everything() {
        let load = Load::new(1);
        assert_eq!(load.seat(0).worker(), 0);
    }

    #[tokio::test]
    async fn the_last_one_to_leave_is_noticed() {
        let load = Load::new(2);
        let (first, second) = (load.seat(0), load.seat(0));
        let leave = async {
            tokio::task::yield_now().await;
            drop(first);
            tokio::task::yield_now().await;
            drop(second);
        };
        tokio::join!(load.none_left(), leave);
        assert_eq!(load.active(), 0);
    }
}
