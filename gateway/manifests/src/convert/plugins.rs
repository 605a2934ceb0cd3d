//! Plugins, and the listeners that they run on.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::{ObjectId, Plugin};

use super::coverage::Attachment;
use super::findings::{Findings, Spot};
use crate::codes;
use crate::kinds::{Coverage, Gateway, WasmPlugin};

/// Makes the plugins and puts each one, in running order, on the listeners of the Gateways it covers.
pub(crate) fn attach_plugins(
    written: &[Arc<WasmPlugin>],
    attachment: &mut Attachment<'_>,
    findings: &mut Findings,
) -> BTreeMap<ObjectId, Arc<Plugin>> {
    let mut order: Vec<&Arc<WasmPlugin>> = written.iter().collect();
    // The sort is stable: what is equal stays in creation order.
    order.sort_by_key(|plugin| (plugin.phase, Reverse(plugin.priority)));
    let mut plugins = BTreeMap::new();
    for plugin in order {
        let id = &plugin.metadata.id;
        let covered = attachment.append(id, &plugin.coverage);
        report_unattached(plugin, attachment, &covered, findings);
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
        phase: plugin.phase,
        priority: plugin.priority,
        fail_strategy: plugin.fail_strategy,
        limits: plugin.limits,
        compatibility: plugin.compatibility,
    }
}

fn report_unattached(
    plugin: &WasmPlugin,
    attachment: &Attachment<'_>,
    covered: &[&Gateway],
    findings: &mut Findings,
) {
    let object = &plugin.metadata.id;
    match &plugin.coverage {
        Coverage::Named(targets) => {
            for target in targets {
                let exists = attachment.gateways().any(|gateway| {
                    let id = &gateway.metadata.id;
                    target.namespace == id.namespace && target.name == id.name
                });
                if !exists {
                    let field = format!("{}.name", target.field);
                    let spot = Spot { object, field, origin: &target.origin };
                    let message =
                        format!("there is no Gateway `{}/{}`", target.namespace, target.name);
                    let help =
                        "correct the name; a target is looked for in the plugin's own namespace";
                    findings.error(codes::GATEWAY_MISSING, spot, message, help);
                }
            }
        }
        Coverage::Labels { origin, .. } if covered.is_empty() => {
            let field = "spec.selector.matchLabels".to_owned();
            let spot = Spot { object, field, origin };
            let message = "no Gateway has these labels, so the plugin runs nowhere".to_owned();
            let help = "write labels of a Gateway's own `selector`, or leave the selector out to cover every Gateway";
            findings.warning(codes::PLUGIN_UNATTACHED, spot, message, help);
        }
        _ => {}
    }
}
