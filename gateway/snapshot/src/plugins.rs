//! Bringing plugins up before a snapshot is published: read, check the digest, compile, link, start.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use portcullis_crypto::{hex, sha256};
use portcullis_model::{
    Code, FailStrategy, Model, Plugin as Settings, PluginModule, Problem, Severity,
};
use portcullis_telemetry::Registry;
use portcullis_wasm::{CallTarget, CallTargets, Engine, LoadError, Module, Plugin};

/// No module is larger; those of Go, the largest, have some 10 MiB.
const MOST_BYTES: u64 = 128 << 20;

/// The shipped modules by name, as `builtin:NAME` names them.
pub type Builtins = fn(&str) -> Option<&'static [u8]>;

/// What starts plugins. It lives on a control thread; nothing here runs on a worker.
pub struct PluginHost {
    engine: Arc<Engine>,
    registry: Arc<Registry>,
    builtins: Builtins,
    workers: usize,
    compiled: HashMap<[u8; 32], Weak<Module>>,
}

/// What became of a plugin object.
#[derive(Clone, Debug)]
pub enum PluginState {
    /// It runs. The settings may be newer than those it was started with, where the newer were refused.
    Running {
        /// What was last asked for.
        settings: Arc<Settings>,
        /// What runs.
        plugin: Arc<Plugin>,
        /// The digest of the module that runs.
        digest: [u8; 32],
    },
    /// It never became good; requests are answered by its fail strategy.
    Refused {
        /// What was asked for.
        settings: Arc<Settings>,
    },
}

impl PluginState {
    /// The running plugin.
    pub fn running(&self) -> Option<&Arc<Plugin>> {
        match self {
            PluginState::Running { plugin, .. } => Some(plugin),
            PluginState::Refused { .. } => None,
        }
    }

    /// What was last asked for.
    pub fn settings(&self) -> &Arc<Settings> {
        match self {
            PluginState::Running { settings, .. } | PluginState::Refused { settings } => settings,
        }
    }

    /// What its failure means.
    pub fn fail_strategy(&self) -> FailStrategy {
        self.settings().fail_strategy
    }
}

impl PluginHost {
    /// A host that starts one instance for each of so many workers.
    pub fn new(
        engine: Arc<Engine>,
        registry: Arc<Registry>,
        builtins: Builtins,
        workers: usize,
    ) -> Self {
        PluginHost { engine, registry, builtins, workers, compiled: HashMap::new() }
    }

    /// Tells plugins which clusters they may call, before they start: they may call while they are configured.
    pub(crate) fn name_call_targets(&self, model: &Model) {
        let targets = model.clusters.iter().map(|(name, cluster)| CallTarget {
            name,
            service: &cluster.service,
            namespace: &cluster.namespace,
        });
        self.engine.set_call_targets(CallTargets::new(targets));
    }

    /// Brings one plugin object up. What did not change is carried over, running instances and all; what
    /// fails keeps its last good version.
    pub(crate) fn load(
        &mut self,
        settings: &Arc<Settings>,
        previous: Option<&PluginState>,
        problems: &mut Vec<Problem>,
    ) -> PluginState {
        if matches!(settings.module, PluginModule::Broken(_)) {
            // Whoever read the object has said what is wrong with it.
            return fall_back(settings, previous);
        }
        let loaded = self.read(settings).and_then(|bytes| {
            let digest = sha256(&bytes);
            check_digest(settings, &digest)?;
            if let Some(carried) = carry_over(settings, &digest, previous) {
                return Ok(carried);
            }
            let plugin = self.start(settings, &bytes, digest)?;
            Ok(PluginState::Running { settings: settings.clone(), plugin, digest })
        });
        loaded.unwrap_or_else(|failure| {
            problems.push(problem(settings, &failure, previous));
            fall_back(settings, previous)
        })
    }

    fn start(
        &mut self,
        settings: &Arc<Settings>,
        bytes: &[u8],
        digest: [u8; 32],
    ) -> Result<Arc<Plugin>, Failure> {
        let module = self.module(bytes, digest).map_err(Failure::Load)?;
        let name = settings.id.to_string();
        let metrics = self.registry.plugin_metrics(&name);
        Plugin::start(&self.engine, &module, settings, self.workers, metrics).map_err(Failure::Load)
    }

    /// The compiled module, shared by all plugin objects that use the same bytes.
    fn module(&mut self, bytes: &[u8], digest: [u8; 32]) -> Result<Arc<Module>, LoadError> {
        if let Some(module) = self.compiled.get(&digest).and_then(Weak::upgrade) {
            return Ok(module);
        }
        let module = self.engine.compile(bytes)?;
        self.compiled.retain(|_, module| module.strong_count() > 0);
        self.compiled.insert(digest, Arc::downgrade(&module));
        Ok(module)
    }

    fn read(&self, settings: &Settings) -> Result<std::borrow::Cow<'static, [u8]>, Failure> {
        match &settings.module {
            PluginModule::Builtin(name) => (self.builtins)(name)
                .map(Into::into)
                .ok_or_else(|| Failure::NoBuiltin(name.clone())),
            PluginModule::File(path) => read_file(path).map(Into::into),
            PluginModule::Broken(why) => Err(Failure::Unreadable(why.clone())),
        }
    }
}

/// Why a plugin did not come up.
enum Failure {
    Unreadable(String),
    NoBuiltin(String),
    Digest { wanted: String, found: String },
    Load(LoadError),
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

fn check_digest(settings: &Settings, digest: &[u8; 32]) -> Result<(), Failure> {
    let found = hex(digest);
    match &settings.sha256 {
        Some(wanted) if *wanted != found => Err(Failure::Digest { wanted: wanted.clone(), found }),
        _ => Ok(()),
    }
}

fn carry_over(
    settings: &Arc<Settings>,
    digest: &[u8; 32],
    previous: Option<&PluginState>,
) -> Option<PluginState> {
    match previous? {
        PluginState::Running { plugin, digest: running, .. }
            if running == digest && runs_the_same(plugin.settings(), settings) =>
        {
            Some(PluginState::Running {
                settings: settings.clone(),
                plugin: plugin.clone(),
                digest: *digest,
            })
        }
        _ => None,
    }
}

/// Whether a running plugin would notice the difference: its place in the chain and its fail strategy are
/// the chain's matter, not its own.
fn runs_the_same(running: &Settings, wanted: &Settings) -> bool {
    running.root_id == wanted.root_id
        && running.configuration == wanted.configuration
        && running.environment == wanted.environment
        && running.limits == wanted.limits
        && running.compatibility == wanted.compatibility
        && running.vm_id == wanted.vm_id
}

fn fall_back(settings: &Arc<Settings>, previous: Option<&PluginState>) -> PluginState {
    match previous {
        Some(PluginState::Running { plugin, digest, .. }) => PluginState::Running {
            settings: settings.clone(),
            plugin: plugin.clone(),
            digest: *digest,
        },
        _ => PluginState::Refused { settings: settings.clone() },
    }
}

fn problem(settings: &Settings, failure: &Failure, previous: Option<&PluginState>) -> Problem {
    let (code, field, message, help) = match failure {
        Failure::Unreadable(error) => (
            "PC0401",
            "spec.url",
            format!("the module cannot be read: {error}"),
            "put the module there, or correct the url; a relative path starts at the manifest's directory"
                .to_owned(),
        ),
        Failure::NoBuiltin(name) => (
            "PC0402",
            "spec.url",
            format!("there is no shipped plugin `{name}`"),
            "the shipped plugins are `builtin:jwt-auth` and `builtin:telemetry`".to_owned(),
        ),
        Failure::Digest { wanted, found } => (
            "PC0403",
            "spec.sha256",
            format!("the module's SHA-256 is {found}, not {wanted}"),
            "correct sha256, or find out who changed the module".to_owned(),
        ),
        Failure::Load(error) => load_problem(error),
    };
    let consequence = match (previous.and_then(PluginState::running), settings.fail_strategy) {
        (Some(_), _) => "the last good version serves on",
        (None, FailStrategy::Close) => {
            "until then its requests are refused with 503 (failStrategy FAIL_CLOSE)"
        }
        (None, FailStrategy::Open) => {
            "until then its requests pass without it (failStrategy FAIL_OPEN)"
        }
    };
    Problem {
        code: Code(code),
        severity: Severity::Error,
        object: Some(settings.id.clone()),
        field: field.to_owned(),
        origin: settings.origin.clone(),
        message: format!("{message} ({})", url(&settings.module)),
        help: format!("{help}; {consequence}"),
    }
}

fn load_problem(error: &LoadError) -> (&'static str, &'static str, String, String) {
    let code = match error {
        LoadError::Import { .. } => "PC0405",
        LoadError::Refused { .. } => "PC0406",
        _ => "PC0404",
    };
    let field = if code == "PC0406" { "spec.pluginConfig" } else { "spec.url" };
    let help = match code {
        "PC0405" => {
            "build the module against Proxy-Wasm 0.1.0, 0.2.0 or 0.2.1, without host functions of another host"
        }
        "PC0406" => "correct pluginConfig; the plugin's own words are above",
        _ => {
            "build the module anew for wasm32-wasip1 or wasm32-unknown-unknown with a Proxy-Wasm SDK"
        }
    };
    (code, field, error.to_string(), help.to_owned())
}

fn url(module: &PluginModule) -> String {
    match module {
        PluginModule::File(path) => format!("file://{}", path.display()),
        PluginModule::Builtin(name) => format!("builtin:{name}"),
        PluginModule::Broken(why) => why.clone(),
    }
}
