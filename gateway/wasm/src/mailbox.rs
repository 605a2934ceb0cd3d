//! Where control threads leave started instances for the workers.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::vm::Vm;

/// One place for each worker, and a spare for whoever needs one first. A worker looks here only when it has
/// no instance of the plugin.
pub(crate) struct Mailbox {
    places: Box<[Place]>,
    spare: Place,
}

#[derive(Default)]
struct Place {
    /// Read before the lock, so that an empty place costs a worker one load.
    full: AtomicBool,
    wanted: AtomicBool,
    vm: Mutex<Option<Box<Vm>>>,
}

impl Mailbox {
    /// An empty mailbox in which every place waits to be filled.
    pub(crate) fn new(workers: usize) -> Self {
        let wanted = || Place { wanted: AtomicBool::new(true), ..Place::default() };
        Mailbox { places: (0..workers).map(|_| wanted()).collect(), spare: wanted() }
    }

    /// Takes the worker's instance, else the spare, and notes what is then missing.
    pub(crate) fn take(&self, worker: usize) -> Option<Box<Vm>> {
        let own = self.places.get(worker);
        if let Some(vm) = own.and_then(Place::take) {
            return Some(vm);
        }
        if let Some(vm) = self.spare.take() {
            self.spare.wanted.store(true, Ordering::Release);
            return Some(vm);
        }
        if let Some(place) = own {
            place.wanted.store(true, Ordering::Release);
        }
        None
    }

    /// Puts an instance where one is wanted; it comes back where none is. Workers go before the spare.
    pub(crate) fn put(&self, vm: Box<Vm>) -> Result<(), Box<Vm>> {
        let place = self.all().find(|place| place.wanted.swap(false, Ordering::AcqRel));
        match place {
            Some(place) => {
                place.put(vm);
                Ok(())
            }
            None => Err(vm),
        }
    }

    /// Whether an instance is wanted anywhere.
    pub(crate) fn lacks_any(&self) -> bool {
        self.all().any(|place| place.wanted.load(Ordering::Acquire))
    }

    fn all(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().chain([&self.spare])
    }
}

impl Place {
    fn take(&self) -> Option<Box<Vm>> {
        if !self.full.load(Ordering::Acquire) {
            return None;
        }
        // Held by whoever puts or takes at this moment: the worker does not wait for it.
        let vm = self.vm.try_lock()?.take();
        if vm.is_some() {
            self.full.store(false, Ordering::Release);
        }
        vm
    }

    fn put(&self, vm: Box<Vm>) {
        *self.vm.lock() = Some(vm);
        self.full.store(true, Ordering::Release);
    }
}
