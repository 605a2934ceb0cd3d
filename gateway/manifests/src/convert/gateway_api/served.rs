//! What routes give to servers: rules by host in the API's precedence, and rules for connections.

use std::cmp::{Ordering, Reverse};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{Listener, RequestMatch, Rule, TcpRoute, VirtualHost};

use super::super::findings::{Findings, Spot};
use crate::codes;
use crate::metadata::Metadata;

/// The index of a Gateway among those that listen, and the name of one of its servers.
pub(in crate::convert) type Place = (usize, Arc<str>);

/// The rules of all routes, by server.
#[derive(Default)]
pub(in crate::convert) struct ServedRoutes {
    hosts: HashMap<Place, BTreeMap<HostPattern, Vec<Candidate>>>,
    connections: HashMap<Place, Vec<(Precedence, TcpRoute)>>,
}

#[derive(Clone)]
struct Candidate {
    precedence: Precedence,
    rule: Arc<Rule>,
}

/// Where a rule stands among those of one host: the least comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::convert) struct Precedence {
    /// How specific its match is, the weightiest number first; what they are is the route kind's.
    specificity: Reverse<[usize; 5]>,
    /// Of the route: the oldest comes first, then by namespace and name.
    route: Arc<Metadata>,
    /// Which rule and match of the route it is.
    place: (usize, usize),
}

impl Precedence {
    /// Of one match of a route's rule.
    pub(in crate::convert) fn new(
        specificity: [usize; 5],
        route: Arc<Metadata>,
        place: (usize, usize),
    ) -> Self {
        Precedence { specificity: Reverse(specificity), route, place }
    }
}

impl Ord for Precedence {
    fn cmp(&self, other: &Self) -> Ordering {
        let name = |metadata: &Metadata| (metadata.id.namespace.clone(), metadata.id.name.clone());
        self.specificity
            .cmp(&other.specificity)
            .then_with(|| self.route.created.by_age(&other.route.created))
            .then_with(|| name(&self.route).cmp(&name(&other.route)))
            .then_with(|| self.place.cmp(&other.place))
    }
}

impl PartialOrd for Precedence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl ServedRoutes {
    /// Adds rules for the requests of a host.
    pub(in crate::convert) fn add(
        &mut self,
        place: &Place,
        host: &HostPattern,
        rules: &[(Precedence, Arc<Rule>)],
    ) {
        let hosts = self.hosts.entry(place.clone()).or_default();
        let candidates = hosts.entry(host.clone()).or_default();
        candidates
            .extend(rules.iter().cloned().map(|(precedence, rule)| Candidate { precedence, rule }));
    }

    /// Adds a rule for connections.
    pub(in crate::convert) fn add_connections(
        &mut self,
        place: &Place,
        precedence: Precedence,
        route: TcpRoute,
    ) {
        self.connections.entry(place.clone()).or_default().push((precedence, route));
    }

    /// Gives listeners, each with the index of its Gateway, their rules.
    pub(super) fn fill(&mut self, listeners: &mut [(usize, Listener)], findings: &mut Findings) {
        for (gateway, listener) in listeners {
            let place = (*gateway, listener.server.clone());
            let hosts = self.hosts.remove(&place).unwrap_or_default();
            if !hosts.is_empty() {
                let of = |(host, candidates)| virtual_host(host, candidates, findings);
                listener.virtual_hosts = hosts.into_iter().map(of).collect();
            }
            let mut connections = self.connections.remove(&place).unwrap_or_default();
            connections.sort_by(|(one, _), (other, _)| one.cmp(other));
            listener.tcp_routes.extend(connections.into_iter().map(|(_, route)| route));
        }
    }
}

fn virtual_host(
    host: HostPattern,
    mut candidates: Vec<Candidate>,
    findings: &mut Findings,
) -> VirtualHost {
    candidates.sort_by(|one, other| one.precedence.cmp(&other.precedence));
    report_shadowed(&candidates, findings);
    VirtualHost { host, rules: candidates.into_iter().map(|candidate| candidate.rule).collect() }
}

/// Of candidates in their order, those whose match an earlier one has too. (A broader match never comes earlier.)
fn report_shadowed(candidates: &[Candidate], findings: &mut Findings) {
    let mut earlier: HashMap<String, &Candidate> = HashMap::with_capacity(candidates.len());
    for candidate in candidates {
        let Some(condition) = candidate.rule.matches.first() else { continue };
        let bare = RequestMatch { origin: None, ..condition.clone() };
        match earlier.entry(format!("{bare:?}")) {
            Entry::Vacant(free) => drop(free.insert(candidate)),
            Entry::Occupied(taken) => report(candidate, condition, taken.get(), findings),
        }
    }
}

fn report(
    candidate: &Candidate,
    condition: &RequestMatch,
    winner: &Candidate,
    findings: &mut Findings,
) {
    let (rule, number) = candidate.precedence.place;
    let message = format!(
        "this never matches: the requests go to {} at {}, which comes before it on the same host",
        winner.rule.id, winner.rule.origin
    );
    let spot = Spot {
        object: &candidate.precedence.route.id,
        field: format!("spec.rules[{rule}].matches[{number}]"),
        origin: condition.origin.as_ref().unwrap_or(&candidate.rule.origin),
    };
    let help =
        "remove one of the two; among equal matches the oldest route wins, then the first by name";
    findings.warning(codes::SHADOWED_RULE, spot, message, help);
}
