//! Plugin objects (Istio's `WasmPlugin`).

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::{ObjectId, Origin};

/// One plugin object: a module, its configuration, where in the chain it runs, and what its failure means.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// The object.
    pub id: ObjectId,
    /// Where its `url` is written.
    pub origin: Origin,
    /// Which module.
    pub module: PluginModule,
    /// The SHA-256 that the module must have, in lower-case hex.
    pub sha256: Option<String>,
    /// `pluginName`: the root id that the guest sees.
    pub root_id: String,
    /// `pluginConfig`: JSON for a struct, else the string as it is; what the guest reads in `on_configure`.
    pub configuration: Bytes,
    /// `vmConfig.env` with values resolved.
    pub environment: Vec<(String, String)>,
    /// `portcullis.dev/vm-id`: the objects of its namespace with the same one share data and queues; an empty one
    /// shares with none.
    pub vm_id: String,
    /// Where in the chain.
    pub phase: Phase,
    /// Within a phase, descending.
    pub priority: i32,
    /// What happens to a request that the plugin fails on.
    pub fail_strategy: FailStrategy,
    /// Its budgets.
    pub limits: PluginLimits,
    /// Where it wants to be treated as by another host.
    pub compatibility: PluginCompatibility,
}

impl Plugin {
    /// A plugin object of this name in the namespace `default`, for tests.
    pub fn for_test(name: &str) -> Self {
        Plugin {
            id: ObjectId::new("WasmPlugin", "default", name),
            origin: Origin::for_test(),
            module: PluginModule::Builtin(name.to_owned()),
            sha256: None,
            root_id: String::new(),
            configuration: Bytes::new(),
            environment: Vec::new(),
            vm_id: String::new(),
            phase: Phase::Unspecified,
            priority: 0,
            fail_strategy: FailStrategy::Close,
            limits: PluginLimits::default(),
            compatibility: PluginCompatibility::default(),
        }
    }
}

/// Where a module comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginModule {
    /// `file://…`, resolved against the manifest's directory.
    File(PathBuf),
    /// `builtin:NAME`
    Builtin(String),
    /// The object has errors and never was good: every request that it covers is answered by its
    /// `fail_strategy`. Says why.
    Broken(String),
}

/// Where in the chain a plugin runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before authentication's end.
    Authn,
    /// After it, before authorisation's end.
    Authz,
    /// After both.
    Stats,
    /// At the end of the chain.
    Unspecified,
}

/// What becomes of a request whose plugin failed: trapped, ran over its budget, or never became good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailStrategy {
    /// It is refused with 503.
    Close,
    /// It goes on without the plugin.
    Open,
}

/// Where hosts differ, what a plugin relies on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginCompatibility {
    /// `portcullis.dev/on-headers-pause`
    pub headers_pause: HeadersPause,
    /// `portcullis.dev/strict`
    pub strictness: Strictness,
}

/// What a pause at the head holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadersPause {
    /// Everything, as Envoy does by default.
    #[default]
    Everything,
    /// The head alone: the plugin sees the body meanwhile. Envoy's `allow_on_headers_stop_iteration`, and what it did
    /// before 1.33.
    Head,
}

/// What becomes of a host call that Envoy refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// It is served where that makes sense.
    #[default]
    Lenient,
    /// It is refused as by Envoy: splices in the middle of a body, request headers in a reply's callbacks.
    Envoy,
}

/// A plugin's budgets; see `docs/plugins.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Start-up, configuration included.
    pub start: Duration,
    /// Linear memory, in bytes.
    pub memory: usize,
    /// One callback.
    pub callback: Duration,
    /// A call of the plugin's to a cluster, where the plugin names no timeout.
    pub call: Duration,
}

impl Default for PluginLimits {
    fn default() -> Self {
        PluginLimits {
            start: Duration::from_secs(5),
            memory: 16 << 20,
            callback: Duration::from_millis(10),
            call: Duration::from_secs(1),
        }
    }
}
