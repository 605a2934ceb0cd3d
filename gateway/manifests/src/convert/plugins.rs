//! Plugins, and the listeners that they run on.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::{ManifestDemand, ObjectId, Plugin, PluginProtocol};

use super::coverage::{Attachment, Fit};
use super::findings::{Findings, Spot};
use super::rule_plugins::RulePlugins;
use crate::codes;
use crate::kinds::{Coverage, Gateway, PluginTargetKind, PortReach, WasmPlugin};

/// Makes the plugins, given in running order, and puts each one on the listeners of the Gateways it covers.
pub(crate) fn attach_plugins(
    ordered: &[Arc<WasmPlugin>],
    on_rules: &RulePlugins<'_>,
    attachment: &mut Attachment<'_>,
    findings: &mut Findings,
) -> BTreeMap<ObjectId, Arc<Plugin>> {
    let mut plugins = BTreeMap::new();
    for plugin in ordered {
        let id = &plugin.metadata.id;
        let fit = Fit { protocol: plugin.protocol, reach: &plugin.reach };
        let (covered, runs) = attachment.append(id, &plugin.coverage, fit);
        report_targets(plugin, attachment, findings);
        if !runs && !on_rules.has(id) {
            report_unattached(plugin, attachment, &covered, findings);
        }
        plugins.insert(id.clone(), Arc::new(model_plugin(plugin)));
    }
    plugins
}

fn model_plugin(plugin: &WasmPlugin) -> Plugin {
    Plugin {
        id: plugin.metadata.id.clone(),
        origin: plugin.url_origin.clone(),
        module: plugin.module.clone(),
        sha256: plugin.sha256.clone(),
        root_id: plugin.root_id.clone(),
        configuration: plugin.configuration.clone(),
        environment: plugin.environment.clone(),
        vm_id: plugin.vm_id.clone(),
        protocol: plugin.protocol,
        ports: match &plugin.reach {
            PortReach::These(ports) => ports.clone(),
            PortReach::Every | PortReach::Nowhere => Vec::new(),
        },
        phase: plugin.phase,
        priority: plugin.priority,
        fail_strategy: plugin.fail_strategy,
        limits: plugin.limits,
        isolation: plugin.isolation,
        compatibility: plugin.compatibility,
        supply: plugin.supply.clone(),
        capabilities: plugin.capabilities.clone(),
        manifest_demand: ManifestDemand::None,
    }
}

/// Gateways that are named and missing, and servers that they do not have.
fn report_targets(plugin: &WasmPlugin, attachment: &Attachment<'_>, findings: &mut Findings) {
    let Coverage::Named(targets) = &plugin.coverage else { return };
    let object = &plugin.metadata.id;
    for target in targets.iter().filter(|target| target.kind == PluginTargetKind::Gateway) {
        let mut gateways = attachment.gateways();
        let found =
            gateways.find(|gateway| target.means(PluginTargetKind::Gateway, &gateway.metadata.id));
        let Some(gateway) = found else {
            let spot =
                Spot { object, field: format!("{}.name", target.field), origin: &target.origin };
            let message = format!("there is no Gateway `{}/{}`", target.namespace, target.name);
            let help = "correct the name; a target is looked for in the plugin's own namespace";
            findings.error(codes::GATEWAY_MISSING, spot, message, help);
            continue;
        };
        let Some(section) = &target.section else { continue };
        let names: Vec<&str> = gateway.servers.iter().map(|server| &*server.name).collect();
        if !names.contains(&&**section) {
            let field = format!("{}.sectionName", target.field);
            let spot = Spot { object, field, origin: &target.origin };
            let message = format!("Gateway `{}` has no server `{section}`", target.name);
            let known = names.join(", ");
            let help = format!("it has: {known}; until then the plugin runs on all of them");
            findings.error(codes::TARGET_MISSING, spot, message, &help);
        }
    }
}

/// Of a plugin that runs nowhere, though nothing is wrong with it.
fn report_unattached(
    plugin: &WasmPlugin,
    attachment: &Attachment<'_>,
    covered: &[&Gateway],
    findings: &mut Findings,
) {
    // A TrafficExtension may well be for other workloads of its namespace.
    let is_lost =
        attachment.gateways().next().is_some() && *plugin.metadata.id.kind != *"TrafficExtension";
    let origin = match &plugin.coverage {
        Coverage::Labels { origin, .. } => origin,
        _ => &plugin.metadata.origin,
    };
    let (field, message, help) = match (&plugin.coverage, plugin.protocol) {
        // It was said that the mode takes nothing here.
        _ if plugin.reach == PortReach::Nowhere => return,
        (Coverage::Labels { .. }, _) if covered.is_empty() => (
            "spec.selector.matchLabels",
            "no Gateway that it may select has these labels, so the plugin runs nowhere",
            "write labels of a Gateway's own `selector`, in the Gateway's namespace, in that of `--namespace`, or in `istio-system`",
        ),
        (Coverage::Namespace(_), _) if covered.is_empty() && is_lost => (
            "metadata.namespace",
            "there is no Gateway in its namespace, so the plugin runs nowhere",
            "write it in the namespace of the Gateways, in that of `--namespace`, or in `istio-system` for all of them",
        ),
        _ if covered.is_empty() => return,
        (_, PluginProtocol::Network) => (
            "spec",
            "no server that it covers passes bytes on, so the plugin runs nowhere",
            "a network filter runs on servers of the protocols TCP and TLS; for HTTP write `type: HTTP`",
        ),
        _ if plugin.reach != PortReach::Every => (
            "spec.match",
            "no server that it covers has one of these ports, so the plugin runs nowhere",
            "write the `port.number` of a Gateway's server",
        ),
        _ => (
            "spec",
            "no server that it covers speaks HTTP, so the plugin runs nowhere",
            "connections whose bytes are passed on are filtered by a plugin of `type: NETWORK`",
        ),
    };
    let spot = Spot { object: &plugin.metadata.id, field: field.to_owned(), origin };
    findings.warning(codes::PLUGIN_UNATTACHED, spot, message.to_owned(), help);
}
