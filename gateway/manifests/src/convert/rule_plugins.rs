//! Plugins that are attached to routes and their rules.

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
            if let Coverage::Unclear(_) = plugin.coverage {
                running.insert(plugin.metadata.id.clone());
            }
            for target in targets(plugin) {
                let runs = check(plugin, target, objects, findings);
                if runs == Runs::Somewhere {
                    running.insert(plugin.metadata.id.clone());
                }
            }
        }
        RulePlugins { plugins, running }
    }

    /// Those of rules of routes, each with its name, in running order.
    pub(crate) fn of_routes(&self, rules: &[(PluggedRoute<'_>, Option<&str>)]) -> Vec<ObjectId> {
        if self.running.is_empty() {
            return Vec::new();
        }
        let runs = |plugin: &&Arc<WasmPlugin>| {
            plugin.protocol.filters_requests()
                && plugin.reach != PortReach::Nowhere
                && rules.iter().any(|(route, rule)| {
                    route.may_be_meant(plugin)
                        || targets(plugin).any(|target| route.is_covered(target, *rule))
                })
        };
        self.plugins.iter().filter(runs).map(|plugin| plugin.metadata.id.clone()).collect()
    }

    /// Those of rules of VirtualServices, each with its name, in running order: of one, or of a delegate's and the one
    /// that delegates to it.
    pub(crate) fn of(&self, rules: &[(&VirtualService, Option<&str>)]) -> Vec<ObjectId> {
        if self.running.is_empty() {
            return Vec::new();
        }
        let names: Vec<Vec<&str>> =
            rules.iter().map(|(service, _)| rule_names(service).collect()).collect();
        let plugged = rules.iter().zip(&names).map(|((service, rule), names)| {
            let (kind, id) = (PluginTargetKind::VirtualService, &service.metadata.id);
            (PluggedRoute { kind, id, names }, *rule)
        });
        self.of_routes(&plugged.collect::<Vec<_>>())
    }

    /// All that run on a rule.
    pub(crate) fn running(&self) -> &HashSet<ObjectId> {
        &self.running
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

/// A route as plugins are attached to it.
#[derive(Clone, Copy)]
pub(crate) struct PluggedRoute<'r> {
    pub(crate) kind: PluginTargetKind,
    pub(crate) id: &'r ObjectId,
    /// The names of its rules.
    pub(crate) names: &'r [&'r str],
}

impl PluggedRoute<'_> {
    /// Whether a plugin of which it cannot be read what it is for may be for this route.
    fn may_be_meant(&self, plugin: &WasmPlugin) -> bool {
        matches!(&plugin.coverage, Coverage::Unclear(namespace) if *namespace == self.id.namespace)
    }

    /// Whether a target means one of its rules. One that the route does not have leaves none of its rules uncovered: one
    /// that was renamed must not lose its protection meanwhile.
    fn is_covered(&self, target: &Target, rule: Option<&str>) -> bool {
        target.means(self.kind, self.id)
            && match target.section.as_deref() {
                None => true,
                Some(section) => !self.names.contains(&section) || rule == Some(section),
            }
    }
}

fn rule_names(service: &VirtualService) -> impl Iterator<Item = &str> {
    service.rules.iter().filter_map(|rule| rule.name.as_deref())
}

/// What of routes a plugin names.
fn targets(plugin: &WasmPlugin) -> impl Iterator<Item = &Target> {
    let named = match &plugin.coverage {
        Coverage::Named(targets) => targets.as_slice(),
        _ => &[],
    };
    named.iter().filter(|target| target.kind != PluginTargetKind::Gateway)
}

/// The names of the rules of the route that a target means; `None` where there is none.
fn names_of<'o>(target: &Target, objects: &'o Objects) -> Option<Vec<&'o str>> {
    let means = |id: &ObjectId| target.means(target.kind, id);
    match target.kind {
        PluginTargetKind::VirtualService => {
            let mut services = objects.virtual_services.iter();
            let found = services.find(|service| means(&service.metadata.id))?;
            Some(rule_names(found).collect())
        }
        PluginTargetKind::HttpRoute | PluginTargetKind::GrpcRoute => {
            let found = objects.http_routes.iter().find(|route| means(&route.metadata.id))?;
            Some(found.rules.iter().filter_map(|rule| rule.name.as_deref()).collect())
        }
        PluginTargetKind::Gateway | PluginTargetKind::GatewayClass => None,
    }
}

/// Reports a target that is missing, or cannot be attached to.
fn check(plugin: &WasmPlugin, target: &Target, objects: &Objects, findings: &mut Findings) -> Runs {
    let object = &plugin.metadata.id;
    let kind = target.kind.as_str();
    let spot = |part: &str| {
        let field = format!("{}.{part}", target.field);
        Spot { object, field, origin: &target.origin }
    };
    if plugin.protocol == PluginProtocol::Network {
        let message = format!("a network filter cannot be attached to a {kind}");
        let help = "attach it to a Gateway; it does not run there";
        findings.error(codes::BAD_VALUE, spot("kind"), message, help);
        return Runs::Nowhere;
    }
    let Some(names) = names_of(target, objects) else {
        let Target { namespace, name, .. } = target;
        let id = ObjectId::new(kind, namespace.clone(), name.clone());
        if !objects.broken.contains(&id) {
            let message = format!("there is no {kind} `{namespace}/{name}`");
            let help = "write it, or correct the name; a target is looked for in the plugin's own namespace";
            findings.error(codes::TARGET_MISSING, spot("name"), message, help);
        }
        return Runs::Nowhere;
    };
    if let Some(section) = target.section.as_deref()
        && !names.contains(&section)
    {
        let known = match names.join(", ") {
            known if known.is_empty() => "it has none with a name".to_owned(),
            known => format!("it has: {known}"),
        };
        let part = if kind == "VirtualService" { "http rule" } else { "rule" };
        let message = format!("{kind} `{}` has no {part} `{section}`", target.name);
        let help = format!("{known}; until then the plugin runs on all of its rules");
        findings.error(codes::TARGET_MISSING, spot("sectionName"), message, &help);
    }
    Runs::Somewhere
}
