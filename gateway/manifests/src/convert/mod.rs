//! A draft to a model: everything that takes more than one object to decide.

mod audience;
mod binding;
mod cluster_policy;
mod clusters;
mod coverage;
mod credentials;
mod destination_rules;
mod edge_policies;
mod edge_targets;
mod endpoint_labels;
mod entry_endpoints;
mod findings;
mod gather;
mod known_service;
mod listeners;
mod merge;
mod open;
mod plugin_supply;
mod plugins;
mod protections;
mod routes;
mod rule_plugins;
mod server_tls;
mod service_endpoints;
mod services;
mod tcp_routes;
#[cfg(test)]
mod tests;
mod upstream_tls;

use portcullis_message::HeadRules;
use portcullis_model::{Model, Problem};

use self::clusters::build_clusters;
use self::coverage::Attachment;
use self::credentials::Stores;
use self::edge_policies::EdgePolicies;
use self::edge_targets::check_targets;
use self::findings::Findings;
use self::gather::gather;
use self::listeners::build_listeners;
use self::open::open_gateways;
use self::plugin_supply::settle_supply;
use self::plugins::attach_plugins;
use self::protections::refuse_unprotected;
use self::routes::{Lookup, Lost, build_route};
use self::rule_plugins::{RulePlugins, in_running_order};
use self::server_tls::Credentials;
use self::services::Services;
use self::tcp_routes::build_tcp_rules;
use self::upstream_tls::UpstreamCredentials;
use crate::CertificateFiles;
use crate::draft::Draft;
use crate::last_good::LastGood;

/// What became of a draft.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// What to serve.
    pub model: Model,
    /// Everything that is wrong, by file and line.
    pub problems: Vec<Problem>,
    /// For the next conversion.
    pub last_good: LastGood,
}

/// Makes the model that a draft asks for. It always succeeds: a bad object is replaced by its last good
/// version, or left out where there is none; a plugin that never was good stays in its chains as
/// [`Broken`](portcullis_model::PluginModule::Broken), so that its failStrategy answers. `head_rules` are those of
/// listeners for which no EdgePolicy says otherwise.
pub fn into_model(draft: &Draft, last_good: &LastGood, head_rules: HeadRules) -> Conversion {
    into_model_with(draft, last_good, head_rules, &CertificateFiles::none())
}

/// The same where certificates in files can be read.
pub fn into_model_with(
    draft: &Draft,
    last_good: &LastGood,
    head_rules: HeadRules,
    files: &CertificateFiles<'_>,
) -> Conversion {
    let mut findings = Findings::default();
    let mut next = LastGood::default();
    let objects = gather(draft, last_good, &mut next, &mut findings);
    let services = Services::collect(&objects, &mut findings);
    let stores = Stores::new(&objects, files);
    let mut upstream = UpstreamCredentials::new(&stores, last_good, &mut next);
    let clusters = build_clusters(&objects, &services, &mut upstream, &mut findings);
    let gateways = open_gateways(&objects.gateways, last_good, &mut next, &mut findings);
    check_targets(&objects, &mut findings);
    let mut policies = EdgePolicies::new(&objects.edge_policies);
    let ordered = in_running_order(&objects.plugins);
    let on_rules = RulePlugins::new(&ordered, &objects, &mut findings);
    let lookup = Lookup { services: &services, clusters: &clusters, lost: Lost::Requests };
    let mut routes: Vec<_> = objects
        .virtual_services
        .iter()
        .map(|service| build_route(service, lookup, (&mut policies, &on_rules), &mut findings))
        .collect();
    build_tcp_rules(&mut routes, lookup, &mut findings);
    let mut credentials = Credentials::new(stores, last_good, &mut next);
    let mut listeners = build_listeners(&gateways, &routes, &mut credentials, &mut findings);
    policies.set_for_listeners(&mut listeners, &gateways, head_rules, &mut findings);
    let mut attachment = Attachment::new(&gateways, &listeners);
    let mut plugins = attach_plugins(&ordered, &on_rules, &mut attachment, &mut findings);
    refuse_unprotected(&objects.protections, &mut attachment, &mut plugins, &mut findings);
    for ((_, listener), chain) in listeners.iter_mut().zip(attachment.into_chains()) {
        listener.plugins = chain;
    }
    let listeners: Vec<_> = listeners.into_iter().map(|(_, listener)| listener).collect();
    settle_supply(&objects, &objects.gateways, &listeners, &mut plugins, &mut findings);
    let model = Model { listeners, clusters, plugins };
    Conversion { model, problems: findings.into_problems(), last_good: next }
}
