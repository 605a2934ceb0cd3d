//! What should protect and cannot be used refuses the requests that it covers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_model::{
    FailStrategy, Isolation, ManifestDemand, ObjectId, Phase, Plugin, PluginCompatibility,
    PluginLimits, PluginModule, PluginProtocol, PluginSupply,
};

use super::coverage::Attachment;
use super::findings::{Findings, Spot};
use crate::codes;
use crate::kinds::{Gateway, Protection};

/// So many Gateways are named in a message.
const MOST_NAMED: usize = 3;

/// Puts a plugin that never runs, and so fails closed, in front of the chain of every listener that a
/// policy covers. It has the policy's identity, so that logs and `explain` name that.
pub(crate) fn refuse_unprotected(
    protections: &[Arc<Protection>],
    attachment: &mut Attachment<'_>,
    plugins: &mut BTreeMap<ObjectId, Arc<Plugin>>,
    findings: &mut Findings,
) {
    // Backwards, as each comes before the others.
    for protection in protections.iter().rev() {
        let id = &protection.metadata.id;
        let covered = attachment.prepend(id, &protection.coverage);
        report(protection, &covered, findings);
        if !covered.is_empty() {
            plugins.insert(id.clone(), Arc::new(refusal(protection)));
        }
    }
}

fn refusal(protection: &Protection) -> Plugin {
    let id = &protection.metadata.id;
    Plugin {
        id: id.clone(),
        origin: protection.metadata.origin.clone(),
        module: PluginModule::Broken(format!("the {} cannot be used", id.kind)),
        sha256: None,
        root_id: String::new(),
        configuration: Bytes::new(),
        environment: Vec::new(),
        vm_id: String::new(),
        protocol: PluginProtocol::Http,
        ports: Vec::new(),
        phase: Phase::Authn,
        priority: i32::MAX,
        fail_strategy: FailStrategy::Close,
        limits: PluginLimits::default(),
        isolation: Isolation::default(),
        compatibility: PluginCompatibility::default(),
        supply: PluginSupply::default(),
        capabilities: None,
        manifest_demand: ManifestDemand::None,
    }
}

/// What is wrong with it was said where it was read.
fn report(protection: &Protection, covered: &[&Gateway], findings: &mut Findings) {
    if covered.is_empty() {
        return;
    }
    let id = &protection.metadata.id;
    let spot = Spot { object: id, field: String::new(), origin: &protection.metadata.origin };
    let message = format!(
        "the {} cannot be used, so every request to {} is refused with 503",
        id.kind,
        names(covered)
    );
    let help = "mend what else is reported of it; if it is meant for other workloads, give it a `selector` with their labels and the Gateway its own";
    findings.error(codes::PROTECTION_NOT_SERVED, spot, message, help);
}

fn names(gateways: &[&Gateway]) -> String {
    let name = |gateway: &&Gateway| {
        let id = &gateway.metadata.id;
        format!("{}/{}", id.namespace, id.name)
    };
    let named: Vec<String> = gateways.iter().take(MOST_NAMED).map(name).collect();
    let more = gateways.len() - named.len();
    let named = named.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}
