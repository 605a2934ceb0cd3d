//! The one place that holds the current snapshot, and how a worker reads it.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::Snapshot;

/// How many generations `/generations` remembers.
const REMEMBERED: usize = 100;

/// The current snapshot of the process.
pub struct Published {
    current: ArcSwap<Snapshot>,
    generation: AtomicU64,
    history: Mutex<Vec<Remembered>>,
}

struct Remembered {
    record: GenerationRecord,
    snapshot: Weak<Snapshot>,
}

/// A generation as `/generations` shows it.
#[derive(Clone, Debug)]
pub struct GenerationRecord {
    /// Its number.
    pub generation: u64,
    /// When it was compiled.
    pub compiled_at: SystemTime,
    /// How many problems the configuration had.
    pub problems: usize,
    /// Whether a request or worker still holds it.
    pub alive: bool,
}

impl Published {
    /// Starts with a first snapshot.
    pub fn new(first: Snapshot) -> Arc<Self> {
        let first = Arc::new(first);
        let published = Published {
            generation: AtomicU64::new(first.generation),
            history: Mutex::new(Vec::new()),
            current: ArcSwap::new(first.clone()),
        };
        published.remember(&first);
        Arc::new(published)
    }

    /// The current snapshot.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts a newer snapshot in its place. Requests that pinned an older one keep it until they end.
    pub fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        self.remember(&snapshot);
        self.current.store(snapshot.clone());
        self.generation.store(snapshot.generation, Ordering::Release);
        snapshot
    }

    /// The latest generations, newest last.
    pub fn generations(&self) -> Vec<GenerationRecord> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history
            .iter()
            .map(|remembered| GenerationRecord {
                alive: remembered.snapshot.strong_count() > 0,
                ..remembered.record.clone()
            })
            .collect()
    }

    /// How many generations something still holds.
    pub fn generations_alive(&self) -> usize {
        self.generations().iter().filter(|record| record.alive).count()
    }

    fn remember(&self, snapshot: &Arc<Snapshot>) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.push(Remembered {
            record: GenerationRecord {
                generation: snapshot.generation,
                compiled_at: snapshot.compiled_at,
                problems: snapshot.problems.len(),
                alive: true,
            },
            snapshot: Arc::downgrade(snapshot),
        });
        let surplus = history.len().saturating_sub(REMEMBERED);
        history.drain(..surplus);
    }
}

/// One worker's view of the published snapshot. Pinning costs no atomic that other workers write to:
/// the worker counts its own holders.
pub struct View {
    published: Arc<Published>,
    pinned: RefCell<Rc<Pinned>>,
}

/// A snapshot that a worker holds on to.
pub struct Pinned(Arc<Snapshot>);

impl View {
    /// A view that starts at the current snapshot.
    pub fn new(published: Arc<Published>) -> Self {
        let pinned = RefCell::new(Rc::new(Pinned(published.current())));
        View { published, pinned }
    }

    /// The current snapshot, to be held for one exchange.
    pub fn pin(&self) -> Rc<Pinned> {
        if self.published.generation.load(Ordering::Acquire) != self.pinned.borrow().generation {
            *self.pinned.borrow_mut() = Rc::new(Pinned(self.published.current()));
        }
        self.pinned.borrow().clone()
    }
}

impl Deref for Pinned {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}
