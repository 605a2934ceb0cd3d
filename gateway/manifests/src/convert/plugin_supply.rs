//! What else decides how plugins' modules are got: their pull secrets, and Gateways that demand manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_model::{Listener, ManifestDemand, ObjectId, Plugin, PullCredentials};

use super::findings::{Findings, Spot};
use super::gather::Objects;
use crate::codes;
use crate::kinds::{Gateway, PullSecret, WasmPlugin};

/// Gives each plugin the credentials that it names, and the manifest that its Gateways demand.
pub(crate) fn settle_supply(
    objects: &Objects,
    gateways: &[Arc<Gateway>],
    listeners: &[Listener],
    plugins: &mut BTreeMap<ObjectId, Arc<Plugin>>,
    findings: &mut Findings,
) {
    for plugin in &objects.plugins {
        let Some(secret) = &plugin.pull_secret else { continue };
        let credentials = find_credentials(objects, plugin, secret, findings);
        if let Some(settings) = plugins.get_mut(&plugin.metadata.id) {
            Arc::make_mut(settings).supply.credentials = credentials;
        }
    }
    for id in demanded(gateways, listeners) {
        if let Some(settings) = plugins.get_mut(&id) {
            Arc::make_mut(settings).manifest_demand = ManifestDemand::Required;
        }
    }
}

/// A Secret is looked for in the plugin's own namespace only, as in Kubernetes.
fn find_credentials(
    objects: &Objects,
    plugin: &WasmPlugin,
    secret: &PullSecret,
    findings: &mut Findings,
) -> PullCredentials {
    let object = &plugin.metadata.id;
    let found = objects.secrets.iter().find(|known| {
        let id = &known.metadata.id;
        id.namespace == object.namespace && id.name == secret.name
    });
    if let Some(known) = found.and_then(|known| known.pull.clone()) {
        return PullCredentials::Known(Arc::new(known));
    }
    let name = format!("Secret/{}/{}", object.namespace, secret.name);
    let (code, message, help) = match found {
        Some(_) => (
            codes::SECRET_UNUSABLE,
            format!("{name} holds no names and passwords of registries"),
            "put them into `.dockerconfigjson`, as `kubectl create secret docker-registry` does",
        ),
        None => (
            codes::SECRET_MISSING,
            format!("there is no {name}"),
            "write the Secret, or correct the name; it has to be in the plugin's namespace",
        ),
    };
    let spot = Spot { object, field: secret.field.clone(), origin: &secret.origin };
    findings.error(code, spot, message.clone(), help);
    PullCredentials::Missing(message)
}

/// The plugins that run on what a demanding Gateway serves, on rules too.
fn demanded(gateways: &[Arc<Gateway>], listeners: &[Listener]) -> BTreeSet<ObjectId> {
    let demanding: BTreeSet<String> = gateways
        .iter()
        .filter(|gateway| gateway.manifest_demand == ManifestDemand::Required)
        .map(|gateway| format!("{}/{}", gateway.metadata.id.namespace, gateway.metadata.id.name))
        .collect();
    let mut found = BTreeSet::new();
    for listener in listeners.iter().filter(|listener| demanding.contains(&*listener.gateway)) {
        found.extend(listener.plugins.iter().cloned());
        let rules = listener.virtual_hosts.iter().flat_map(|host| &host.rules);
        found.extend(rules.flat_map(|rule| rule.plugins.iter().cloned()));
    }
    found
}
