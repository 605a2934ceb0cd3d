//! The instances of one worker, by plugin, and what is due to them.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_telemetry::{PluginMetrics, PluginPhase};
use rustc_hash::FxHashMap;

use crate::agenda::{Agenda, Begun, Caller};
use crate::instance::Instance;
use crate::plugin::{Plugin, PluginSlot};

/// An instance is told of so many elements of queues before others have their turn.
const MOST_ELEMENTS_AT_ONCE: usize = 32;

/// One worker's instances. It stays on the worker's thread.
#[derive(Debug)]
pub struct WorkerInstances {
    worker: usize,
    instances: RefCell<FxHashMap<PluginSlot, Rc<Instance>>>,
    agenda: Rc<Agenda>,
}

impl WorkerInstances {
    /// None yet; they come with the first request of each plugin.
    pub fn new(worker: usize) -> Self {
        WorkerInstances { worker, instances: RefCell::default(), agenda: Rc::default() }
    }

    /// The worker's instance of a plugin. `None` while a replacement is being started: the plugin's fail
    /// strategy then answers.
    pub fn instance(&self, plugin: &Arc<Plugin>) -> Option<Rc<Instance>> {
        let mut instances = self.instances.borrow_mut();
        if let Some(instance) = instances.get(&plugin.id) {
            if instance.is_alive() {
                return Some(instance.clone());
            }
            instances.remove(&plugin.id);
        }
        let vm = plugin.hand_over(self.worker)?;
        let facts = plugin.facts().clone();
        let (background, agenda) = (plugin.background().clone(), self.agenda.clone());
        let instance = Rc::new_cyclic(|me: &Weak<Instance>| {
            Instance::new(facts, background, vm, agenda, me.clone())
        });
        instances.insert(plugin.id, instance.clone());
        Some(instance)
    }

    /// Lets go of the instances of plugins that no longer serve; requests in them keep theirs to the end.
    pub fn retain(&self, mut keep: impl FnMut(PluginSlot) -> bool) {
        self.instances.borrow_mut().retain(|plugin, instance| {
            let kept = keep(*plugin);
            if !kept {
                instance.desk.retire();
            }
            kept
        });
    }

    /// The next call that a plugin wants begun; `None` where [`run_due`](Self::run_due) has something to do.
    pub async fn next_call(&self) -> Option<Begun> {
        self.agenda.next().await
    }

    /// When the next tick is due.
    pub fn next_tick(&self) -> Option<Instant> {
        self.instances.borrow().values().filter_map(|instance| instance.desk.next_tick()).min()
    }

    /// Runs the ticks that are due, and tells instances of what queues hold for them: of a few elements each, so that
    /// requests get their turn. `count` is told of each callback. More may be due at once.
    pub fn run_due(
        &self,
        now: Instant,
        mut count: impl FnMut(&PluginMetrics, PluginPhase, Duration),
    ) {
        let instances: Vec<Rc<Instance>> = self.instances.borrow().values().cloned().collect();
        for instance in instances {
            let mut timed = |phase: PluginPhase, callback: &dyn Fn()| {
                let started = Instant::now();
                callback();
                count(instance.metrics(), phase, started.elapsed());
            };
            for _ in 0..MOST_ELEMENTS_AT_ONCE {
                let Some(queue) = instance.desk.take_queue() else { break };
                timed(PluginPhase::QueueReady, &|| instance.on_queue_ready(queue));
            }
            if instance.desk.take_tick(now) {
                timed(PluginPhase::Tick, &|| instance.on_tick());
            }
            if instance.desk.has_queues() {
                self.agenda.stir();
            }
        }
    }
}
