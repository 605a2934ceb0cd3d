//! The control loop: from a draft to a published snapshot and bound listeners.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_discovery::{Discovery, Keys};
use portcullis_edge::Workers;
use portcullis_manifests::{CertificateFiles, Draft, Memory, into_model_with};
use portcullis_message::TrustedProxies;
use portcullis_model::{PluginModule, Problem, Severity};
use portcullis_snapshot::{Compiled, Compiler, News, Published, Snapshot};
use portcullis_telemetry::Registry;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::certificate_files::read_certificate_file;
use crate::compatibility::Compatibility;
use crate::configuration::premises;
use crate::proxy_headers::unbelievable_headers;
use crate::workload::Workload;

/// Applies drafts one after the other on a thread of its own, so that compiling plugins never delays a
/// request, a health check or a signal.
pub(crate) struct Control {
    jobs: mpsc::UnboundedSender<Job>,
}

enum Job {
    /// A configuration is to be applied.
    Draft { draft: Arc<Draft>, problems: Vec<Problem>, done: oneshot::Sender<Applied> },
    /// A plugin came up, or failed, for which no configuration waited.
    PluginNews,
    /// Modules are to be pulled anew.
    PullAnew,
}

/// Where news of plugins go, before there is anybody who acts on them.
pub(crate) struct Jobs {
    sender: mpsc::UnboundedSender<Job>,
    waiting: mpsc::UnboundedReceiver<Job>,
}

impl Jobs {
    /// None yet.
    pub(crate) fn new() -> Self {
        let (sender, waiting) = mpsc::unbounded_channel();
        Jobs { sender, waiting }
    }

    /// Has the configuration compiled again with what came of its plugins.
    pub(crate) fn plugin_news(&self) -> News {
        let jobs = self.sender.clone();
        Arc::new(move || {
            // Nobody hears it in a process that is ending.
            let _ = jobs.send(Job::PluginNews);
        })
    }
}

/// What came of a draft.
pub(crate) struct Applied {
    /// The generation that serves now.
    pub generation: u64,
    /// Files outside the configuration that it depends on: local Wasm modules, certificates.
    pub watch: BTreeSet<PathBuf>,
}

/// What the control thread works with.
pub(crate) struct ControlParts {
    /// Compiles models.
    pub compiler: Compiler,
    /// Where snapshots are published.
    pub published: Arc<Published>,
    /// Who binds the listeners.
    pub workers: Arc<Workers>,
    /// Who finds endpoints that are not written.
    pub discovery: Arc<Discovery>,
    /// Who fetches keys for tokens.
    pub keys: Keys,
    /// The runtime that it works on.
    pub runtime: Handle,
    /// Where the generation is counted.
    pub registry: Arc<Registry>,
    /// Whose behaviour is copied.
    pub compat: Option<Compatibility>,
    /// What the gateway is in its cluster.
    pub workload: Workload,
    /// Whose PROXY headers are believed.
    pub trusted: Arc<TrustedProxies>,
}

/// Requests come first where cores are few: beside busy workers a configuration still has a quarter of a core.
const NICENESS: i32 = 5;

impl Control {
    /// Starts the control thread.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(crate) fn start(parts: ControlParts, jobs: Jobs) -> std::io::Result<Self> {
        let Jobs { sender, mut waiting } = jobs;
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            // Threads that it begins are as modest. Where the system refuses, requests merely wait a little more.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            let mut applier = Applier { parts, memory: Memory::default(), written: Vec::new() };
            while let Some(job) = waiting.blocking_recv() {
                match job {
                    Job::Draft { draft, problems, done } => {
                        // Nobody waits for the answer of a draft when the process is ending.
                        let _ = done.send(applier.apply(&draft, problems));
                    }
                    Job::PluginNews => applier.compile_again(),
                    Job::PullAnew => {
                        applier.parts.compiler.pull_anew();
                        applier.compile_again();
                    }
                }
            }
        })?;
        Ok(Control { jobs: sender })
    }

    /// Has images pulled anew that always are, and what failed tried again.
    pub(crate) fn pull_anew(&self) {
        // Nobody hears it in a process that is ending.
        let _ = self.jobs.send(Job::PullAnew);
    }

    /// Has a draft applied, `problems` being what could not even be read. The answer comes when it is; it ends
    /// without one where the control thread is gone.
    pub(crate) fn apply(
        &self,
        draft: Arc<Draft>,
        problems: Vec<Problem>,
    ) -> oneshot::Receiver<Applied> {
        let (done, applied) = oneshot::channel();
        // Where nobody receives it, `done` is dropped with the job.
        let _ = self.jobs.send(Job::Draft { draft, problems, done });
        applied
    }
}

struct Applier {
    parts: ControlParts,
    memory: Memory,
    /// What is wrong with what was written; what came of its plugins is beside it.
    written: Vec<Problem>,
}

impl Applier {
    fn apply(&mut self, draft: &Draft, mut problems: Vec<Problem>) -> Applied {
        let started = Instant::now();
        let ControlParts { compat, ref workload, .. } = self.parts;
        let files = CertificateFiles::new(&workload.mesh_certificates, &read_certificate_file);
        let premises = premises(compat, workload, &files);
        let conversion = into_model_with(draft, &self.memory, premises);
        self.memory = conversion.memory;
        let previous = self.parts.published.current();
        let mut watch = local_modules(&conversion.model);
        watch.extend(files.into_asked());
        problems.extend(conversion.problems);
        problems.extend(unbelievable_headers(&conversion.model, &self.parts.trusted));
        self.written.clone_from(&problems);
        let compiled = self.parts.compiler.compile(conversion.model, problems, Some(&previous));
        let generation = match compiled {
            Compiled::Unchanged => self.keep(&previous),
            Compiled::Changed(snapshot) => self.publish(*snapshot, &previous, started.elapsed()),
        };
        Applied { generation, watch }
    }

    /// The configuration that serves, with what came of its plugins since. Before there is one, there is nothing to do.
    fn compile_again(&mut self) {
        let previous = self.parts.published.current();
        if previous.generation == 0 {
            return;
        }
        let started = Instant::now();
        let (model, problems) = ((*previous.model).clone(), self.written.clone());
        let compiled = self.parts.compiler.compile(model, problems, Some(&previous));
        if let Compiled::Changed(snapshot) = compiled {
            self.publish(*snapshot, &previous, started.elapsed());
        }
    }

    /// Nothing that is served changed; a listener that could not be opened gets another try.
    fn keep(&self, current: &Snapshot) -> u64 {
        report(&self.parts.workers.reconcile(current), &[]);
        tracing::info!(generation = current.generation, "configuration unchanged");
        current.generation
    }

    fn publish(&self, snapshot: Snapshot, previous: &Snapshot, took: Duration) -> u64 {
        report(&snapshot.problems, &previous.problems);
        self.discover(&snapshot);
        let snapshot = self.parts.published.publish(snapshot);
        report(&self.parts.workers.reconcile(&snapshot), &[]);
        self.parts.registry.set_generation(snapshot.generation);
        self.parts.registry.observe_apply(took);
        self.parts.registry.set_config_problems(snapshot.problems.len());
        let plugins: HashSet<String> = snapshot.plugins.keys().map(ToString::to_string).collect();
        self.parts.registry.retain_plugins(|name| plugins.contains(name));
        tracing::info!(
            generation = snapshot.generation,
            listeners = snapshot.model.listeners.len(),
            clusters = snapshot.clusters.len(),
            plugins = snapshot.plugins.len(),
            problems = snapshot.problems.len(),
            "configuration applied"
        );
        snapshot.generation
    }
}

impl Applier {
    /// Has the endpoints of a snapshot found that are not written, and the keys for tokens. A name or place that is new
    /// is waited for a moment, so that its first request does not come too early.
    fn discover(&self, snapshot: &Snapshot) {
        let clusters: Vec<_> = snapshot.clusters.values().cloned().collect();
        self.parts.discovery.follow(&clusters);
        self.parts.keys.follow(snapshot.authentications.remote());
        self.parts.runtime.block_on(async {
            tokio::join!(self.parts.discovery.first_answers(), self.parts.keys.first_answers());
        });
    }
}

/// Logs each problem that was not there before, on a line of its own.
fn report(problems: &[Problem], before: &[Problem]) {
    let known: HashSet<String> = before.iter().map(ToString::to_string).collect();
    for problem in problems {
        let line = problem.to_string();
        match problem.severity {
            _ if known.contains(&line) => {}
            Severity::Error => tracing::error!("{line}"),
            Severity::Warning => tracing::warn!("{line}"),
        }
    }
}

fn local_modules(model: &portcullis_model::Model) -> BTreeSet<PathBuf> {
    let file = |plugin: &Arc<portcullis_model::Plugin>| match &plugin.module {
        PluginModule::File(path) => Some(path.clone()),
        _ => None,
    };
    model.plugins.values().filter_map(file).collect()
}
