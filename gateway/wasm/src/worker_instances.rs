//! The instances of one worker, by plugin, and what is due to them.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_telemetry::{PluginMetrics, PluginPhase};
use rustc_hash::FxHashMap;

use crate::agenda::{Agenda, Begun, Caller};
use crate::breaker::Passage;
use crate::frozen::Frozen;
use crate::instance::{Instance, Lasting, SandboxPlace, Setting};
use crate::plugin::{Plugin, PluginSlot};
use crate::quotas::LogQuota;
use crate::ticker::Watch;
use crate::usage::Usage;
use crate::vm::Vm;
use crate::work_share::WorkShare;

/// An instance is told of so many elements of queues before others have their turn.
const MOST_ELEMENTS_AT_ONCE: usize = 32;
/// Or of as many as take so long.
const LONGEST_TURN: Duration = Duration::from_millis(1);

/// One worker's instances. It stays on the worker's thread.
#[derive(Debug)]
pub struct WorkerInstances {
    worker: usize,
    places: RefCell<FxHashMap<PluginSlot, Place>>,
    agenda: Rc<Agenda>,
}

/// What a worker has of one plugin.
#[derive(Debug)]
struct Place {
    /// The instance that lasts beyond requests: it serves them, or ticks beside their sandboxes.
    lasting: Option<Rc<Instance>>,
    /// How many sandboxes there are.
    sandboxes: Rc<Cell<u32>>,
    /// Of them too: one runs at a time.
    watch: Watch,
    /// Of the sandboxes.
    log: LogQuota,
    share: Rc<WorkShare>,
}

impl WorkerInstances {
    /// None yet; they come with the first request of each plugin.
    pub fn new(worker: usize) -> Self {
        WorkerInstances { worker, places: RefCell::default(), agenda: Rc::default() }
    }

    /// The instance that serves the next request of a plugin: the worker's, or one for this request alone. `None` where
    /// the plugin's fail strategy answers: it fails too often, takes too much of the worker's time, has too many
    /// sandboxes, or its replacement is being started.
    pub fn instance(&self, plugin: &Arc<Plugin>) -> Option<Rc<Instance>> {
        let mut places = self.places.borrow_mut();
        let place = places.entry(plugin.id).or_insert_with(|| Place::of(plugin));
        if place.share.is_cooling() {
            return None;
        }
        let passage = plugin.facts().breaker.pass();
        if passage == Passage::Refused {
            return None;
        }
        let instance = match plugin.frozen() {
            None => self.lasting(place, plugin),
            Some(frozen) => self.sandbox(place, plugin, frozen),
        }?;
        if passage == Passage::Trial {
            instance.put_on_trial();
        }
        Some(instance)
    }

    /// Takes an instance of a plugin that may tick, call or listen to queues without a request.
    pub fn wake(&self, plugin: &Arc<Plugin>) {
        if !plugin.has_lasting_instances() {
            return;
        }
        let mut places = self.places.borrow_mut();
        let place = places.entry(plugin.id).or_insert_with(|| Place::of(plugin));
        let instance = self.lasting(place, plugin);
        // What it was not told of while it might not run.
        if instance.is_some_and(|instance| instance.desk.has_queues()) {
            self.agenda.stir();
        }
    }

    fn lasting(&self, place: &mut Place, plugin: &Arc<Plugin>) -> Option<Rc<Instance>> {
        let present = place.lasting.as_ref().filter(|instance| instance.is_alive());
        if let Some(instance) = present.filter(|instance| !instance.usage.is_worn()) {
            return Some(instance.clone());
        }
        let Some(vm) = plugin.hand_over(self.worker) else {
            // One that is worn serves until there is another.
            return present.cloned();
        };
        if let Some(worn) = present {
            worn.desk.retire();
        }
        let instance = self.seat(place, plugin, vm, Lasting::Beyond);
        place.lasting = Some(instance.clone());
        Some(instance)
    }

    fn sandbox(
        &self,
        place: &Place,
        plugin: &Arc<Plugin>,
        frozen: &Frozen,
    ) -> Option<Rc<Instance>> {
        let most = plugin.settings().limits.sandboxes;
        let taken = SandboxPlace::take(&place.sandboxes, most)?;
        let vm =
            frozen.thaw(plugin.facts().clone(), place.watch.clone(), place.log.clone()).ok()?;
        Some(self.seat(place, plugin, vm, Lasting::Request { _place: taken }))
    }

    fn seat(&self, place: &Place, plugin: &Plugin, vm: Box<Vm>, lasting: Lasting) -> Rc<Instance> {
        let setting = Setting {
            facts: plugin.facts().clone(),
            background: plugin.background().clone(),
            agenda: self.agenda.clone(),
            usage: Usage::new(&plugin.settings().limits, place.share.clone()),
            lasting,
        };
        Rc::new_cyclic(|me: &Weak<Instance>| Instance::new(vm, setting, me.clone()))
    }

    /// Lets go of the instances of plugins that no longer serve; requests in them keep theirs to the end.
    pub fn retain(&self, mut keep: impl FnMut(PluginSlot) -> bool) {
        self.places.borrow_mut().retain(|plugin, place| {
            let kept = keep(*plugin);
            if let Some(instance) = place.lasting.as_ref().filter(|_| !kept) {
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
        let places = self.places.borrow();
        places.values().filter_map(|place| place.lasting.as_ref()?.desk.next_tick()).min()
    }

    /// Runs the ticks that are due, and tells instances of what queues hold for them: of a few elements each, so that
    /// requests get their turn. `count` is told of each callback. More may be due at once. A plugin that has to cool
    /// down, or whose breaker is open, is told of nothing: its ticks are left out, its queues wait.
    pub fn run_due(
        &self,
        now: Instant,
        mut count: impl FnMut(&PluginMetrics, PluginPhase, Duration),
    ) {
        for instance in self.due(now) {
            let mut timed = |phase: PluginPhase, callback: &dyn Fn()| {
                let started = Instant::now();
                callback();
                let took = started.elapsed();
                instance.charge_unasked(started, took);
                count(instance.metrics(), phase, took);
            };
            let turn = Instant::now();
            for _ in 0..MOST_ELEMENTS_AT_ONCE {
                let Some(queue) = instance.desk.take_queue() else { break };
                timed(PluginPhase::QueueReady, &|| instance.on_queue_ready(queue));
                if turn.elapsed() > LONGEST_TURN {
                    break;
                }
            }
            if instance.desk.take_tick(now) {
                timed(PluginPhase::Tick, &|| instance.on_tick());
            }
            if instance.desk.has_queues() {
                self.agenda.stir();
            }
        }
    }

    /// Tells of callbacks that nobody measured and that were not counted with a later one that was.
    pub fn take_untimed(&self, mut count: impl FnMut(&PluginMetrics, PluginPhase, u32)) {
        for instance in self.places.borrow().values().filter_map(|place| place.lasting.as_ref()) {
            for phase in PluginPhase::ALL {
                match instance.take_untimed(phase) {
                    0 => {}
                    untimed => count(instance.metrics(), phase, untimed),
                }
            }
        }
    }

    /// The instances that have something to do outside of requests, and may. The ticks of others are left out.
    fn due(&self, now: Instant) -> Vec<Rc<Instance>> {
        let places = self.places.borrow();
        let mut due = Vec::with_capacity(places.len());
        for place in places.values() {
            let Some(instance) = &place.lasting else { continue };
            let ticks = instance.desk.next_tick().is_some_and(|tick| tick <= now);
            if !instance.is_alive() || !(ticks || instance.desk.has_queues()) {
                continue;
            }
            match instance.facts().breaker.pass() {
                Passage::Free | Passage::Trial if place.share.is_cooling() => {}
                Passage::Free => due.push(instance.clone()),
                Passage::Trial => {
                    instance.put_on_trial();
                    due.push(instance.clone());
                }
                Passage::Refused => {}
            }
            if ticks && due.last().is_none_or(|last| !Rc::ptr_eq(last, instance)) {
                instance.desk.take_tick(now);
            }
        }
        due
    }
}

impl Place {
    fn of(plugin: &Plugin) -> Self {
        Place {
            lasting: None,
            sandboxes: Rc::default(),
            watch: plugin.watch(),
            log: LogQuota::default(),
            share: Rc::new(WorkShare::of(plugin.settings().limits.share)),
        }
    }
}
