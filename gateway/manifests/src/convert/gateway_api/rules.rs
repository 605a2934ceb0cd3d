//! Rules of HTTPRoutes and GRPCRoutes: filters and backends to what is done with a request.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use portcullis_filters::DirectResponse;
use portcullis_model::{
    Action, Destination, DestinationChange, HeaderOrder, Mirror, Origin, RequestMatch,
    RequestOverrides, RetryPolicy, Rule, RuleFilters,
};

use super::super::edge_policies::EdgePolicies;
use super::super::findings::{Findings, Spot};
use super::super::routes::Lookup;
use super::super::rule_plugins::{PluggedRoute, RulePlugins};
use super::backends::Sender;
use super::parent::Refusal;
use super::served::Precedence;
use super::verdict::Extent;
use crate::codes;
use crate::kinds::{
    PluginTargetKind, RouteBackend, RouteFilters, RouteKind, RouteTimes, TargetKind,
};
use crate::metadata::Metadata;

/// What rules are made with.
pub(in crate::convert) struct RuleParts<'b, 'p> {
    pub(in crate::convert) lookup: Lookup<'b>,
    pub(in crate::convert) policies: &'b mut EdgePolicies<'p>,
    pub(in crate::convert) plugins: &'b RulePlugins<'b>,
}

/// A rule as it is written.
#[derive(Clone, Copy)]
pub(super) struct WrittenRule<'w> {
    pub(super) kind: RouteKind,
    pub(super) route: &'w Arc<Metadata>,
    /// The names of all the route's rules.
    pub(super) names: &'w [&'w str],
    pub(super) origin: &'w Origin,
    pub(super) index: usize,
    pub(super) name: Option<&'w str>,
    pub(super) matches: &'w [RequestMatch],
    /// Of each match.
    pub(super) specificities: &'w [[usize; 5]],
    pub(super) filters: &'w RouteFilters,
    pub(super) backends: &'w [RouteBackend],
    pub(super) times: &'w RouteTimes,
}

/// What is wrong with a route, found while its rules are made.
#[derive(Default)]
pub(super) struct RouteFaults {
    /// Why something that it names cannot be used.
    pub(super) unresolved: Option<Refusal>,
    /// Why a rule of it is not served as written.
    pub(super) unserved: Option<Refusal>,
    /// How many of its rules are not served as written.
    pub(super) unserved_rules: usize,
}

impl RouteFaults {
    /// How many of so many rules are not served as written.
    pub(super) fn extent(&self, rules: usize) -> Extent {
        if self.unserved_rules == rules { Extent::All } else { Extent::Some }
    }
}

impl WrittenRule<'_> {
    /// One rule for each of its matches, with where that stands among those of other routes.
    pub(super) fn build(
        self,
        sender: Sender<'_>,
        parts: &mut RuleParts<'_, '_>,
        faults: &mut RouteFaults,
        findings: &mut Findings,
    ) -> Vec<(Precedence, Arc<Rule>)> {
        let rule = self.rule(sender, parts, faults, findings);
        let each = self.matches.iter().zip(self.specificities).enumerate();
        let each = each.map(|(number, (condition, specificity))| {
            let precedence =
                Precedence::new(*specificity, self.route.clone(), (self.index, number));
            (precedence, Arc::new(Rule { matches: vec![condition.clone()], ..rule.clone() }))
        });
        each.collect()
    }

    fn rule(
        self,
        sender: Sender<'_>,
        parts: &mut RuleParts<'_, '_>,
        faults: &mut RouteFaults,
        findings: &mut Findings,
    ) -> Rule {
        let filters = self.filters;
        let id = &self.route.id;
        let name = match self.name {
            Some(name) => format!("{id}/rules[{name}]"),
            None => format!("{id}/rules[{}]", self.index),
        };
        let (target, plugged) = match self.kind {
            RouteKind::Grpc => (TargetKind::GrpcRoute, PluginTargetKind::GrpcRoute),
            _ => (TargetKind::HttpRoute, PluginTargetKind::HttpRoute),
        };
        let plugged = PluggedRoute { kind: plugged, id, names: self.names };
        let mut rule = Rule {
            id: name.into(),
            origin: self.origin.clone(),
            matches: Vec::new(),
            action: self.action(sender, faults, findings),
            request_headers: filters.request_headers.clone(),
            response_headers: filters.response_headers.clone(),
            header_order: HeaderOrder::RuleFirst,
            timeout: self.times.request,
            retries: self.times.retries.clone().unwrap_or_else(RetryPolicy::unwritten),
            mirrors: self.mirrors(sender, faults, findings),
            overrides: RequestOverrides::none(),
            plugins: parts.plugins.of_routes(&[(plugged, self.name)]),
            filters: filters
                .cors
                .clone()
                .map(|cors| Box::new(RuleFilters { cors: Some(cors), ..RuleFilters::default() })),
        };
        parts.policies.set_for_rule((target, id), self.name, &mut rule, findings);
        rule
    }

    fn action(
        self,
        sender: Sender<'_>,
        faults: &mut RouteFaults,
        findings: &mut Findings,
    ) -> Action {
        if let Some(kind) = &self.filters.unserved {
            let message = format!("filters of type {kind} are not served");
            faults.unserved.get_or_insert(Refusal { reason: "UnsupportedValue", message });
            faults.unserved_rules += 1;
            return error();
        }
        if let Some(redirect) = &self.filters.redirect {
            return Action::Redirect(redirect.clone());
        }
        let mut destinations = Vec::with_capacity(self.backends.len());
        for backend in self.backends {
            destinations.push(destination(backend, sender, faults, findings));
        }
        if destinations.iter().all(|destination| destination.weight == 0) {
            self.report_nowhere(findings);
            return error();
        }
        Action::Forward {
            destinations,
            path_rewrite: self.filters.path_rewrite.clone(),
            authority_rewrite: self.filters.authority_rewrite.clone(),
        }
    }

    fn mirrors(
        self,
        sender: Sender<'_>,
        faults: &mut RouteFaults,
        findings: &mut Findings,
    ) -> Vec<Mirror> {
        let sender = sender.of_copies();
        let mut mirrors = Vec::new();
        for mirror in &self.filters.mirrors {
            let cluster = sender.resolve(&mirror.backend, &mut faults.unresolved, findings);
            if cluster.port != 0 {
                mirrors.push(Mirror { cluster, parts_per_million: mirror.parts_per_million });
            }
        }
        mirrors
    }

    fn report_nowhere(self, findings: &mut Findings) {
        let field = format!("spec.rules[{}].backendRefs", self.index);
        let spot = Spot { object: &self.route.id, field, origin: self.origin };
        let message = match self.backends {
            [] => "the rule has no backends, so its requests are answered with 500",
            _ => "no backend of the rule has a weight, so its requests are answered with 500",
        };
        let help = "name a backend with a weight of 1 or more, or redirect";
        findings.warning(codes::NO_EFFECT, spot, message.to_owned(), help);
    }
}

fn destination(
    written: &RouteBackend,
    sender: Sender<'_>,
    faults: &mut RouteFaults,
    findings: &mut Findings,
) -> Destination {
    let mut cluster = sender.resolve(&written.backend, &mut faults.unresolved, findings);
    let filters = &written.filters;
    if let Some(kind) = &filters.unserved {
        // What the filter would have done must not be left out, and no service has the port 0.
        cluster.port = 0;
        let message = format!("filters of type {kind} are not served for one backend");
        faults.unserved.get_or_insert(Refusal { reason: "UnsupportedValue", message });
    }
    let missing = (cluster.port == 0).then_some(StatusCode::INTERNAL_SERVER_ERROR);
    let change = DestinationChange {
        redirect: filters.redirect.clone(),
        path_rewrite: filters.path_rewrite.clone(),
        authority_rewrite: filters.authority_rewrite.clone(),
        missing,
    };
    Destination {
        cluster,
        weight: written.backend.weight,
        request_headers: filters.request_headers.clone(),
        response_headers: filters.response_headers.clone(),
        change: (change != DestinationChange::default()).then(|| Box::new(change)),
    }
}

/// What the API asks for where a rule leads nowhere.
fn error() -> Action {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Action::DirectResponse(DirectResponse { status, body: Bytes::new() })
}
