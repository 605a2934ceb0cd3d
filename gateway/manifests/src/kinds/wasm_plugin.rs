//! Istio's `WasmPlugin`, and `TrafficExtension`, which takes its place.

use std::path::Path;

use bytes::Bytes;
use portcullis_model::{
    Capabilities, FailStrategy, Isolation, ObjectId, Origin, Phase, PluginCompatibility,
    PluginLimits, PluginModule, PluginProtocol, PluginSupply,
};

use super::plugin_annotations::read_annotations;
use super::plugin_configuration::{read_configuration, read_environment};
use super::plugin_match::{PortReach, read_match};
use super::plugin_supply::{PullSecret, read_supply};
use super::plugin_target::{Coverage, Coverer, read_coverage};
use crate::metadata::{Created, Metadata, OBJECT, annotations, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::choice;

/// A WasmPlugin or TrafficExtension. Also read from a broken object, as far as it can be: what it covers has to be
/// known, so that its failStrategy can answer there.
#[derive(Clone, Debug)]
pub(crate) struct WasmPlugin {
    pub(crate) metadata: Metadata,
    /// Where the url is written.
    pub(crate) url_origin: Origin,
    pub(crate) module: PluginModule,
    pub(crate) sha256: Option<String>,
    pub(crate) root_id: String,
    pub(crate) configuration: Bytes,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) vm_id: String,
    pub(crate) phase: Phase,
    pub(crate) priority: i32,
    pub(crate) fail_strategy: FailStrategy,
    pub(crate) limits: PluginLimits,
    pub(crate) isolation: Isolation,
    pub(crate) compatibility: PluginCompatibility,
    pub(crate) protocol: PluginProtocol,
    pub(crate) coverage: Coverage,
    pub(crate) reach: PortReach,
    pub(crate) supply: PluginSupply,
    pub(crate) pull_secret: Option<PullSecret>,
    pub(crate) capabilities: Option<Capabilities>,
}

static SPEC: Schema = Schema {
    what: "a WasmPlugin",
    served: &[
        "selector",
        "targetRef",
        "targetRefs",
        "url",
        "sha256",
        "pluginConfig",
        "pluginName",
        "phase",
        "priority",
        "failStrategy",
        "vmConfig",
        "match",
        "type",
        "imagePullPolicy",
        "imagePullSecret",
        "verificationKey",
    ],
    not_yet: &[],
    skipped: &[],
};

/// The `wasm` of a TrafficExtension: a WasmPlugin's fields that say what runs.
static MODULE: Schema = Schema {
    what: "`wasm`",
    served: &[
        "url",
        "sha256",
        "pluginConfig",
        "pluginName",
        "failStrategy",
        "vmConfig",
        "type",
        "imagePullPolicy",
        "imagePullSecret",
        "verificationKey",
    ],
    not_yet: &[],
    skipped: &[],
};
static EXTENSION_SPEC: Schema = Schema {
    what: "a TrafficExtension",
    served: &["selector", "targetRef", "targetRefs", "phase", "priority", "match", "wasm", "lua"],
    not_yet: &[],
    skipped: &[],
};

const FAIL_STRATEGIES: &[(&str, FailStrategy)] = &[
    ("FAIL_CLOSE", FailStrategy::Close),
    ("FAIL_OPEN", FailStrategy::Open),
    // The instance is replaced after every trap anyway; the request itself is refused.
    ("FAIL_RELOAD", FailStrategy::Close),
];
const PHASES: &[(&str, Phase)] = &[
    ("UNSPECIFIED", Phase::Unspecified),
    ("UNSPECIFIED_PHASE", Phase::Unspecified),
    ("AUTHN", Phase::Authn),
    ("AUTHZ", Phase::Authz),
    ("STATS", Phase::Stats),
];
const TYPES: &[(&str, PluginProtocol)] = &[
    ("UNSPECIFIED_PLUGIN_TYPE", PluginProtocol::Http),
    ("HTTP", PluginProtocol::Http),
    ("NETWORK", PluginProtocol::Network),
];

/// Reads a WasmPlugin whose relative url begins at `directory`.
pub(crate) fn read_wasm_plugin(raw: &RawObject, directory: &Path, report: &Report) -> WasmPlugin {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report);
    let mut plugin = unread(metadata, root.origin());
    if let Some(node) = annotations(raw) {
        let annotations = read_annotations(&root, node);
        (plugin.limits, plugin.vm_id) = (annotations.limits, annotations.vm_id);
        plugin.compatibility = annotations.compatibility;
        plugin.isolation = annotations.isolation;
        plugin.capabilities = annotations.capabilities;
    }
    let Some(root) = root.fields(&OBJECT) else { return plugin };
    let Some(spec) = root.required("spec") else { return plugin };
    if *raw.id.kind == *"TrafficExtension" {
        if let Some(spec) = spec.fields(&EXTENSION_SPEC) {
            read_placement(&mut plugin, &spec);
            read_extension(&mut plugin, &spec, directory);
        }
    } else if let Some(spec) = spec.fields(&SPEC) {
        read_placement(&mut plugin, &spec);
        read_module(&mut plugin, &spec, directory);
    }
    plugin
}

/// A plugin of which nothing is known but that it covers something: every Gateway, refused.
pub(crate) fn unreadable(id: ObjectId, origin: Origin, reason: String) -> WasmPlugin {
    let created = Created::unknown();
    let metadata =
        Metadata { id, origin: origin.clone(), labels: Vec::new(), created, generation: None };
    WasmPlugin { module: PluginModule::Broken(reason), ..unread(metadata, origin) }
}

fn unread(metadata: Metadata, origin: Origin) -> WasmPlugin {
    WasmPlugin {
        metadata,
        url_origin: origin,
        module: PluginModule::Broken("it has no url".to_owned()),
        sha256: None,
        root_id: String::new(),
        configuration: Bytes::new(),
        environment: Vec::new(),
        vm_id: String::new(),
        phase: Phase::Unspecified,
        priority: 0,
        fail_strategy: FailStrategy::Close,
        limits: PluginLimits::default(),
        isolation: Isolation::default(),
        compatibility: PluginCompatibility::default(),
        // What cannot be read may be either.
        protocol: PluginProtocol::Unknown,
        coverage: Coverage::Every,
        reach: PortReach::Every,
        supply: PluginSupply::default(),
        pull_secret: None,
        capabilities: None,
    }
}

/// Where it runs.
fn read_placement(plugin: &mut WasmPlugin, spec: &Fields<'_>) {
    plugin.coverage = read_coverage(spec, &plugin.metadata.id.namespace, Coverer::Plugin);
    if let Some(field) = spec.field("phase") {
        plugin.phase = choice(&field, PHASES).unwrap_or(Phase::Unspecified);
    }
    if let Some(field) = spec.field("priority") {
        let priority = field.integer(i64::from(i32::MIN), i64::from(i32::MAX));
        plugin.priority = priority.and_then(|priority| i32::try_from(priority).ok()).unwrap_or(0);
    }
    if let Some(field) = spec.field("match") {
        plugin.reach = read_match(&field);
    }
}

fn read_extension(plugin: &mut WasmPlugin, spec: &Fields<'_>, directory: &Path) {
    if spec.exclusive(&["wasm", "lua"]) {
        return;
    }
    if let Some(field) = spec.field("lua") {
        // A script fails open in Istio, always.
        plugin.fail_strategy = FailStrategy::Open;
        plugin.protocol = PluginProtocol::Http;
        field.not_served(Gravity::Breaks, "scripts are not served", "write the filter as a plugin");
    } else if let Some(module) = spec.required("wasm").as_ref()
        && let Some(module) = module.fields(&MODULE)
    {
        read_module(plugin, &module, directory);
    }
}

/// What runs, and how.
fn read_module(plugin: &mut WasmPlugin, spec: &Fields<'_>, directory: &Path) {
    let chosen = |name| spec.field(name);
    if let Some(field) = chosen("failStrategy") {
        plugin.fail_strategy = choice(&field, FAIL_STRATEGIES).unwrap_or(FailStrategy::Close);
    }
    plugin.protocol = match chosen("type") {
        Some(field) => choice(&field, TYPES).unwrap_or(PluginProtocol::Unknown),
        None => PluginProtocol::Http,
    };
    plugin.root_id = chosen("pluginName").and_then(|field| field.text()).unwrap_or_default().into();
    if let Some(field) = chosen("pluginConfig") {
        plugin.configuration = read_configuration(&field);
    }
    if let Some(field) = chosen("vmConfig") {
        plugin.environment = read_environment(&field);
    }
    let written = read_supply(spec, directory);
    plugin.url_origin = written.url_origin.unwrap_or_else(|| plugin.url_origin.clone());
    if let Some(module) = written.module {
        plugin.module = module;
    }
    plugin.sha256 = written.sha256;
    (plugin.supply, plugin.pull_secret) = (written.supply, written.pull_secret);
}
