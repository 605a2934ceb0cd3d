//! Bringing one plugin object up on a thread of its own, so that it holds up nothing else.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_model::Plugin as Settings;
use portcullis_supply::{Abandoned, Freshness, ModuleRequest, Supply, SupplyError, Wanted};
use portcullis_telemetry::{CompileResult, Registry};
use portcullis_wasm::{Engine, LoadError, Module, Plugin};

use crate::plugin_failure::Failure;

/// Between two fetches, from the first failure on; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Who is told that a plugin came up, or failed, after its configuration was published.
pub type News = Arc<dyn Fn() + Send + Sync>;

/// What plugins are brought up with.
pub(crate) struct Workshop {
    pub(crate) engine: Arc<Engine>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) workers: usize,
    pub(crate) supply: Option<Arc<Supply>>,
    pub(crate) board: Board,
    /// Held while one is compiled: one thread compiles at a time, whatever comes.
    pub(crate) compiled: Mutex<HashMap<[u8; 32], Weak<Module>>>,
}

/// Tells those who wait that some job has come further.
#[derive(Default)]
pub(crate) struct Board {
    lock: Mutex<()>,
    changed: Condvar,
    pub(crate) news: Option<News>,
}

/// Where a module comes from.
pub(crate) enum Source {
    /// Its bytes are at hand.
    AtHand { bytes: Cow<'static, [u8]>, digest: [u8; 32] },
    /// It is fetched; nothing is started where it is what runs already.
    Elsewhere { request: Box<ModuleRequest>, freshness: Freshness, running: Option<[u8; 32]> },
}

/// How far a job is.
#[derive(Clone)]
pub(crate) enum Stage {
    /// At work.
    Working,
    /// It failed; where it was fetched, it is tried again after a while.
    Failed(Failure),
    /// What was fetched is what runs.
    Same,
    /// It runs.
    Ready(Arc<Plugin>, [u8; 32]),
}

/// A plugin object that is being brought up. Dropped, it gives up.
pub(crate) struct Job {
    pub(crate) settings: Arc<Settings>,
    /// Of the bytes at hand.
    pub(crate) digest: Option<[u8; 32]>,
    /// So long a configuration waits for it.
    pub(crate) waited_until: Option<Instant>,
    stage: Arc<Mutex<Stage>>,
    _wanted: Wanted,
}

impl Job {
    /// Begins on a thread of its own.
    pub(crate) fn begin(
        workshop: &Arc<Workshop>,
        settings: &Arc<Settings>,
        source: Source,
        waited_until: Option<Instant>,
    ) -> Result<Self, Failure> {
        let stage = Arc::new(Mutex::new(Stage::Working));
        let digest = match &source {
            Source::AtHand { digest, .. } => Some(*digest),
            Source::Elsewhere { .. } => None,
        };
        let (wanted, abandoned) = Wanted::new();
        let work = Work {
            workshop: workshop.clone(),
            settings: settings.clone(),
            stage: stage.clone(),
            abandoned,
        };
        thread::Builder::new()
            .name("plugin-loader".to_owned())
            .spawn(move || {
                // A configuration that waits for it waits only for so long.
                if waited_until.is_none() {
                    step_back();
                }
                work.run(&source);
            })
            .map_err(|error| Failure::NoThread(error.to_string()))?;
        Ok(Job { settings: settings.clone(), digest, waited_until, stage, _wanted: wanted })
    }

    pub(crate) fn stage(&self) -> Stage {
        lock(&self.stage).clone()
    }

    /// Whether a configuration still waits for it.
    pub(crate) fn is_waited_for(&self, now: Instant) -> bool {
        self.waited_until.is_some_and(|until| now < until)
            && matches!(*lock(&self.stage), Stage::Working)
    }
}

impl Board {
    /// Waits until something changed, or so long.
    pub(crate) fn wait(&self, longest: Duration, is_done: impl Fn() -> bool) {
        let guard = lock(&self.lock);
        let waiting = |_: &mut ()| !is_done();
        // Whoever waits looks at the jobs themselves.
        let _ = self.changed.wait_timeout_while(guard, longest, waiting);
    }

    fn tell(&self) {
        drop(lock(&self.lock));
        self.changed.notify_all();
        if let Some(news) = &self.news {
            news();
        }
    }
}

struct Work {
    workshop: Arc<Workshop>,
    settings: Arc<Settings>,
    stage: Arc<Mutex<Stage>>,
    abandoned: Abandoned,
}

impl Work {
    fn run(self, source: &Source) {
        let mut pause = FIRST_PAUSE;
        loop {
            let stage = self.attempt(source);
            let again = matches!(&stage, Stage::Failed(Failure::Supply(error)) if *error != SupplyError::NotCached);
            self.set(stage);
            let Some(supply) = self.workshop.supply.as_ref().filter(|_| again) else { return };
            supply.wait(pause, &self.abandoned);
            if self.abandoned.is_so() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn attempt(&self, source: &Source) -> Stage {
        match source {
            Source::AtHand { bytes, digest } => self.start(bytes, *digest),
            Source::Elsewhere { request, freshness, running } => {
                let none = Err(SupplyError::NotCached);
                let supply = self.workshop.supply.as_ref();
                let fetched = supply
                    .map_or(none, |supply| supply.fetch(request, *freshness, &self.abandoned));
                match fetched {
                    Ok(fetched) if Some(fetched.digest) == *running => Stage::Same,
                    Ok(fetched) => self.start(&fetched.bytes, fetched.digest),
                    Err(error) => Stage::Failed(Failure::Supply(error)),
                }
            }
        }
    }

    fn start(&self, bytes: &[u8], digest: [u8; 32]) -> Stage {
        let started = self.module(bytes, digest).and_then(|module| {
            let Workshop { engine, registry, workers, .. } = &*self.workshop;
            let metrics = registry.plugin_metrics(&self.settings.id.to_string());
            Plugin::start(engine, &module, &self.settings, *workers, metrics)
        });
        match started {
            Ok(plugin) => Stage::Ready(plugin, digest),
            Err(error) => Stage::Failed(Failure::Load(error)),
        }
    }

    /// The compiled module, shared by all plugin objects that use the same bytes.
    fn module(&self, bytes: &[u8], digest: [u8; 32]) -> Result<Arc<Module>, LoadError> {
        let limit = self.settings.limits.module;
        if bytes.len() > limit {
            return Err(LoadError::TooLarge { size: bytes.len(), limit });
        }
        let mut compiled = lock(&self.workshop.compiled);
        if let Some(module) = compiled.get(&digest).and_then(Weak::upgrade) {
            return Ok(module);
        }
        let began = Instant::now();
        let module = self.workshop.engine.compile_within(bytes, limit);
        let result = match &module {
            Ok(module) if module.was_kept() => CompileResult::Cached,
            Ok(_) => CompileResult::Compiled,
            Err(_) => CompileResult::Failed,
        };
        self.workshop.registry.plugin_supply_counts().compiled(result, began.elapsed());
        let module = module?;
        compiled.retain(|_, module| module.strong_count() > 0);
        compiled.insert(digest, Arc::downgrade(&module));
        Ok(module)
    }

    fn set(&self, stage: Stage) {
        let is_news = match (&*lock(&self.stage), &stage) {
            (Stage::Failed(before), Stage::Failed(now)) => before != now,
            _ => true,
        };
        *lock(&self.stage) = stage;
        if is_news && !self.abandoned.is_so() {
            self.workshop.board.tell();
        }
    }
}

/// From now on this thread has a processor only where nobody else needs it: however many plugins are compiled and
/// started, and however long that takes, requests come first. Where the system refuses, they come at the same time.
fn step_back() {
    const BEHIND: i32 = 10;
    let _ = rustix::process::nice(BEHIND);
}

/// What a thread left that panicked is as good as before: it is replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rustix::process::nice;

    use super::*;

    #[test]
    fn who_brings_plugins_up_steps_back_and_nobody_else() {
        let before = nice(0).unwrap();
        let behind = thread::spawn(|| {
            step_back();
            nice(0).unwrap()
        });
        assert_eq!(behind.join().unwrap(), (before + 10).min(19));
        assert_eq!(nice(0).unwrap(), before);
    }
}
