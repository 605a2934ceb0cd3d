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

    /// Puts a newer snapshot in its place. Requests that pinned an older one keep it until they end. Only now do
    /// endpoints learn that they have left: until here the older one served with them.
    pub fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        self.remember(&snapshot);
        let previous = self.current.swap(snapshot.clone());
        self.generation.store(snapshot.generation, Ordering::Release);
        snapshot.take_over(&previous);
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use portcullis_model::{Cluster, Model};
    use portcullis_telemetry::Registry;

    use super::*;
    use crate::{Compiled, Compiler};

    /// A model whose only service is at this port.
    fn model(port: u16) -> Model {
        let settings = Cluster::for_test(&[(SocketAddr::from(([127, 0, 0, 1], port)), 1)]);
        let mut model = Model::default();
        model.clusters.insert(settings.name.clone(), Arc::new(settings));
        model
    }

    fn compiled(compiler: &mut Compiler, model: Model, previous: &Snapshot) -> Snapshot {
        match compiler.compile(model, Vec::new(), Some(previous)) {
            Compiled::Changed(snapshot) => *snapshot,
            Compiled::Unchanged => panic!("it changed"),
        }
    }

    #[test]
    fn until_a_snapshot_is_published_the_endpoints_of_the_one_before_serve() {
        let mut compiler = Compiler::new(Registry::new(), None);
        let published = Published::new(compiler.empty());
        let first = compiled(&mut compiler, model(1), &published.current());
        let first = published.publish(first);
        let endpoint = first.clusters.values().next().unwrap().endpoints().remove(0);
        for next in [model(2), model(1), Model::default()] {
            let before = published.current();
            let serving = before.clusters.values().next().unwrap().endpoints().remove(0);
            let next = compiled(&mut compiler, next, &before);
            assert!(!serving.is_removed());
            published.publish(next);
            assert!(serving.is_removed());
        }
        assert!(endpoint.is_removed());
    }
}
