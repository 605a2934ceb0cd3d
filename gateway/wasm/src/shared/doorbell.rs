//! The bell of one instance, which queues ring from any thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

const MOST_WAITING: usize = 1 << 14;

/// Who is told of what is put into queues: one instance, on whichever thread it runs.
#[derive(Default)]
pub(crate) struct Doorbell {
    /// Read before the lock, so that an instance without news costs its worker one load.
    rung: AtomicBool,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    /// The queues that it is to be told of, one entry for each element.
    waiting: VecDeque<u32>,
    /// Of the worker that has the instance; none while it waits for one, nor once it is dead.
    worker: Option<Waker>,
}

/// Whether a bell took the news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notified {
    /// Its worker will tell the instance.
    Yes,
    /// No worker has the instance.
    NobodyHome,
}

impl Doorbell {
    /// A bell nobody hears yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A worker has the instance from now on, and is woken by this.
    pub(crate) fn answered_by(&self, worker: Waker) {
        self.inside.lock().worker = Some(worker);
    }

    /// Tells of one element in a queue.
    pub(crate) fn ring(&self, queue: u32) -> Notified {
        let mut inside = self.inside.lock();
        let Some(worker) = inside.worker.clone() else { return Notified::NobodyHome };
        // A guest that lets elements pile up unread is not told of each of them for ever.
        if inside.waiting.len() < MOST_WAITING {
            inside.waiting.push_back(queue);
        }
        drop(inside);
        self.rung.store(true, Ordering::Release);
        worker.wake();
        Notified::Yes
    }

    /// Whether there is news.
    pub(crate) fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// The next queue that the instance is to be told of.
    pub(crate) fn take(&self) -> Option<u32> {
        if !self.has_rung() {
            return None;
        }
        let mut inside = self.inside.lock();
        let next = inside.waiting.pop_front();
        if inside.waiting.is_empty() {
            self.rung.store(false, Ordering::Release);
        }
        next
    }

    /// The instance is gone: what it was not told of, for others to be told.
    pub(crate) fn unhook(&self) -> VecDeque<u32> {
        let mut inside = self.inside.lock();
        inside.worker = None;
        std::mem::take(&mut inside.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_rings_only_where_a_worker_hears_it() {
        let bell = Doorbell::new();
        assert_eq!(bell.ring(1), Notified::NobodyHome);
        bell.answered_by(Waker::noop().clone());
        assert_eq!((bell.ring(1), bell.ring(2)), (Notified::Yes, Notified::Yes));
        assert_eq!(bell.take(), Some(1));
        assert_eq!(bell.unhook(), [2]);
        assert_eq!((bell.take(), bell.ring(3)), (None, Notified::NobodyHome));
    }
}
