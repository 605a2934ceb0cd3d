//! How many connections each worker has, when a new one goes to another worker, and when there are too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_telemetry::ConnectionLimit;
use tokio::sync::Notify;

/// The connections of every worker of the process.
#[derive(Debug)]
pub(crate) struct Load {
    connections: Box<[AtomicUsize]>,
    most: usize,
    awaited: AtomicBool,
    left: Notify,
}

/// A connection's place in the count of its worker.
#[derive(Debug)]
pub(crate) struct Seat {
    load: Arc<Load>,
    worker: usize,
    of_socket: Arc<AtomicUsize>,
}

impl Load {
    /// For so many workers, and at `most` so many connections of all of them.
    pub(crate) fn new(workers: usize, most: usize) -> Arc<Self> {
        Arc::new(Load {
            most,
            connections: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            awaited: AtomicBool::new(false),
            left: Notify::new(),
        })
    }

    /// Counts a new connection that `worker` accepted: to that worker, or to the least loaded one where
    /// `worker` is clearly busier. The count changes at once, so that a burst spreads.
    ///
    /// # Errors
    /// There are too many, of the socket (`most_of_socket`) or of all.
    pub(crate) fn seat(
        self: &Arc<Self>,
        worker: usize,
        of_socket: &Arc<AtomicUsize>,
        most_of_socket: usize,
    ) -> Result<Seat, ConnectionLimit> {
        if self.active() >= self.most {
            return Err(ConnectionLimit::Process);
        }
        if of_socket.fetch_add(1, Ordering::Relaxed) >= most_of_socket {
            of_socket.fetch_sub(1, Ordering::Relaxed);
            return Err(ConnectionLimit::Socket);
        }
        let mine = self.of(worker);
        let (least, index) = self.least();
        let worker = if is_clearly_busier(mine, least) { index } else { worker };
        if let Some(count) = self.connections.get(worker) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Seat { load: self.clone(), worker, of_socket: of_socket.clone() })
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
        self.of_socket.fetch_sub(1, Ordering::Relaxed);
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

    fn seat(load: &Arc<Load>, worker: usize) -> Seat {
        load.seat(worker, &Arc::default(), usize::MAX).unwrap()
    }

    #[test]
    fn few_connections_spread_evenly() {
        let load = Load::new(3, 100);
        let seats: Vec<Seat> = (0..6).map(|_| seat(&load, 1)).collect();
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
        let load = Load::new(1, 100);
        assert_eq!(seat(&load, 0).worker(), 0);
    }

    #[test]
    fn there_is_room_again_when_somebody_leaves() {
        let (load, of_socket) = (Load::new(2, 3), Arc::default());
        let take = |of_socket| load.seat(0, of_socket, 2);
        let first = take(&of_socket).unwrap();
        let _second = take(&of_socket).unwrap();
        assert_eq!(take(&of_socket).unwrap_err(), ConnectionLimit::Socket);
        let (others, full) = (Arc::default(), Arc::default());
        let _elsewhere = take(&others).unwrap();
        assert_eq!(take(&full).unwrap_err(), ConnectionLimit::Process);
        drop(first);
        let _third = take(&of_socket).unwrap();
        assert_eq!(of_socket.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn the_last_one_to_leave_is_noticed() {
        let load = Load::new(2, 100);
        let (first, second) = (seat(&load, 0), seat(&load, 0));
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
