//! Rules for connections: their destinations looked up, and which listener has which.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{
    ListenerProtocol, ObjectId, Origin, TcpAddresses, TcpDestination, TcpRoute, TcpRule,
};

use super::binding::gateway_id;
use super::bound::Bound;
use super::findings::{Findings, Spot};
use super::routes::{Lookup, Lost, Route, build_destination};
use super::workload_sources::WorkloadSources;
use crate::codes;
use crate::kinds::{Server, TcpList, TcpMatch, TcpRule as Written, VirtualService};

/// Makes the rules of a VirtualService for connections.
pub(crate) fn tcp_rules(
    service: &VirtualService,
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Vec<Arc<TcpRule>> {
    let lookup = Lookup { lost: Lost::Connections, ..lookup };
    let id = &service.metadata.id;
    let mut build = |written: &Written| {
        let destinations = written.destinations.iter().enumerate().map(|(index, destination)| {
            let field = || format!("{}.route[{index}].destination", written.field());
            let built = build_destination(id, destination, lookup, &field, findings);
            TcpDestination { cluster: built.cluster, weight: built.weight }
        });
        Arc::new(TcpRule {
            destinations: destinations.collect(),
            id: format!("{id}/{}[{}]", written.list.as_str(), written.index).into(),
            origin: written.origin.clone(),
        })
    };
    service.tcp_rules.iter().map(&mut build).collect()
}

/// Gives listeners their rules, and finds those that no listener has.
pub(crate) struct TcpBinder<'b> {
    routes: &'b [&'b Arc<Bound>],
    sources: &'b WorkloadSources<'b>,
    used: HashSet<*const TcpRule>,
    reported: HashSet<(*const TcpRule, HostPattern)>,
}

/// Who has a name on a listener already.
struct Winner<'w> {
    object: &'w ObjectId,
    field: String,
    origin: &'w Origin,
}

impl<'b> TcpBinder<'b> {
    /// For these VirtualServices, in creation order.
    pub(crate) fn new(routes: &'b [&'b Arc<Bound>], sources: &'b WorkloadSources<'b>) -> Self {
        TcpBinder { routes, sources, used: HashSet::new(), reported: HashSet::new() }
    }

    /// The rules of a server that passes bytes on, of the VirtualServices that share these hosts with it.
    pub(crate) fn bind(
        &mut self,
        gateway: &ObjectId,
        server: &Server,
        hosts: &BTreeMap<HostPattern, Vec<usize>>,
        findings: &mut Findings,
    ) -> Vec<TcpRoute> {
        let list = list_for(server);
        let mut winners: HashMap<HostPattern, Winner<'b>> = HashMap::new();
        let mut bound = Vec::new();
        let members: BTreeSet<usize> = hosts.values().flatten().copied().collect();
        for number in members {
            let Some(route) = self.routes.get(number).map(|bound| &bound.route) else { continue };
            let shared = |(host, members): (&HostPattern, &Vec<usize>)| {
                members.contains(&number).then(|| host.clone())
            };
            let shared: Vec<HostPattern> = hosts.iter().filter_map(shared).collect();
            for (written, rule) in route.service.tcp_rules.iter().zip(&route.tcp_rules) {
                if written.list != list {
                    continue;
                }
                let applies = |found: &&TcpMatch| self.applies(found, gateway, server);
                for (addresses, names) in taken(written, &shared, applies) {
                    self.used.insert(Arc::as_ptr(rule));
                    let claim = (route, written, rule, addresses.is_none());
                    let names = self.claim(names, claim, &mut winners, findings);
                    if !names.is_empty() {
                        let server_names = if list == TcpList::Tls { names } else { Vec::new() };
                        bound.push(TcpRoute { server_names, addresses, rule: rule.clone() });
                    }
                }
            }
        }
        bound
    }

    fn applies(&self, found: &TcpMatch, gateway: &ObjectId, server: &Server) -> bool {
        let this = format!("{}/{}", gateway.namespace, gateway.name);
        !found.never
            && found.port.is_none_or(|port| port == server.port)
            && (found.gateways.is_empty() || found.gateways.iter().any(|name| **name == *this))
            && self.sources.holds(&found.source, &gateway.namespace, &gateway.name)
    }

    /// Those of the names that no earlier rule of the listener has; the others are reported.
    fn claim(
        &mut self,
        mut names: Vec<HostPattern>,
        (route, written, rule, takes_all): (&'b Route, &'b Written, &'b Arc<TcpRule>, bool),
        winners: &mut HashMap<HostPattern, Winner<'b>>,
        findings: &mut Findings,
    ) -> Vec<HostPattern> {
        let object = &route.service.metadata.id;
        names.retain(|name| {
            let Some(winner) = winners.get(name) else {
                let (field, origin) = (written.field(), &written.origin);
                // What takes some connections alone leaves the others to the rules behind it.
                if takes_all {
                    winners.insert(name.clone(), Winner { object, field, origin });
                }
                return true;
            };
            if self.reported.insert((Arc::as_ptr(rule), name.clone())) {
                report_shadowed(object, written, name, winner, findings);
            }
            false
        });
        names
    }

    /// Reports the rules that no listener has, unless a broken Gateway might have had them.
    pub(crate) fn report_unused(self, broken: &HashSet<ObjectId>, findings: &mut Findings) {
        for route in self.routes.iter().map(|bound| &bound.route) {
            let gateways = &route.service.gateways;
            if gateways.is_empty() || gateways.iter().any(|name| broken.contains(&gateway_id(name)))
            {
                continue;
            }
            for (written, rule) in route.service.tcp_rules.iter().zip(&route.tcp_rules) {
                if !self.used.contains(&Arc::as_ptr(rule)) {
                    report_unused(&route.service.metadata.id, written, findings);
                }
            }
        }
    }
}

/// What the matches' names and the hosts that server and VirtualService share have in common, each once.
fn names<'m>(
    matches: impl Iterator<Item = &'m TcpMatch>,
    shared: &[HostPattern],
) -> Vec<HostPattern> {
    let mut names = Vec::new();
    for name in matches.flat_map(|found| &found.server_names) {
        for common in shared.iter().filter_map(|host| host.intersect(name)) {
            if !names.contains(&common) {
                names.push(common);
            }
        }
    }
    names
}

/// Which of a VirtualService's lists is for a server: `tls` where TLS is passed on, `tcp` where it ends or none is
/// spoken.
fn list_for(server: &Server) -> TcpList {
    match (server.protocol, server.ends_tls()) {
        (ListenerProtocol::Tls, false) => TcpList::Tls,
        _ => TcpList::Tcp,
    }
}

/// What a rule takes by those of its matches that apply: server names, and the addresses that it asks for. `tcp`
/// knows no names, so that it takes any or none.
fn taken(
    written: &Written,
    shared: &[HostPattern],
    applies: impl Fn(&&TcpMatch) -> bool,
) -> Vec<(Option<Arc<TcpAddresses>>, Vec<HostPattern>)> {
    if written.list == TcpList::Tcp && written.matches.is_empty() {
        return vec![(None, vec![HostPattern::Any])];
    }
    let mut all: Vec<(Option<Arc<TcpAddresses>>, Vec<HostPattern>)> = Vec::new();
    for found in written.matches.iter().filter(applies) {
        let addresses = TcpAddresses {
            local: found.destination_subnets.clone(),
            remote: found.source_subnets.clone(),
        };
        let addresses = (addresses != TcpAddresses::default()).then(|| Arc::new(addresses));
        let names = match written.list {
            TcpList::Tls => names(std::iter::once(found), shared),
            TcpList::Tcp => vec![HostPattern::Any],
        };
        match all.iter_mut().find(|(known, _)| *known == addresses) {
            Some((_, known)) => {
                for name in names {
                    if !known.contains(&name) {
                        known.push(name);
                    }
                }
            }
            None if names.is_empty() => {}
            None => all.push((addresses, names)),
        }
    }
    all
}

fn report_shadowed(
    object: &ObjectId,
    written: &Written,
    name: &HostPattern,
    winner: &Winner<'_>,
    findings: &mut Findings,
) {
    let what = match written.list {
        TcpList::Tls => format!("connections for `{name}`"),
        TcpList::Tcp => "connections of this server".to_owned(),
    };
    let message = format!(
        "the {what} go to {} {} at {}, which comes before it",
        winner.object, winner.field, winner.origin
    );
    let help = "remove one of the two; VirtualServices are tried in creation order";
    let spot = Spot { object, field: written.field(), origin: &written.origin };
    findings.warning(codes::SHADOWED_RULE, spot, message, help);
}

fn report_unused(object: &ObjectId, written: &Written, findings: &mut Findings) {
    let (message, help) = match written.list {
        TcpList::Tls => (
            "no server of its Gateways passes on TLS for these names, so the rule has no effect",
            "give the Gateway a server with `protocol: TLS`, `mode: PASSTHROUGH` and the host, or correct the match",
        ),
        TcpList::Tcp => (
            "no server of its Gateways passes on such connections, so the rule has no effect",
            "give the Gateway a server with `protocol: TCP`, or `TLS` with `mode: SIMPLE`, and the host, or correct the match",
        ),
    };
    let origin = written.matches.first().map_or(&written.origin, |found| &found.origin);
    let spot = Spot { object, field: written.field(), origin };
    findings.warning(codes::TCP_RULE_UNUSED, spot, message.to_owned(), help);
}
