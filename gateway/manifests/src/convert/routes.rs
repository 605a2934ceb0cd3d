//! VirtualServices to rules, their destinations looked up.

use std::sync::Arc;

use portcullis_model::{
    Action, ClusterName, Destination, Mirror, ObjectId, RequestMatch, RequestOverrides, Rule,
    TcpRule,
};

use super::clusters::Clusters;
use super::edge_policies::EdgePolicies;
use super::findings::{Findings, Spot};
use super::known_service::KnownService;
use super::rule_plugins::RulePlugins;
use super::services::Services;
use crate::codes;
use crate::kinds::{HttpRule, RouteAction, RouteDestination, VirtualService, is_catch_all};

/// A VirtualService with its rules.
pub(crate) struct Route {
    pub(crate) service: Arc<VirtualService>,
    pub(crate) rules: Vec<PlacedRule>,
    /// Rules for connections, in the order of `service.tcp_rules`.
    pub(crate) tcp_rules: Vec<Arc<TcpRule>>,
}

impl Route {
    /// Whether it has to do with requests, be it that all its rules for them are gone.
    pub(crate) fn takes_requests(&self) -> bool {
        !self.rules.is_empty() || self.tcp_rules.is_empty()
    }
}

/// A rule and where in its VirtualService it stands.
#[derive(Clone)]
pub(crate) struct PlacedRule {
    pub(crate) rule: Arc<Rule>,
    /// Which one of `spec.http` it is.
    pub(crate) index: usize,
}

/// What destinations are looked up in.
#[derive(Clone, Copy)]
pub(crate) struct Lookup<'l> {
    pub(crate) services: &'l Services,
    pub(crate) clusters: &'l Clusters,
    pub(crate) lost: Lost,
}

/// What becomes of what a destination cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Requests,
    /// Mirrored requests.
    Copies,
    Connections,
}

impl Lost {
    fn share(self) -> &'static str {
        match self {
            Lost::Requests => "until then its share of the requests is answered with 503",
            Lost::Copies => "until then nothing is mirrored",
            Lost::Connections => "until then its share of the connections is closed",
        }
    }

    fn all(self) -> &'static str {
        match self {
            Lost::Requests => "requests to it are answered with 503",
            Lost::Copies => "nothing is mirrored",
            Lost::Connections => "connections to it are closed",
        }
    }
}

/// Makes the rules of a VirtualService.
pub(crate) fn build_route(
    service: &Arc<VirtualService>,
    lookup: Lookup<'_>,
    (policies, plugins): (&mut EdgePolicies<'_>, &RulePlugins<'_>),
    findings: &mut Findings,
) -> Route {
    let mut rules = Vec::with_capacity(service.rules.len());
    for written in &service.rules {
        let id = &service.metadata.id;
        let overrides = policies.overrides(id, written.name.as_deref(), findings);
        let plugins = plugins.of(service, written.name.as_deref());
        let rule = Rule { overrides, plugins, ..build_rule(id, written, lookup, findings) };
        let split = split_catch_all(rule);
        rules.extend(split.map(|rule| PlacedRule { rule: Arc::new(rule), index: written.index }));
    }
    Route { service: service.clone(), rules, tcp_rules: Vec::new() }
}

/// Where one match of several takes every request, only that one moves behind the rules of other
/// VirtualServices; so it becomes a rule of its own.
fn split_catch_all(mut rule: Rule) -> impl Iterator<Item = Rule> {
    let rest = if rule.matches.len() > 1 && is_catch_all(&rule.matches) {
        let (all, some) = rule.matches.drain(..).partition(RequestMatch::is_catch_all);
        let specific = Rule { matches: some, ..rule.clone() };
        rule.matches = all;
        (!specific.matches.is_empty()).then_some(specific)
    } else {
        None
    };
    rest.into_iter().chain([rule])
}

fn build_rule(
    id: &ObjectId,
    written: &HttpRule,
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Rule {
    let name = match &written.name {
        Some(name) => format!("{id}/http[{name}]"),
        None => format!("{id}/http[{}]", written.index),
    };
    let headers = &written.headers;
    let action = match &written.action {
        RouteAction::Redirect(redirect) => Action::Redirect(redirect.clone()),
        RouteAction::DirectResponse(response) => Action::DirectResponse(response.clone()),
        RouteAction::Forward { destinations, path_rewrite, authority_rewrite } => Action::Forward {
            destinations: destinations
                .iter()
                .enumerate()
                .map(|(index, destination)| {
                    let field =
                        || format!("spec.http[{}].route[{index}].destination", written.index);
                    build_destination(id, destination, lookup, &field, findings)
                })
                .collect(),
            path_rewrite: path_rewrite.clone(),
            authority_rewrite: authority_rewrite.clone().or_else(|| headers.authority.clone()),
        },
    };
    Rule {
        id: name.into(),
        origin: written.origin.clone(),
        matches: written.matches.clone(),
        action,
        request_headers: headers.request.clone(),
        response_headers: headers.response.clone(),
        timeout: written.timeout,
        retries: written.retries.clone(),
        mirrors: build_mirrors(id, written, lookup, findings),
        overrides: RequestOverrides::default(),
        plugins: Vec::new(),
        filters: None,
    }
}

fn build_mirrors(
    id: &ObjectId,
    written: &HttpRule,
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Vec<Mirror> {
    let lookup = Lookup { lost: Lost::Copies, ..lookup };
    let mirrors = written.mirrors.iter().map(|mirror| {
        let field = || mirror.field.clone();
        let destination = build_destination(id, &mirror.destination, lookup, &field, findings);
        Mirror { cluster: destination.cluster, parts_per_million: mirror.parts_per_million }
    });
    mirrors.collect()
}

/// A destination with its cluster's name; a problem where it has none, or no endpoint.
pub(crate) fn build_destination(
    id: &ObjectId,
    destination: &RouteDestination,
    lookup: Lookup<'_>,
    field: &dyn Fn() -> String,
    findings: &mut Findings,
) -> Destination {
    let host = lookup.services.full_host(&destination.host, &id.namespace);
    let mut warn = |code, part: &str, message: String, help: &str| {
        let field = format!("{}.{part}", field());
        let spot = Spot { object: id, field, origin: &destination.origin };
        findings.warning(code, spot, message, help);
    };
    let share = lookup.lost.share();
    let port = match lookup.services.find(&host) {
        None => {
            let help = format!("write a Service or ServiceEntry, or correct the name; {share}");
            warn(codes::SERVICE_MISSING, "host", format!("there is no service `{host}`"), &help);
            return finish(
                destination,
                ClusterName {
                    host,
                    port: destination.port.unwrap_or(80),
                    subset: (&*destination.subset).into(),
                },
            );
        }
        Some(service) => choose_port(service, destination, |message, help| {
            let help = format!("{help}; {share}");
            warn(codes::PORT_MISSING, "port", message, &help);
        }),
    };
    let cluster = ClusterName { host, port, subset: (&*destination.subset).into() };
    match lookup.clusters.get(&cluster) {
        Some(found) if !found.can_have_endpoints() => {
            let message = format!("`{cluster}` has no endpoints");
            warn(codes::NO_ENDPOINTS, "host", message, lookup.lost.all());
        }
        None if !destination.subset.is_empty() && port != 0 => {
            let message = format!("`{}` has no subset `{}`", cluster.host, cluster.subset);
            let help = format!("write it in a DestinationRule, or correct the name; {share}");
            warn(codes::SUBSET_MISSING, "subset", message, &help);
        }
        _ => {}
    }
    finish(destination, cluster)
}

fn finish(destination: &RouteDestination, cluster: ClusterName) -> Destination {
    Destination {
        cluster,
        weight: destination.weight,
        request_headers: destination.headers.request.clone(),
        response_headers: destination.headers.response.clone(),
        change: None,
    }
}

/// The port written, else the only one, else 80; 0, which no cluster has, where that says nothing.
fn choose_port(
    service: &KnownService,
    destination: &RouteDestination,
    mut complain: impl FnMut(String, &str),
) -> u16 {
    let known = || {
        let numbers: Vec<_> = service.ports.iter().map(|port| port.number.to_string()).collect();
        numbers.join(", ")
    };
    let has = |number| service.ports.iter().any(|port| port.number == number);
    match (destination.port, service.ports.as_slice()) {
        (Some(number), _) if has(number) => number,
        (Some(number), _) => {
            let message = format!("`{}` has no port {number}", service.host);
            complain(message, &format!("its ports are: {}", known()));
            number
        }
        (None, [only]) => only.number,
        (None, _) if has(80) => 80,
        (None, _) => {
            let message =
                format!("`{}` has several ports or none, so one has to be named", service.host);
            complain(message, &format!("write `port: {{number: …}}`; its ports are: {}", known()));
            0
        }
    }
}
