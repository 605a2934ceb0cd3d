//! A draft to a model: everything that takes more than one object to decide.

mod access_logs;
mod as_istio;
mod audience;
mod authentications;
mod authorizations;
mod backend_tls;
mod binding;
mod bound;
mod certificate_names;
mod cluster_policy;
mod clusters;
mod coverage;
mod credentials;
mod delegates;
mod destination_rules;
mod edge_policies;
mod edge_targets;
mod endpoint_labels;
mod entry_endpoints;
mod expression_budget;
mod findings;
mod foreign_class;
mod gateway_api;
mod gather;
mod host_groups;
mod ingress;
mod known_service;
mod listeners;
mod memory;
mod merge;
mod narrowing;
mod open;
mod plugin_supply;
mod plugins;
mod prefix_semantics;
mod protections;
mod route_memo;
mod route_order;
mod routes;
mod rule_plugins;
mod server_tls;
mod service_endpoints;
mod services;
mod shadows;
mod surroundings;
mod tcp_routes;
#[cfg(test)]
mod tests;
mod upstream_tls;
mod workload_sources;

use std::sync::Arc;

use portcullis_message::HeadRules;
use portcullis_model::{Model, Problem};

use self::access_logs::set_access_logs;
use self::authentications::authenticate_requests;
use self::authorizations::authorize_requests;
use self::backend_tls::BackendTls;
use self::binding::Binder;
use self::certificate_names::report_hosts_without_certificate;
use self::clusters::build_clusters;
use self::coverage::{Attachment, Home};
use self::credentials::Stores;
use self::delegates::Delegates;
use self::edge_policies::EdgePolicies;
use self::edge_targets::check_targets;
use self::findings::Findings;
use self::gateway_api::{BackendCertificates, GatewayApi, RuleParts, join_gateways};
use self::gather::gather;
use self::host_groups::group_hosts;
use self::ingress::Ingresses;
use self::listeners::build_listeners;
use self::open::open_gateways;
use self::plugin_supply::settle_supply;
use self::plugins::attach_plugins;
use self::prefix_semantics::report_prefix_semantics;
use self::protections::refuse_unprotected;
use self::route_memo::RouteMemo;
use self::routes::{Lookup, Lost, RouteBuilder};
use self::rule_plugins::{RulePlugins, in_running_order};
use self::server_tls::Credentials;
use self::services::Services;
use self::surroundings::{Same, Surroundings};
use self::upstream_tls::UpstreamCredentials;
use self::workload_sources::WorkloadSources;
use crate::CertificateFiles;
use crate::draft::Draft;
use crate::last_good::LastGood;
use crate::status::ObjectStatus;

pub use self::as_istio::Joints;
pub use self::memory::Memory;

/// What became of a draft.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// What to serve.
    pub model: Model,
    /// Everything that is wrong, by file and line.
    pub problems: Vec<Problem>,
    /// What became of the objects that have a status, as Kubernetes shows it.
    pub status: Vec<ObjectStatus>,
    /// For the next conversion.
    pub memory: Memory,
}

/// Makes the model that a draft asks for. It always succeeds: a bad object is replaced by its last good
/// version, or left out where there is none; a plugin that never was good stays in its chains as
/// [`Broken`](portcullis_model::PluginModule::Broken), so that its failStrategy answers. `head_rules` are those of
/// listeners for which no EdgePolicy says otherwise.
pub fn into_model(draft: &Draft, memory: &Memory, head_rules: HeadRules) -> Conversion {
    let files = CertificateFiles::none();
    let premises = Premises {
        head_rules,
        joints: Joints::OneSlash,
        labels: &[],
        namespace: None,
        files: &files,
    };
    into_model_with(draft, memory, premises)
}

/// What is true of the gateway that a configuration is for.
#[derive(Clone, Copy)]
pub struct Premises<'p> {
    /// How request heads are read where no EdgePolicy says otherwise.
    pub head_rules: HeadRules,
    /// What rewrites of VirtualServices make of the place where two slashes meet.
    pub joints: Joints,
    /// Its labels (`--label`), which `sourceLabels` are held against.
    pub labels: &'p [(String, String)],
    /// The namespace that it runs in (`--namespace`), where that is known: whose objects may select it.
    pub namespace: Option<&'p str>,
    /// Certificates in files.
    pub files: &'p CertificateFiles<'p>,
}

/// The same for a gateway of which more is known.
pub fn into_model_with(draft: &Draft, memory: &Memory, premises: Premises<'_>) -> Conversion {
    let Premises { head_rules, joints, labels, namespace, files } = premises;
    let home = Home(namespace);
    let last_good = &memory.last_good;
    let mut findings = Findings::default();
    let mut next = LastGood::default();
    let mut objects = gather(draft, last_good, &mut next, &mut findings);
    let parents = join_gateways(&mut objects, &mut findings);
    let services = Services::collect(&objects, &mut findings);
    let stores = Stores::new(&objects, files);
    let mut upstream = UpstreamCredentials::new(&stores, last_good, &mut next);
    let policies = BackendTls::sort(&objects, &mut findings);
    let mut clusters =
        build_clusters((&objects, home), (&services, &policies), &mut upstream, &mut findings);
    let shown = BackendCertificates::find(&parents, &mut upstream, &mut findings);
    let tls_verdicts = policies.verdicts(|policy| upstream.failure(policy));
    let ingresses = Ingresses::pick(&objects, &mut findings);
    let written = ingresses.beside(&objects.gateways);
    let gateways = Arc::new(open_gateways(&written, last_good, &mut next, &mut findings));
    let mut api = GatewayApi::new(parents, &objects, &gateways);
    check_targets(&objects, &mut findings);
    let mut policies = EdgePolicies::new(&objects.edge_policies);
    let ordered = in_running_order(&objects.plugins);
    let on_rules = RulePlugins::new(&ordered, &objects, &mut findings);
    let lookup = Lookup { services: &services, clusters: &clusters, lost: Lost::Requests };
    let sources = WorkloadSources::new(&gateways, labels);
    let mut builder = RouteBuilder {
        lookup,
        delegates: Delegates::new(&objects.virtual_services, &objects.broken),
        sources: &sources,
        policies: &mut policies,
        plugins: &on_rules,
        joints,
    };
    let surroundings = Surroundings {
        services: surroundings::Services::of(lookup),
        gateways: surroundings::Gateways(gateways.clone()),
        edge_policies: Same(objects.edge_policies.clone()),
        plugins: Same(ordered.clone()),
        running: on_rules.running().clone(),
        broken: objects.broken.clone(),
        labels: labels.to_vec(),
        joints,
    };
    let binder = Binder::new(&gateways, &objects.broken);
    let services = &objects.virtual_services;
    let makers = (&mut builder, &binder);
    let (routes, since) = memory.routes.renew(services, makers, &surroundings, &mut findings);
    builder.delegates.report_unused(&mut findings);
    let groups = group_hosts(&gateways, &routes, since, &mut findings);
    let mut credentials = Credentials::new(stores, last_good, &mut next);
    let mut listeners = build_listeners(
        (&gateways, &objects.broken),
        (&routes, &groups, &sources),
        &mut credentials,
        &mut findings,
    );
    let mut parts = RuleParts { lookup, policies: &mut policies, plugins: &on_rules };
    api.bind_http(&objects.http_routes, &mut parts, &mut findings);
    api.bind_streams(&objects.stream_routes, lookup, &gateways, &mut findings);
    api.route(&mut listeners, &mut findings);
    ingresses.route(&mut listeners, &gateways, lookup, &mut findings);
    shown.show(&gateways, &mut listeners, &mut clusters);
    report_hosts_without_certificate(&listeners, &gateways, &mut findings);
    report_prefix_semantics(&listeners, &gateways, &mut findings);
    policies.set_for_listeners(&mut listeners, &gateways, head_rules, &mut findings);
    set_access_logs(&objects.telemetries, (&gateways, home), &mut listeners, &mut findings);
    let mut attachment = Attachment::new((&gateways, &objects.broken), home, &listeners);
    let mut plugins = attach_plugins(&ordered, &on_rules, &mut attachment, &mut findings);
    let authentications = &objects.request_authentications;
    authenticate_requests(authentications, &attachment, &mut listeners, &mut findings);
    let policies = &objects.authorization_policies;
    authorize_requests(policies, &attachment, &mut listeners, &mut findings);
    refuse_unprotected(&objects.protections, &mut attachment, &mut plugins, &mut findings);
    for ((_, listener), chain) in listeners.iter_mut().zip(attachment.into_chains()) {
        listener.plugins = chain;
    }
    let listeners: Vec<_> = listeners.into_iter().map(|(_, listener)| listener).collect();
    settle_supply(&objects, &written, &listeners, &mut plugins, &mut findings);
    let model = Model { listeners, clusters, plugins };
    let status = api.status(&objects, &tls_verdicts);
    let routes = RouteMemo::new(surroundings, routes, groups);
    let memory = Memory { last_good: next, routes };
    Conversion { model, problems: findings.into_problems(), status, memory }
}
