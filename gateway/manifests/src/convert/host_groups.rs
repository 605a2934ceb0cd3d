//! The virtual hosts of each server: the rules of all VirtualServices that share a host, in one order. Only hosts of
//! VirtualServices that changed are put together anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{ByHost, OfHost, VirtualHost};

use super::bound::Bound;
use super::findings::Findings;
use super::merge::{Loser, Merger};
use super::open::OpenGateway;
use super::route_memo::{Routes, Since};
use super::routes::Route;
use crate::kinds::RouteOrder;

/// The hosts of all servers, by Gateway and server.
pub(crate) type Groups = Vec<Vec<ServerGroups>>;

/// The hosts of one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerGroups {
    groups: ByHost<Group>,
    /// Of those groups that have something to do with requests.
    pub(crate) virtual_hosts: ByHost<VirtualHost>,
    /// The hosts on which rules never match, or lose requests.
    losing: BTreeSet<HostPattern>,
}

/// The VirtualServices of one host of one server.
#[derive(Debug)]
struct Group {
    virtual_host: Arc<VirtualHost>,
    /// In creation order.
    members: Box<[Arc<Bound>]>,
    losers: Arc<[Loser]>,
}

impl OfHost for Group {
    fn host(&self) -> &HostPattern {
        &self.virtual_host.host
    }
}

/// Puts together the hosts of all servers, by Gateway and server, and reports whose rules lose requests.
pub(crate) fn group_hosts(
    gateways: &[OpenGateway],
    routes: &Routes,
    since: Since<'_, Groups>,
    findings: &mut Findings,
) -> Groups {
    let (before, gone, added) = match since {
        Since::Some { groups, gone, added } => (groups.as_slice(), gone, added),
        Since::AllChanged => (&[][..], Vec::new(), (0..routes.iter().count()).collect()),
    };
    let mut grouping = Grouping {
        changes: Changes::of(routes, &gone, &added),
        gone: gone.iter().map(|bound| Arc::as_ptr(bound)).collect(),
        places: None,
        routes,
        merger: Merger::default(),
        made: Vec::new(),
    };
    for (index, open) in gateways.iter().enumerate() {
        let before = before.get(index).map_or(&[][..], Vec::as_slice);
        let of_server = |(number, _)| {
            grouping.renew((index, number), before.get(number), open.gateway.route_order)
        };
        let groups = open.servers.iter().enumerate().map(of_server).collect();
        grouping.made.push(groups);
    }
    report_losers(gateways, &grouping.made, findings);
    grouping.made
}

/// A Gateway and one of its servers, by their places.
type Place = (usize, usize);

/// The hosts whose groups are others than they were, by server, with the places of the routes that came to them.
struct Changes(HashMap<Place, BTreeMap<HostPattern, Vec<usize>>>);

impl Changes {
    fn of(routes: &Routes, gone: &[&Arc<Bound>], added: &[usize]) -> Self {
        let mut changes = Changes(HashMap::new());
        for bound in gone {
            changes.touch(bound, |_| {});
        }
        for place in added {
            if let Some(bound) = routes.at(*place) {
                changes.touch(bound, |members| members.push(*place));
            }
        }
        changes
    }

    fn touch(&mut self, bound: &Bound, change: impl Fn(&mut Vec<usize>)) {
        for on in &bound.servers {
            let hosts = self.0.entry((on.gateway, on.server)).or_default();
            for host in &on.hosts {
                change(hosts.entry(host.clone()).or_default());
            }
        }
    }
}

/// All groups being renewed.
struct Grouping<'g> {
    changes: Changes,
    gone: HashSet<*const Bound>,
    /// Where each route stands, once that is asked.
    places: Option<HashMap<*const Bound, usize>>,
    routes: &'g Routes,
    merger: Merger,
    /// Those of the Gateways so far.
    made: Vec<Vec<ServerGroups>>,
}

impl Grouping<'_> {
    fn renew(
        &mut self,
        place: Place,
        before: Option<&ServerGroups>,
        order: RouteOrder,
    ) -> ServerGroups {
        let before = before.cloned().unwrap_or_default();
        let Some(changed) = self.changes.0.remove(&place) else { return before };
        let mut losing = before.losing.clone();
        let (mut groups, mut virtual_hosts) = (BTreeMap::new(), BTreeMap::new());
        for (host, added) in changed {
            let old = before.groups.of(&host).next();
            let members = self.members(old.map_or(&[], |group| &group.members), added);
            let group = (!members.is_empty()).then(|| self.group(&host, members, order));
            match &group {
                Some(group) if !group.losers.is_empty() => losing.insert(host.clone()),
                _ => losing.remove(&host),
            };
            let served = group.as_ref().filter(|group| group.takes_requests());
            let served = served.map(|group| group.virtual_host.clone());
            virtual_hosts.insert(host.clone(), served);
            groups.insert(host, group);
        }
        ServerGroups {
            groups: before.groups.with(&groups),
            virtual_hosts: before.virtual_hosts.with(&virtual_hosts),
            losing,
        }
    }

    /// Those that stay and those that come, in creation order.
    fn members(&mut self, old: &[Arc<Bound>], mut places: Vec<usize>) -> Box<[Arc<Bound>]> {
        for stays in old.iter().filter(|bound| !self.gone.contains(&Arc::as_ptr(bound))) {
            let pair = |(place, bound): (usize, &Arc<Bound>)| (Arc::as_ptr(bound), place);
            let all = self.routes.iter().enumerate();
            let known = self.places.get_or_insert_with(|| all.map(pair).collect());
            places.extend(known.get(&Arc::as_ptr(stays)));
        }
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|place| self.routes.at(place).cloned()).collect()
    }

    /// The group of these members, which most often another server of the Gateway has too.
    fn group(
        &mut self,
        host: &HostPattern,
        members: Box<[Arc<Bound>]>,
        order: RouteOrder,
    ) -> Arc<Group> {
        let merged = self.merger.merge(&members, order);
        let virtual_host = merged.under(host);
        let losers = merged.losers.clone();
        Arc::new(Group { virtual_host, members, losers })
    }
}

impl Group {
    /// Rules for connections alone take no requests away from others.
    fn takes_requests(&self) -> bool {
        self.members.iter().any(|bound| Route::takes_requests(&bound.route))
    }
}

/// Reports each match once, however many hosts it stands under.
fn report_losers(gateways: &[OpenGateway], made: &[Vec<ServerGroups>], findings: &mut Findings) {
    let mut reported = HashSet::new();
    for (open, servers) in gateways.iter().zip(made) {
        let http = open.servers.iter().zip(servers).filter(|(server, _)| server.protocol.is_http());
        for (_, server) in http {
            let losing = server.losing.iter().flat_map(|host| server.groups.of(host));
            let losing = losing.filter(|group| group.takes_requests());
            for loser in losing.flat_map(|group| group.losers.iter()) {
                if reported.insert((open.gateway.route_order, loser.place())) {
                    findings.extend([loser.problem.clone()]);
                }
            }
        }
    }
}
