//! VirtualServices to rules, their destinations looked up.

use std::sync::Arc;

use portcullis_model::{
    Action, ClusterName, Destination, DestinationChange, Mirror, ObjectId, RequestMatch,
    RequestOverrides, RetryPolicy, Rule, RuleFilters, TcpRule,
};

use super::as_istio::{Joints, header_order, leave_joints, settle_authority};
use super::clusters::Clusters;
use super::delegates::{Delegates, Effective};
use super::edge_policies::EdgePolicies;
use super::findings::{Findings, Spot};
use super::known_service::KnownService;
use super::rule_plugins::RulePlugins;
use super::services::Services;
use super::workload_sources::WorkloadSources;
use crate::codes;
use crate::kinds::{
    HttpRule, RouteAction, RouteDestination, RuleMirror, TargetKind, VirtualService, WrittenMatch,
};

/// A VirtualService with its rules.
#[derive(Debug)]
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

/// A rule and where it is written: in its VirtualService, or in a delegate of it.
#[derive(Clone, Debug)]
pub(crate) struct PlacedRule {
    pub(crate) rule: Arc<Rule>,
    /// Whose it is.
    pub(crate) object: ObjectId,
    /// Which one of `spec.http` it is.
    pub(crate) index: usize,
    /// For each of its matches, which one of those written it is.
    pub(crate) numbers: Arc<[Option<usize>]>,
}

impl PlacedRule {
    /// The field of one of its matches, or its own.
    pub(crate) fn field(&self, nth: usize) -> String {
        match self.numbers.get(nth).copied().flatten() {
            Some(number) => format!("spec.http[{}].match[{number}]", self.index),
            None => format!("spec.http[{}]", self.index),
        }
    }

    /// The same rule with these of its matches alone.
    pub(crate) fn with_matches(&self, chosen: &[usize]) -> PlacedRule {
        let matches = chosen.iter().filter_map(|nth| self.rule.matches.get(*nth)).cloned();
        let numbers = chosen.iter().map(|nth| self.numbers.get(*nth).copied().flatten());
        PlacedRule {
            rule: Arc::new(Rule { matches: matches.collect(), ..(*self.rule).clone() }),
            numbers: numbers.collect(),
            ..self.clone()
        }
    }
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

const VIRTUAL_SERVICE: TargetKind = TargetKind::VirtualService;

/// What rules are made with.
pub(crate) struct RouteBuilder<'b, 'p> {
    pub(crate) lookup: Lookup<'b>,
    pub(crate) delegates: Delegates<'b>,
    pub(crate) sources: &'b WorkloadSources<'b>,
    pub(crate) policies: &'b mut EdgePolicies<'p>,
    pub(crate) plugins: &'b RulePlugins<'b>,
    pub(crate) joints: Joints,
}

impl RouteBuilder<'_, '_> {
    /// Makes the rules of a VirtualService with hosts.
    pub(crate) fn build(
        &mut self,
        service: &Arc<VirtualService>,
        findings: &mut Findings,
    ) -> Route {
        let mut rules: Vec<PlacedRule> = Vec::with_capacity(service.rules.len());
        for effective in self.delegates.expand(service, findings) {
            let placed = self.place(service, &effective, findings);
            // Within one VirtualService this was said when it was read.
            if rules.last().is_some_and(|last: &PlacedRule| last.rule.is_catch_all()) {
                report_never_reached(&placed, rules.last(), findings);
                continue;
            }
            rules.extend(split_catch_all(placed));
        }
        Route { service: service.clone(), rules, tcp_rules: Vec::new() }
    }

    fn place(
        &mut self,
        service: &VirtualService,
        effective: &Effective,
        findings: &mut Findings,
    ) -> PlacedRule {
        let Effective { owner, rule: written, through } = effective;
        let (id, name) = (&owner.metadata.id, written.name.as_deref());
        let settled = written.matches.iter().map(|each| {
            let settled = self.sources.settle(each, &service.gateways);
            if settled.never && !each.conditions.never {
                report_elsewhere(id, written, each, findings);
            }
            settled
        });
        let matches: Vec<RequestMatch> = settled.collect();
        let mut built = build_rule(id, written, self.lookup, findings);
        settle_authority(id, written, &mut built, findings);
        if self.joints == Joints::AsWritten {
            leave_joints(&mut built.action);
        }
        built.matches = matches;
        built.plugins = self.plugins.of(&[(owner, name)]);
        if let Some(through) = through {
            let (root, by) = (&service.metadata.id, through.name.as_deref());
            let lookup = self.lookup;
            built.mirrors.extend(build_mirrors(root, &through.mirrors, lookup, findings));
            self.policies.set_for_rule((VIRTUAL_SERVICE, root), by, &mut built, findings);
            built.plugins = self.plugins.of(&[(service, by), (owner, name)]);
        }
        // What is set for a delegate is more specific.
        self.policies.set_for_rule((VIRTUAL_SERVICE, id), name, &mut built, findings);
        PlacedRule {
            rule: Arc::new(built),
            object: id.clone(),
            index: written.index,
            numbers: written.matches.iter().map(|each| each.index).collect(),
        }
    }
}

/// Where one match of several takes every request, only that one moves behind the rules of other
/// VirtualServices; so it becomes a rule of its own.
fn split_catch_all(placed: PlacedRule) -> impl Iterator<Item = PlacedRule> {
    let matches = &placed.rule.matches;
    if matches.len() < 2 || !placed.rule.is_catch_all() {
        return None.into_iter().chain([placed]);
    }
    let takes_all = |nth: &usize| matches.get(*nth).is_some_and(RequestMatch::is_catch_all);
    let (all, some): (Vec<usize>, Vec<usize>) = (0..matches.len()).partition(takes_all);
    let specific = (!some.is_empty()).then(|| placed.with_matches(&some));
    specific.into_iter().chain([placed.with_matches(&all)])
}

fn report_never_reached(placed: &PlacedRule, winner: Option<&PlacedRule>, findings: &mut Findings) {
    let Some(winner) = winner else { return };
    let message = format!(
        "this rule is never reached: {} spec.http[{}] at {} takes every request before it",
        winner.object, winner.index, winner.rule.origin
    );
    let field = format!("spec.http[{}]", placed.index);
    let spot = Spot { object: &placed.object, field, origin: &placed.rule.origin };
    let help = "move the rule that takes everything to the end, or give it a match";
    findings.warning(codes::UNREACHABLE_RULE, spot, message, help);
}

fn report_elsewhere(
    id: &ObjectId,
    written: &HttpRule,
    found: &WrittenMatch,
    findings: &mut Findings,
) {
    let field = match found.index {
        Some(number) => format!("spec.http[{}].match[{number}]", written.index),
        None => format!("spec.http[{}]", written.index),
    };
    let spot = Spot { object: id, field, origin: &found.origin };
    let message = "`sourceLabels` and `sourceNamespace` are held against the gateway itself, as in Istio, and none of the route's Gateways is so";
    let help = "remove them; labels are those of the Gateway's `selector` and of `--label`, the namespace is the Gateway's";
    findings.warning(codes::NEVER_MATCHES, spot, message.to_owned(), help);
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
    let headers = written.headers.as_deref().cloned().unwrap_or_default();
    let timeout = written.timeout.filter(|timeout| !timeout.is_zero());
    let mirrors = written.mirrors.as_deref().unwrap_or_default();
    let action = build_action(id, written, lookup, findings);
    Rule {
        id: name.into(),
        origin: written.origin.clone(),
        matches: Vec::new(),
        header_order: header_order(&action),
        action,
        request_headers: headers.request,
        response_headers: headers.response,
        timeout,
        retries: written.retries.clone().unwrap_or_else(RetryPolicy::unwritten),
        mirrors: build_mirrors(id, mirrors, lookup, findings),
        overrides: RequestOverrides::none(),
        plugins: Vec::new(),
        filters: filters(written),
    }
}

fn build_action(
    id: &ObjectId,
    written: &HttpRule,
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Action {
    let destinations = match &written.action {
        RouteAction::Redirect(redirect) => return Action::Redirect((**redirect).clone()),
        RouteAction::DirectResponse(response) => return Action::DirectResponse(response.clone()),
        RouteAction::Forward(destinations) => destinations.as_slice(),
        // Those were replaced by the rules of the delegate.
        RouteAction::Delegate(_) => &[],
    };
    let destinations = destinations.iter().enumerate().map(|(index, destination)| {
        let field = || format!("spec.http[{}].route[{index}].destination", written.index);
        build_destination(id, destination, lookup, &field, findings)
    });
    let rewrite = written.rewrite.as_deref().cloned().unwrap_or_default();
    let of_headers = written.headers.as_ref().and_then(|headers| headers.authority.clone());
    Action::Forward {
        destinations: destinations.collect(),
        path_rewrite: rewrite.path,
        authority_rewrite: rewrite.authority.or(of_headers),
    }
}

fn filters(written: &HttpRule) -> Option<Box<RuleFilters>> {
    let (cors, fault) = (written.cors.as_deref().cloned(), written.fault.as_deref().cloned());
    let is_some = cors.is_some() || fault.is_some();
    is_some.then(|| Box::new(RuleFilters { cors, fault, ..RuleFilters::default() }))
}

fn build_mirrors(
    id: &ObjectId,
    written: &[RuleMirror],
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Vec<Mirror> {
    let lookup = Lookup { lost: Lost::Copies, ..lookup };
    let mirrors = written.iter().map(|mirror| {
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
            let help = match lookup.services.near(&host) {
                Some(near) => format!("did you mean `{near}`? {share}"),
                None => format!("write a Service or ServiceEntry, or correct the name; {share}"),
            };
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
    // All who name a cluster share its texts.
    let known = lookup.clusters.get(&cluster).map(|found| found.name.clone());
    finish(destination, known.unwrap_or(cluster))
}

fn finish(destination: &RouteDestination, cluster: ClusterName) -> Destination {
    Destination {
        cluster,
        weight: destination.weight,
        request_headers: destination.headers.request.clone(),
        response_headers: destination.headers.response.clone(),
        change: change_of(destination),
    }
}

/// `headers.request.set` of the host, on one destination.
fn change_of(destination: &RouteDestination) -> Option<Box<DestinationChange>> {
    let authority_rewrite = destination.headers.authority.clone();
    authority_rewrite
        .is_some()
        .then(|| Box::new(DestinationChange { authority_rewrite, ..DestinationChange::default() }))
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
