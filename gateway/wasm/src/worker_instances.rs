//! The instances of one worker, by plugin.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::instance::Instance;
use crate::plugin::{Plugin, PluginSlot};

/// One worker's instances. It stays on the worker's thread.
#[derive(Debug)]
pub struct WorkerInstances {
    worker: usize,
    instances: RefCell<FxHashMap<PluginSlot, Rc<Instance>>>,
}

impl WorkerInstances {
    /// None yet; they come with the first request of each plugin.
    pub fn new(worker: usize) -> Self {
        WorkerInstances { worker, instances: RefCell::default() }
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
        let instance = Rc::new(Instance::new(facts, plugin.background().clone(), vm));
        instances.insert(plugin.id, instance.clone());
        Some(instance)
    }

    /// Lets go of the instances of plugins that no longer serve; requests in them keep theirs to the end.
    pub fn retain(&self, mut keep: impl FnMut(PluginSlot) -> bool) {
        self.instances.borrow_mut().retain(|plugin, _| keep(*plugin));
    }
}
