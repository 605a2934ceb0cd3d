//! Bringing plugins up before a snapshot points to them: all at once, off the request path, none holding up another.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_crypto::{hex, sha256};
use portcullis_model::{Model, ObjectId, Plugin as Settings, PluginModule, Problem, PullPolicy};
use portcullis_supply::{Freshness, ModuleRequest, Supply};
use portcullis_telemetry::Registry;
use portcullis_wasm::{CallTarget, CallTargets, Engine};

use crate::PluginState;
use crate::plugin_failure::{Failure, Meanwhile, problem};
use crate::plugin_job::{Board, Job, News, Source, Stage, Workshop};
use crate::plugin_state::{is_same_work, runs_the_same};

/// No file is larger; the limit of what is compiled is each plugin's own.
const MOST_BYTES: u64 = 128 << 20;
/// So long the first configuration waits for its plugins.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// So long a later one waits for those whose modules are at hand; for a registry it waits never.
const RELOAD_PATIENCE: Duration = Duration::from_secs(2);
/// Longer than any plugin takes.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// The shipped modules by name, as `builtin:NAME` names them.
pub type Builtins = fn(&str) -> Option<&'static [u8]>;

/// What starts plugins. It lives on a control thread; nothing here runs on a worker.
pub struct PluginHost {
    workshop: Arc<Workshop>,
    builtins: Builtins,
    purpose: Purpose,
    jobs: HashMap<ObjectId, Job>,
    /// Counted up where modules are to be pulled anew.
    epoch: u64,
    pulled: HashMap<ObjectId, u64>,
}

/// What plugins are brought up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To serve: nothing waits long, modules are fetched.
    Serving,
    /// To see whether they would come up: each one is waited for, nothing is fetched.
    Checking,
}

/// How far an object is when a configuration is compiled.
enum Begun {
    Settled(PluginState),
    Failed(Failure),
    AtWork,
}

impl PluginHost {
    /// A host that starts one instance for each of so many workers, of modules that are at hand.
    pub fn new(
        engine: Arc<Engine>,
        registry: Arc<Registry>,
        builtins: Builtins,
        workers: usize,
    ) -> Self {
        let workshop = Workshop {
            engine,
            registry,
            workers,
            supply: None,
            board: Board::default(),
            compiled: Mutex::default(),
        };
        PluginHost {
            workshop: Arc::new(workshop),
            builtins,
            purpose: Purpose::Checking,
            jobs: HashMap::new(),
            epoch: 0,
            pulled: HashMap::new(),
        }
    }

    /// Has modules that are elsewhere taken from what is kept of them; nothing is fetched.
    #[must_use]
    pub fn with_kept(mut self, supply: Arc<Supply>) -> Self {
        self.change(|workshop| workshop.supply = Some(supply));
        self
    }

    /// Has modules fetched, and `news` told when a plugin comes up, or fails, for which no configuration waited.
    #[must_use]
    pub fn serving(mut self, supply: Arc<Supply>, news: News) -> Self {
        self.purpose = Purpose::Serving;
        self.change(|workshop| {
            workshop.supply = Some(supply);
            workshop.board.news = Some(news);
        });
        self
    }

    fn change(&mut self, change: impl FnOnce(&mut Workshop)) {
        // Before the first job nobody else holds it.
        if let Some(workshop) = Arc::get_mut(&mut self.workshop) {
            change(workshop);
        }
    }

    /// Has what failed tried again, and pulled anew what is always pulled, with the next configuration.
    pub fn pull_anew(&mut self) {
        self.epoch += 1;
        self.jobs.retain(|_, job| !matches!(job.stage(), Stage::Failed(_)));
    }

    /// Tells plugins which clusters they may call, before they start: they may call while they are configured.
    pub(crate) fn name_call_targets(&self, model: &Model) {
        let targets = model.clusters.iter().map(|(name, cluster)| CallTarget {
            name,
            service: &cluster.service,
            namespace: &cluster.namespace,
        });
        self.workshop.engine.set_call_targets(CallTargets::new(targets));
    }

    /// Brings all plugin objects up, side by side. What did not change is carried over, running instances and all;
    /// what fails, or takes longer than a configuration waits, keeps its last good version.
    pub(crate) fn load(
        &mut self,
        wanted: &BTreeMap<ObjectId, Arc<Settings>>,
        previous: Previous<'_>,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<ObjectId, PluginState> {
        // Whoever left the configuration is given up.
        self.jobs.retain(|id, _| wanted.contains_key(id));
        self.pulled.retain(|id, _| wanted.contains_key(id));
        let begun: Vec<_> = wanted
            .iter()
            .map(|(id, settings)| (id, settings, self.begin(settings, previous)))
            .collect();
        self.wait();
        begun
            .into_iter()
            .map(|(id, settings, begun)| {
                let earlier = previous.plugins.and_then(|plugins| plugins.get(id));
                (id.clone(), self.settle(settings, earlier, begun, problems))
            })
            .collect()
    }

    fn begin(&mut self, settings: &Arc<Settings>, previous: Previous<'_>) -> Begun {
        let earlier = previous.plugins.and_then(|plugins| plugins.get(&settings.id));
        match &settings.module {
            // Whoever read the object has said what is wrong with it.
            PluginModule::Broken(_) => {
                self.jobs.remove(&settings.id);
                Begun::Settled(PluginState::without(settings, earlier))
            }
            PluginModule::Builtin(_) | PluginModule::File(_) => {
                self.begin_at_hand(settings, earlier, previous)
            }
            PluginModule::Web(_) | PluginModule::Image(_) => {
                self.begin_elsewhere(settings, earlier, previous)
            }
        }
    }

    fn begin_at_hand(
        &mut self,
        settings: &Arc<Settings>,
        earlier: Option<&PluginState>,
        previous: Previous<'_>,
    ) -> Begun {
        let bytes = match read(settings, self.builtins) {
            Ok(bytes) => bytes,
            Err(failure) => {
                self.jobs.remove(&settings.id);
                return Begun::Failed(failure);
            }
        };
        let digest = sha256(&bytes);
        if let Some(carried) = carry_over(settings, earlier, |plugin, running| {
            running == digest && runs_the_same(plugin, settings)
        }) {
            self.jobs.remove(&settings.id);
            return Begun::Settled(carried);
        }
        let is_same =
            |job: &Job| job.digest == Some(digest) && runs_the_same(&job.settings, settings);
        if self.jobs.get(&settings.id).is_some_and(is_same) {
            return Begun::AtWork;
        }
        self.set_to_work(settings, Source::AtHand { bytes, digest }, previous)
    }

    fn begin_elsewhere(
        &mut self,
        settings: &Arc<Settings>,
        earlier: Option<&PluginState>,
        previous: Previous<'_>,
    ) -> Begun {
        let id = &settings.id;
        let is_same = |job: &Job| job.digest.is_none() && is_same_work(&job.settings, settings);
        let pulled_anew = self.pulled.get(id) == Some(&self.epoch);
        let due = settings.supply.pull == PullPolicy::Always && !pulled_anew;
        if self.jobs.get(id).is_some_and(is_same) && !due {
            return Begun::AtWork;
        }
        let running = carry_over(settings, earlier, |plugin, _| is_same_work(plugin, settings));
        if let Some(carried) = &running
            && !due
        {
            self.jobs.remove(id);
            return Begun::Settled(carried.clone());
        }
        let running = match &running {
            Some(PluginState::Running { digest, .. }) => Some(*digest),
            _ => None,
        };
        self.pulled.insert(id.clone(), self.epoch);
        let freshness = match (self.purpose, settings.supply.pull) {
            (Purpose::Checking, _) => Freshness::KeptOnly,
            (Purpose::Serving, PullPolicy::Always) => Freshness::Anew,
            (Purpose::Serving, PullPolicy::IfNotPresent) => Freshness::Kept,
        };
        let request = ModuleRequest {
            module: settings.module.clone(),
            sha256: settings.sha256.clone(),
            supply: settings.supply.clone(),
            limit: settings.limits.module,
        };
        let source = Source::Elsewhere { request: Box::new(request), freshness, running };
        self.set_to_work(settings, source, previous)
    }

    /// A newer version ends the work on the older.
    fn set_to_work(
        &mut self,
        settings: &Arc<Settings>,
        source: Source,
        previous: Previous<'_>,
    ) -> Begun {
        self.jobs.remove(&settings.id);
        let patience = match (self.purpose, previous.is_first, &source) {
            (Purpose::Checking, ..) => Some(FOR_EVER),
            (Purpose::Serving, true, _) => Some(START_PATIENCE),
            (Purpose::Serving, false, Source::AtHand { .. }) => Some(RELOAD_PATIENCE),
            (Purpose::Serving, false, Source::Elsewhere { .. }) => None,
        };
        let until = patience.map(|patience| Instant::now() + patience);
        match Job::begin(&self.workshop, settings, source, until) {
            Ok(job) => {
                self.jobs.insert(settings.id.clone(), job);
                Begun::AtWork
            }
            Err(failure) => Begun::Failed(failure),
        }
    }

    /// Until each job that is waited for has come to something, or its time is over.
    fn wait(&self) {
        let latest = self.jobs.values().filter_map(|job| job.waited_until).max();
        let Some(latest) = latest else { return };
        let is_done = || {
            let now = Instant::now();
            !self.jobs.values().any(|job| job.is_waited_for(now))
        };
        let longest = latest.saturating_duration_since(Instant::now());
        self.workshop.board.wait(longest, is_done);
    }

    fn settle(
        &mut self,
        settings: &Arc<Settings>,
        earlier: Option<&PluginState>,
        begun: Begun,
        problems: &mut Vec<Problem>,
    ) -> PluginState {
        let failure = match begun {
            Begun::Settled(state) => return state,
            Begun::Failed(failure) => failure,
            Begun::AtWork => match self.jobs.get(&settings.id).map(Job::stage) {
                None | Some(Stage::Same) => {
                    self.jobs.remove(&settings.id);
                    return PluginState::without(settings, earlier);
                }
                Some(Stage::Ready(plugin, digest)) => {
                    self.jobs.remove(&settings.id);
                    return PluginState::Running { settings: settings.clone(), plugin, digest };
                }
                Some(Stage::Failed(failure)) => failure,
                Some(Stage::Working) => Failure::OnItsWay,
            },
        };
        let has_good = earlier.is_some_and(|state| state.running().is_some());
        let meanwhile = if has_good { Meanwhile::LastGood } else { Meanwhile::Nothing };
        problems.push(problem(settings, &failure, meanwhile));
        if failure == Failure::OnItsWay && !has_good {
            return PluginState::Loading { settings: settings.clone() };
        }
        PluginState::without(settings, earlier)
    }
}

/// What served before.
#[derive(Clone, Copy)]
pub(crate) struct Previous<'a> {
    pub(crate) plugins: Option<&'a BTreeMap<ObjectId, PluginState>>,
    /// Nothing has been served yet.
    pub(crate) is_first: bool,
}

fn carry_over(
    settings: &Arc<Settings>,
    earlier: Option<&PluginState>,
    fits: impl FnOnce(&Settings, [u8; 32]) -> bool,
) -> Option<PluginState> {
    match earlier? {
        PluginState::Running { plugin, digest, .. } if fits(plugin.settings(), *digest) => {
            Some(PluginState::Running {
                settings: settings.clone(),
                plugin: plugin.clone(),
                digest: *digest,
            })
        }
        _ => None,
    }
}

/// A module that is at hand, with the digest that is demanded.
fn read(
    settings: &Settings,
    builtins: Builtins,
) -> Result<std::borrow::Cow<'static, [u8]>, Failure> {
    let bytes: std::borrow::Cow<'static, [u8]> = match &settings.module {
        PluginModule::Builtin(name) => {
            builtins(name).map(Into::into).ok_or_else(|| Failure::NoBuiltin(name.clone()))
        }
        PluginModule::File(path) => read_file(path).map(Into::into),
        other => Err(Failure::Unreadable(other.to_string())),
    }?;
    let found = hex(&sha256(&bytes));
    match &settings.sha256 {
        Some(wanted) if *wanted != found => Err(Failure::Digest { wanted: wanted.clone(), found }),
        _ => Ok(bytes),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |why: &dyn std::fmt::Display| Failure::Unreadable(format!("{}: {why}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        // A pipe or a device might never end.
        return Err(unreadable(&"it is no regular file"));
    }
    if metadata.len() > MOST_BYTES {
        return Err(unreadable(&format_args!("it is larger than {} MiB", MOST_BYTES >> 20)));
    }
    std::fs::read(path).map_err(|error| unreadable(&error))
}
