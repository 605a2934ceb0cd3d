//! Plugin objects (Istio's `WasmPlugin`).

use std::cmp::Reverse;
use std::path::PathBuf;

use bytes::Bytes;

use crate::{
    Capabilities, ImageReference, ManifestDemand, ModuleUrl, ObjectId, Origin, PluginLimits,
    PluginSupply,
};

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
    /// What passes through it.
    pub protocol: PluginProtocol,
    /// `match`: the ports of the listeners on whose traffic it runs; none named is all of them.
    pub ports: Vec<u16>,
    /// Where in the chain.
    pub phase: Phase,
    /// Within a phase, descending.
    pub priority: i32,
    /// What happens to a request that the plugin fails on.
    pub fail_strategy: FailStrategy,
    /// Its budgets.
    pub limits: PluginLimits,
    /// What its requests share.
    pub isolation: Isolation,
    /// Where it wants to be treated as by another host.
    pub compatibility: PluginCompatibility,
    /// How its module is got.
    pub supply: PluginSupply,
    /// `portcullis.dev/capabilities`; without it the module's manifest says what it may touch, else it gets the
    /// compatible set.
    pub capabilities: Option<Capabilities>,
    /// Whether its module needs a manifest.
    pub manifest_demand: ManifestDemand,
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
            protocol: PluginProtocol::Http,
            ports: Vec::new(),
            phase: Phase::Unspecified,
            priority: 0,
            fail_strategy: FailStrategy::Close,
            limits: PluginLimits::default(),
            isolation: Isolation::default(),
            compatibility: PluginCompatibility::default(),
            supply: PluginSupply::default(),
            capabilities: None,
            manifest_demand: ManifestDemand::None,
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
    /// `https://…`
    Web(ModuleUrl),
    /// `oci://…`
    Image(ImageReference),
    /// The object has errors and never was good: every request that it covers is answered by its
    /// `fail_strategy`. Says why.
    Broken(String),
}

/// `type`: what passes through a plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PluginProtocol {
    /// Requests and replies.
    #[default]
    Http,
    /// The bytes of connections that are passed on.
    Network,
    /// It cannot be read, so that it stands in the way of both.
    Unknown,
}

impl Plugin {
    /// Whether it runs on traffic that comes in by this port.
    pub fn runs_on_port(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }

    /// Whether it runs before another in a chain of both, by phase and then by priority; neither where they are
    /// equal.
    pub fn precedes(&self, other: &Plugin) -> bool {
        let place = |plugin: &Plugin| (plugin.phase, Reverse(plugin.priority));
        place(self) < place(other)
    }
}

impl PluginProtocol {
    /// Whether it has to do with requests.
    pub fn filters_requests(self) -> bool {
        self != PluginProtocol::Network
    }

    /// Whether it has to do with connections whose bytes are passed on.
    pub fn filters_connections(self) -> bool {
        self != PluginProtocol::Http
    }
}

impl std::fmt::Display for PluginModule {
    /// As a url.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PluginModule::File(path) => write!(f, "file://{}", path.display()),
            PluginModule::Builtin(name) => write!(f, "builtin:{name}"),
            PluginModule::Web(url) => f.write_str(url.as_str()),
            PluginModule::Image(image) => write!(f, "oci://{image}"),
            PluginModule::Broken(why) => f.write_str(why),
        }
    }
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

/// `portcullis.dev/isolation`: what the requests of a plugin have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Those of one worker run in one instance, as in Envoy.
    #[default]
    Worker,
    /// None: each runs in a sandbox of its own, made from what the plugin was once it was configured.
    Request,
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
    /// It is refused as by Envoy: splices in the middle of a body, maps of what has gone on, short names of clusters,
    /// what Envoy has under another name or not at all.
    Envoy,
}
