//! Compiling a model, carrying over from the previous snapshot what did not change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use portcullis_model::{ClusterName, Listener, Model, ObjectId, Problem};
use portcullis_telemetry::{Registry, TargetLabels};
use portcullis_upstream::{Cluster, ClusterHome};
use rustc_hash::FxHashSet;

use crate::buckets::Buckets;
use crate::known_rules::{KnownRules, Surroundings};
use crate::parts::Parts;
use crate::plugins::Previous;
use crate::shared_rules::share_rules;
use crate::{Authentications, PluginHost, PluginState, Snapshot, SocketKey, SocketTable};

/// Compiles models one after the other. It lives on the control side.
pub struct Compiler {
    registry: Arc<Registry>,
    plugins: Option<PluginHost>,
    home: ClusterHome,
}

/// What came of compiling a model.
pub enum Compiled {
    /// Nothing that is served changed.
    Unchanged,
    /// A new generation.
    Changed(Box<Snapshot>),
}

impl Compiler {
    /// A compiler that starts plugins by `plugins`; without it every plugin object stands in its chain but
    /// does not run, which is enough to explain.
    pub fn new(registry: Arc<Registry>, plugins: Option<PluginHost>) -> Self {
        Compiler { registry, plugins, home: ClusterHome::default() }
    }

    /// Has clusters know where the gateway runs, and who looks after them.
    #[must_use]
    pub fn with_home(self, home: ClusterHome) -> Self {
        Compiler { home, ..self }
    }

    /// Compiles a model. `problems` are those that the model came with; those of its plugins are added.
    ///
    /// Blocks for a moment where plugins change; those that take longer come with a later compilation, of which
    /// [`PluginHost::serving`] tells.
    pub fn compile(
        &mut self,
        mut model: Model,
        mut problems: Vec<Problem>,
        previous: Option<&Snapshot>,
    ) -> Compiled {
        if let Some(previous) = previous {
            share_rules(&mut model, &previous.model);
        }
        let plugins = self.load_plugins(&model, previous, &mut problems);
        let known = previous.map(|previous| &previous.authentications);
        let authentications = Authentications::compile(&model, known);
        problems.extend(authentications.problems());
        if let Some(previous) = previous
            && *previous.model == model
            && same_plugins(&previous.plugins, &plugins)
            && previous.problems == problems
        {
            return Compiled::Unchanged;
        }
        let generation = previous.map_or(0, |previous| previous.generation) + 1;
        Compiled::Changed(Box::new(self.assemble(
            generation,
            Arc::new(model),
            (plugins, authentications),
            problems,
            previous,
        )))
    }

    /// Has plugins that failed tried again, and images pulled anew that always are, with the next compilation.
    pub fn pull_anew(&mut self) {
        if let Some(host) = &mut self.plugins {
            host.pull_anew();
        }
    }

    /// The snapshot before any configuration: generation 0, nothing served.
    pub fn empty(&self) -> Snapshot {
        self.assemble(0, Arc::new(Model::default()), Default::default(), Vec::new(), None)
    }

    fn assemble(
        &self,
        generation: u64,
        model: Arc<Model>,
        (plugins, authentications): (BTreeMap<ObjectId, PluginState>, Authentications),
        problems: Vec<Problem>,
        previous: Option<&Snapshot>,
    ) -> Snapshot {
        let clusters = carry_over_clusters(&model, previous, &self.home);
        let before = previous.map(|previous| (&*previous.model, &previous.buckets));
        let buckets = Buckets::build(&model, before);
        let parts = Parts {
            clusters: &clusters,
            plugins: &plugins,
            authentications: &authentications,
            registry: &self.registry,
            buckets: &buckets,
        };
        let before = previous.into_iter().flat_map(|previous| previous.sockets.values());
        let surroundings = previous.map_or(Surroundings::Changed, |previous| {
            match same_clusters(&previous.clusters, &clusters) && previous.buckets.is_same(&buckets)
            {
                true => Surroundings::AsBefore,
                false => Surroundings::Changed,
            }
        });
        let mut known = KnownRules::of_tables(before.map(|table| table.before()), surroundings);
        let sockets = by_socket(&model.listeners)
            .into_iter()
            .map(|(key, listeners)| {
                let before = previous.and_then(|previous| previous.socket(key));
                let before = before.map(|table| &**table);
                (key, Arc::new(SocketTable::build(listeners, &parts, before, &mut known)))
            })
            .collect();
        Snapshot {
            generation,
            generation_value: HeaderValue::from(generation),
            compiled_at: SystemTime::now(),
            sockets,
            live_plugins: running_slots(&plugins),
            authentications,
            buckets,
            clusters,
            plugins,
            problems,
            unrouted: self.registry.target(TargetLabels::unknown()),
            model,
        }
    }

    fn load_plugins(
        &mut self,
        model: &Model,
        previous: Option<&Snapshot>,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<ObjectId, PluginState> {
        if let Some(host) = &self.plugins {
            host.name_call_targets(model);
        }
        match &mut self.plugins {
            Some(host) => {
                let is_first = previous.is_none_or(|previous| previous.generation == 0);
                let plugins = previous.map(|previous| &previous.plugins);
                host.load(&model.plugins, Previous { plugins, is_first }, problems)
            }
            None => {
                let refused = |settings: &Arc<portcullis_model::Plugin>| PluginState::Refused {
                    settings: settings.clone(),
                };
                model.plugins.iter().map(|(id, settings)| (id.clone(), refused(settings))).collect()
            }
        }
    }
}

fn same_plugins(
    old: &BTreeMap<ObjectId, PluginState>,
    new: &BTreeMap<ObjectId, PluginState>,
) -> bool {
    old.len() == new.len()
        && old.iter().zip(new).all(|((old_id, old), (new_id, new))| {
            old_id == new_id
                && match (old.running(), new.running()) {
                    (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                    (None, None) => true,
                    _ => false,
                }
        })
}

fn same_clusters(
    old: &BTreeMap<ClusterName, Arc<Cluster>>,
    new: &BTreeMap<ClusterName, Arc<Cluster>>,
) -> bool {
    old.len() == new.len() && old.values().zip(new.values()).all(|(a, b)| Arc::ptr_eq(a, b))
}

fn carry_over_clusters(
    model: &Model,
    previous: Option<&Snapshot>,
    home: &ClusterHome,
) -> BTreeMap<ClusterName, Arc<Cluster>> {
    let compile = |(name, settings): (&ClusterName, &Arc<portcullis_model::Cluster>)| {
        let earlier = previous.and_then(|previous| previous.clusters.get(name));
        let cluster = match earlier {
            Some(earlier) if **earlier.settings() == **settings => earlier.clone(),
            earlier => Cluster::compile(settings, earlier, home),
        };
        (name.clone(), cluster)
    };
    model.clusters.iter().map(compile).collect()
}

fn by_socket(listeners: &[Listener]) -> BTreeMap<SocketKey, Vec<Arc<Listener>>> {
    let mut sockets: BTreeMap<SocketKey, Vec<Arc<Listener>>> = BTreeMap::new();
    for listener in listeners {
        let key = SocketKey { port: listener.port, bind: listener.bind };
        sockets.entry(key).or_default().push(Arc::new(listener.clone()));
    }
    sockets
}

fn running_slots(
    plugins: &BTreeMap<ObjectId, PluginState>,
) -> FxHashSet<portcullis_wasm::PluginSlot> {
    plugins.values().filter_map(|state| state.running().map(|plugin| plugin.id)).collect()
}
