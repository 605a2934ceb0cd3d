//! Plugins that are attached to VirtualServices and their rules.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use portcullis_model::{ObjectId, PluginProtocol};

use super::findings::{Findings, Spot};
use super::gather::Objects;
use crate::codes;
use crate::kinds::{Coverage, PluginTargetKind, PortReach, Target, VirtualService, WasmPlugin};

/// The plugins in the order in which they run: by phase, then priority, then creation, then name.
pub(crate) fn in_running_order(written: &[Arc<WasmPlugin>]) -> Vec<Arc<WasmPlugin>> {
    let mut ordered = written.to_vec();
    ordered.sort_by(|one, other| {
        let place = |plugin: &WasmPlugin| (plugin.phase, Reverse(plugin.priority));
        let (ours, theirs) = (&one.metadata, &other.metadata);
        place(one)
            .cmp(&place(other))
            .then_with(|| ours.created.cmp(&theirs.created))
            .then_with(|| ours.id.cmp(&theirs.id))
    });
    ordered
}

/// Which plugins run on which rules beside their listeners'.
pub(crate) struct RulePlugins<'p> {
    /// In running order.
    plugins: &'p [Arc<WasmPlugin>],
    /// Those that run on a rule.
    running: HashSet<ObjectId>,
}

impl<'p> RulePlugins<'p> {
    /// For these plugins, in running order. Targets that are missing are reported.
    pub(crate) fn new(
        plugins: &'p [Arc<WasmPlugin>],
        objects: &Objects,
        findings: &mut Findings,
    ) -> Self {
        let mut running = HashSet::new();
        for plugin in plugins {
            for target in targets(plugin) {
                let runs = check(plugin, target, objects, findings);
                if runs == Runs::Somewhere {
                    running.insert(plugin.metadata.id.clone());
                }
            }
        }
        RulePlugins { plugins, running }
    }

    /// Those of rules of VirtualServices, each with its name, in running order: of one, or of a delegate's and the one
    /// that delegates to it.
    pub(crate) fn of(&self, rules: &[(&VirtualService, Option<&str>)]) -> Vec<ObjectId> {
        if self.running.is_empty() {
            return Vec::new();
        }
        let runs = |plugin: &&Arc<WasmPlugin>| {
            plugin.protocol.filters_requests()
                && plugin.reach != PortReach::Nowhere
                && targets(plugin).any(|target| {
                    rules.iter().any(|(service, rule)| covers(target, service, *rule))
                })
        };
        self.plugins.iter().filter(runs).map(|plugin| plugin.metadata.id.clone()).collect()
    }

    /// Whether a plugin runs on any rule.
    pub(crate) fn has(&self, plugin: &ObjectId) -> bool {
        self.running.contains(plugin)
    }
}

#[derive(PartialEq, Eq)]
enum Runs {
    Somewhere,
    Nowhere,
}

/// What of VirtualServices a plugin names.
fn targets(plugin: &WasmPlugin) -> impl Iterator<Item = &Target> {
    let named = match &plugin.coverage {
        Coverage::Named(targets) => targets.as_slice(),
        _ => &[],
    };
    named.iter().filter(|target| target.kind == PluginTargetKind::VirtualService)
}

/// A rule that the VirtualService does not have leaves none of its rules uncovered: one that was renamed must not
/// lose its protection meanwhile.
fn covers(target: &Target, service: &VirtualService, rule: Option<&str>) -> bool {
    target.means(PluginTargetKind::VirtualService, &service.metadata.id)
        && match target.section.as_deref() {
            None => true,
            Some(section) => !has_rule(service, section) || rule == Some(section),
        }
}

fn has_rule(service: &VirtualService, section: &str) -> bool {
    service.rules.iter().any(|rule| rule.name.as_deref() == Some(section))
}

/// Reports a target that is missing, or cannot be attached to.
fn check(plugin: &WasmPlugin, target: &Target, objects: &Objects, findings: &mut Findings) -> Runs {
    let object = &plugin.metadata.id;
    let spot = |part: &str| {
        let field = format!("{}.{part}", target.field);
        Spot { object, field, origin: &target.origin }
    };
    if plugin.protocol == PluginProtocol::Network {
        let message = "a network filter cannot be attached to a VirtualService".to_owned();
        let help = "attach it to a Gateway; it does not run there";
        findings.error(codes::BAD_VALUE, spot("kind"), message, help);
        return Runs::Nowhere;
    }
    let mut services = objects.virtual_services.iter();
    let found = services
        .find(|service| target.means(PluginTargetKind::VirtualService, &service.metadata.id));
    let Some(service) = found else {
        let Target { namespace, name, .. } = target;
        let id = ObjectId::new("VirtualService", namespace.clone(), name.clone());
        if !objects.broken.contains(&id) {
            let message = format!("there is no VirtualService `{namespace}/{name}`");
            let help = "write it, or correct the name; a target is looked for in the plugin's own namespace";
            findings.error(codes::TARGET_MISSING, spot("name"), message, help);
        }
        return Runs::Nowhere;
    };
    if let Some(section) = target.section.as_deref()
        && !has_rule(service, section)
    {
        let names: Vec<&str> =
            service.rules.iter().filter_map(|rule| rule.name.as_deref()).collect();
        let known = match names.join(", ") {
            known if known.is_empty() => "it has none with a name".to_owned(),
            known => format!("it has: {known}"),
        };
        let message = format!("VirtualService `{}` has no http rule `{section}`", target.name);
        let help = format!("{known}; until then the plugin runs on all of its rules");
        findings.error(codes::TARGET_MISSING, spot("sectionName"), message, &help);
    }
    Runs::Somewhere
}
