//! Istio's `WasmPlugin`.

use std::path::Path;

use bytes::Bytes;
use portcullis_model::{
    FailStrategy, ObjectId, Origin, Phase, PluginCompatibility, PluginLimits, PluginModule,
};

use super::plugin_annotations::read_annotations;
use super::plugin_configuration::{read_configuration, read_environment};
use super::plugin_target::{Coverage, read_coverage};
use crate::draft::RawObject;
use crate::metadata::{Created, Metadata, OBJECT, annotations, read_metadata};
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::choice;

/// A WasmPlugin. Also read from a broken object, as far as it can be: what it covers has to be known, so
/// that its failStrategy can answer there.
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
    pub(crate) compatibility: PluginCompatibility,
    pub(crate) coverage: Coverage,
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
    ],
    not_yet: &["imagePullPolicy", "imagePullSecret", "verificationKey"],
    skipped: &[],
};

const FAIL_STRATEGIES: &[(&str, FailStrategy)] = &[
    ("FAIL_CLOSE", FailStrategy::Close),
    ("FAIL_OPEN", FailStrategy::Open),
    // The instance is replaced after every trap anyway; the request itself is refused.
    ("FAIL_RELOAD", FailStrategy::Close),
];
const PHASES: &[(&str, Phase)] = &[
    ("UNSPECIFIED_PHASE", Phase::Unspecified),
    ("AUTHN", Phase::Authn),
    ("AUTHZ", Phase::Authz),
    ("STATS", Phase::Stats),
];
const TYPES: &[(&str, bool)] =
    &[("UNSPECIFIED_PLUGIN_TYPE", true), ("HTTP", true), ("NETWORK", false)];

/// Reads a WasmPlugin whose relative url begins at `directory`.
pub(crate) fn read_wasm_plugin(raw: &RawObject, directory: &Path, report: &Report) -> WasmPlugin {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report);
    let mut plugin = unread(metadata, root.origin());
    if let Some(node) = annotations(raw) {
        let annotations = read_annotations(&root, node);
        (plugin.limits, plugin.vm_id) = (annotations.limits, annotations.vm_id);
        plugin.compatibility = annotations.compatibility;
    }
    let Some(root) = root.fields(&OBJECT) else { return plugin };
    let Some(spec) = root.required("spec") else { return plugin };
    if let Some(spec) = spec.fields(&SPEC) {
        plugin.coverage = read_coverage(&spec, &plugin.metadata.id.namespace);
        read_spec(&mut plugin, &spec, directory);
    }
    plugin
}

/// A plugin of which nothing is known but that it covers something: every Gateway, refused.
pub(crate) fn unreadable(id: ObjectId, origin: Origin, reason: String) -> WasmPlugin {
    let created = Created::unknown();
    let metadata = Metadata { id, origin: origin.clone(), labels: Vec::new(), created };
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
        compatibility: PluginCompatibility::default(),
        coverage: Coverage::Every,
    }
}

fn read_spec(plugin: &mut WasmPlugin, spec: &Fields<'_>, directory: &Path) {
    let chosen = |name| spec.field(name);
    if let Some(field) = chosen("failStrategy") {
        plugin.fail_strategy = choice(&field, FAIL_STRATEGIES).unwrap_or(FailStrategy::Close);
    }
    if let Some(field) = chosen("phase") {
        plugin.phase = choice(&field, PHASES).unwrap_or(Phase::Unspecified);
    }
    if let Some(field) = chosen("priority") {
        let priority = field.integer(i64::from(i32::MIN), i64::from(i32::MAX));
        plugin.priority = priority.and_then(|priority| i32::try_from(priority).ok()).unwrap_or(0);
    }
    if let Some(field) = chosen("type")
        && choice(&field, TYPES) == Some(false)
    {
        let help = "write HTTP, or remove it";
        field.not_served(Gravity::Breaks, "network filters are known, but not served yet", help);
    }
    if let Some(field) = chosen("match") {
        let help = "the plugin runs on every request of its Gateways";
        field.not_served(Gravity::Warns, "`match` is known, but not served yet", help);
    }
    plugin.root_id = chosen("pluginName").and_then(|field| field.text()).unwrap_or_default().into();
    plugin.sha256 = chosen("sha256").and_then(|field| read_digest(&field));
    if let Some(field) = chosen("pluginConfig") {
        plugin.configuration = read_configuration(&field);
    }
    if let Some(field) = chosen("vmConfig") {
        plugin.environment = read_environment(&field);
    }
    if let Some(field) = spec.required("url") {
        plugin.url_origin = field.origin();
        if let Some(module) = read_url(&field, directory) {
            plugin.module = module;
        }
    }
}

fn read_digest(field: &Cursor<'_>) -> Option<String> {
    let text = field.text()?;
    let digest = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    if digest.is_empty() {
        return None;
    }
    if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        field.refuse("this is no SHA-256", "write its 64 hexadecimal digits");
        return None;
    }
    Some(digest)
}

fn read_url(field: &Cursor<'_>, directory: &Path) -> Option<PluginModule> {
    let text = field.text()?;
    if let Some(name) = text.strip_prefix("builtin:") {
        return Some(PluginModule::Builtin(name.to_owned()));
    }
    if let Some(path) = text.strip_prefix("file://") {
        if !path.starts_with('/') {
            let help = "write `file:///absolute/path.wasm`, or `./path.wasm` beside the manifest";
            field.refuse(format!("`{text}` has no absolute path"), help);
            return None;
        }
        return Some(PluginModule::File(path.into()));
    }
    if text.starts_with("./") || text.starts_with("../") {
        return Some(PluginModule::File(directory.join(text.strip_prefix("./").unwrap_or(text))));
    }
    let help = "put the module in a file and write `file:///absolute/path.wasm` or `./path.wasm`";
    let scheme = text.split_once("://").map_or("oci", |(scheme, _)| scheme);
    match scheme {
        "oci" | "http" | "https" => {
            let message =
                format!("`{text}`: modules from {scheme}:// are known, but not served yet");
            field.not_served(Gravity::Breaks, message, help);
        }
        _ => field.refuse(format!("`{text}` is no url of a module"), help),
    }
    None
}
