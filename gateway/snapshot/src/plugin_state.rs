//! What became of a plugin object.

use std::sync::Arc;

use portcullis_model::{FailStrategy, Plugin as Settings};
use portcullis_wasm::Plugin;

/// What became of a plugin object.
#[derive(Clone, Debug)]
pub enum PluginState {
    /// It runs. The settings may be newer than those it was started with, where the newer were refused or are on
    /// their way.
    Running {
        /// What was last asked for.
        settings: Arc<Settings>,
        /// What runs.
        plugin: Arc<Plugin>,
        /// The digest of the module that runs.
        digest: [u8; 32],
    },
    /// Its first version is still being fetched, compiled or started; requests are answered by its fail strategy.
    Loading {
        /// What was asked for.
        settings: Arc<Settings>,
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
            PluginState::Loading { .. } | PluginState::Refused { .. } => None,
        }
    }

    /// What was last asked for.
    pub fn settings(&self) -> &Arc<Settings> {
        match self {
            PluginState::Running { settings, .. }
            | PluginState::Loading { settings }
            | PluginState::Refused { settings } => settings,
        }
    }

    /// What its failure means.
    pub fn fail_strategy(&self) -> FailStrategy {
        self.settings().fail_strategy
    }

    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            PluginState::Running { .. } => "running",
            PluginState::Loading { .. } => "loading",
            PluginState::Refused { .. } => "refused",
        }
    }

    /// What serves while a version is not good: the last good one, if there is any.
    pub(crate) fn without(settings: &Arc<Settings>, previous: Option<&Self>) -> Self {
        match previous {
            Some(PluginState::Running { plugin, digest, .. }) => PluginState::Running {
                settings: settings.clone(),
                plugin: plugin.clone(),
                digest: *digest,
            },
            _ => PluginState::Refused { settings: settings.clone() },
        }
    }
}

/// Whether two objects want the same module, got in the same way, and run it alike.
pub(crate) fn is_same_work(one: &Settings, other: &Settings) -> bool {
    one.module == other.module
        && one.sha256 == other.sha256
        && one.supply == other.supply
        && runs_the_same(one, other)
}

/// Whether a running plugin would notice the difference: its place in the chain and its fail strategy are
/// the chain's matter, not its own.
pub(crate) fn runs_the_same(running: &Settings, wanted: &Settings) -> bool {
    running.root_id == wanted.root_id
        && running.configuration == wanted.configuration
        && running.environment == wanted.environment
        && running.limits == wanted.limits
        && running.isolation == wanted.isolation
        && running.compatibility == wanted.compatibility
        && running.vm_id == wanted.vm_id
        && running.capabilities == wanted.capabilities
        && running.manifest_demand == wanted.manifest_demand
}
