//! Routes to the listeners that they ask for, and that take them.

use std::collections::HashSet;

use portcullis_message::HostPattern;
use portcullis_model::Origin;

use super::super::findings::{Findings, Spot};
use super::parent::{Parent, ParentListener, Refusal};
use super::parents::Parents;
use super::rivals::without_rivals;
use super::served::Place;
use crate::codes;
use crate::kinds::{GROUP, ParentRef, RouteKind};
use crate::metadata::Metadata;

/// A route that asks to be attached.
#[derive(Clone, Copy)]
pub(in crate::convert) struct AskingRoute<'r> {
    pub(in crate::convert) metadata: &'r Metadata,
    pub(in crate::convert) kind: RouteKind,
    pub(in crate::convert) parents: &'r [ParentRef],
    /// None at all are those of the listener.
    pub(in crate::convert) hostnames: &'r [HostPattern],
    /// Where they are written.
    pub(in crate::convert) hostnames_origin: &'r Origin,
}

/// Where a route is attached.
#[derive(Default)]
pub(in crate::convert) struct Attached {
    /// The servers, each once, with the hosts that the route has there.
    pub(in crate::convert) places: Vec<(Place, Vec<HostPattern>)>,
    /// What became of each entry of `parentRefs` that names a Gateway or ListenerSet of ours.
    pub(in crate::convert) parents: Vec<ParentVerdict>,
}

/// What became of one entry of `parentRefs`.
#[derive(Clone, Debug)]
pub(in crate::convert) struct ParentVerdict {
    pub(in crate::convert) parent: ParentRef,
    /// Why it is not accepted; `None` where it is.
    pub(in crate::convert) refused: Option<Refusal>,
}

impl Parents {
    /// Attaches a route.
    pub(in crate::convert) fn attach(
        &mut self,
        route: AskingRoute<'_>,
        findings: &mut Findings,
    ) -> Attached {
        let mut attached = Attached::default();
        let mut counted = HashSet::new();
        for parent in route.parents {
            let Some(index) = self.find_parent(route, parent, findings) else { continue };
            let taken = self.listeners_for(route, parent, index);
            let refused = match taken {
                Ok(taken) => {
                    for (number, hosts) in taken {
                        self.take(route, index, number, hosts, &mut counted, &mut attached);
                    }
                    None
                }
                Err(refusal) => {
                    report(route, parent, &refusal, findings);
                    Some(refusal)
                }
            };
            attached.parents.push(ParentVerdict { parent: parent.clone(), refused });
        }
        attached
    }

    fn find_parent(
        &self,
        route: AskingRoute<'_>,
        parent: &ParentRef,
        findings: &mut Findings,
    ) -> Option<usize> {
        let object = &parent.object;
        let id = match (&*object.group, &*object.kind) {
            (GROUP, "Gateway") => object.id().in_group(GROUP),
            (GROUP, "ListenerSet") => object.id(),
            (group, kind) => {
                let spot = spot(route, parent, "kind");
                let message = format!("a route cannot be attached to a `{group}/{kind}` here");
                let help = "name a Gateway or ListenerSet; routes of the mesh have no effect here";
                findings.warning(codes::MESH_ONLY, spot, message, help);
                return None;
            }
        };
        let found = self.find(&id);
        if found.is_none() && !self.is_foreign(&id) && !self.is_broken(&id) {
            let spot = spot(route, parent, "name");
            let message = format!("there is no {id}");
            let help = "write it, or correct the name; a name without namespace is looked for in the route's own";
            findings.error(codes::GATEWAY_MISSING, spot, message, help);
        }
        found
    }

    /// The listeners of a parent that take a route, each with the hosts that they have in common.
    fn listeners_for(
        &self,
        route: AskingRoute<'_>,
        wanted: &ParentRef,
        index: usize,
    ) -> Result<Vec<(usize, Vec<HostPattern>)>, Refusal> {
        let Some(parent) = self.at(index) else { return Ok(Vec::new()) };
        let named: Vec<(usize, &ParentListener)> = parent
            .listeners
            .iter()
            .enumerate()
            .filter(|(_, listener)| is_wanted(wanted, listener))
            .collect();
        if named.is_empty() {
            return Err(no_listener(parent, wanted));
        }
        let own = &route.metadata.id.namespace;
        let mut open = named;
        open.retain(|(_, listener)| {
            let allowed = &listener.written.allowed;
            allowed.kinds.contains(&route.kind)
                && self.lets_in(&allowed.namespaces, &parent.id.namespace, own)
        });
        if open.is_empty() {
            let message = format!(
                "no listener of {} takes a {} of the namespace `{own}`",
                parent.id,
                route.kind.as_str()
            );
            return Err(Refusal { reason: "NotAllowedByListeners", message });
        }
        let common = |(number, listener): (usize, &ParentListener)| {
            let hosts = common_hosts(&listener.written.hostname, route.hostnames);
            (!hosts.is_empty()).then_some((number, hosts))
        };
        let taken: Vec<_> = open.into_iter().filter_map(common).collect();
        if taken.is_empty() {
            let message = format!("no listener of {} has any of the route's hostnames", parent.id);
            return Err(Refusal { reason: "NoMatchingListenerHostname", message });
        }
        without_rivals(route.kind, parent, taken)
    }

    fn take(
        &mut self,
        route: AskingRoute<'_>,
        parent: usize,
        number: usize,
        hosts: Vec<HostPattern>,
        counted: &mut HashSet<(usize, usize)>,
        attached: &mut Attached,
    ) {
        let parent_at = self.at_mut(parent);
        let listener = parent_at.and_then(|parent| parent.listeners.get_mut(number));
        let Some(listener) = listener else { return };
        // Two entries may name the same listener.
        if !counted.insert((parent, number)) {
            return;
        }
        if listener.conflict.is_none() {
            listener.attached += 1;
        }
        listener.claims.add(route.kind, &route.metadata.id, &hosts);
        if let Some(place) = listener.place {
            attached.places.push(((place, listener.server.clone()), hosts));
        }
    }
}

fn is_wanted(wanted: &ParentRef, listener: &ParentListener) -> bool {
    let written = &listener.written;
    wanted.section.as_ref().is_none_or(|section| *section == written.name)
        && wanted.port.is_none_or(|port| port == written.port)
}

/// What a listener's host and a route's have in common, each once.
fn common_hosts(listener: &HostPattern, route: &[HostPattern]) -> Vec<HostPattern> {
    if route.is_empty() {
        return vec![listener.clone()];
    }
    let mut common: Vec<HostPattern> = Vec::new();
    for host in route.iter().filter_map(|host| listener.intersect(host)) {
        if !common.contains(&host) {
            common.push(host);
        }
    }
    common
}

fn no_listener(parent: &Parent, wanted: &ParentRef) -> Refusal {
    let names: Vec<String> = parent
        .listeners
        .iter()
        .map(|listener| format!("{} (port {})", listener.written.name, listener.written.port))
        .collect();
    let wish = match (&wanted.section, wanted.port) {
        (Some(section), Some(port)) => format!("`{section}` on port {port}"),
        (Some(section), None) => format!("`{section}`"),
        (None, Some(port)) => format!("on port {port}"),
        (None, None) => "at all".to_owned(),
    };
    let message = format!("{} has no listener {wish}; it has: {}", parent.id, names.join(", "));
    Refusal { reason: "NoMatchingParent", message }
}

fn spot<'s>(route: AskingRoute<'s>, parent: &'s ParentRef, part: &str) -> Spot<'s> {
    let field = format!("{}.{part}", parent.object.field);
    Spot { object: &route.metadata.id, field, origin: &parent.object.origin }
}

fn report(route: AskingRoute<'_>, parent: &ParentRef, refusal: &Refusal, findings: &mut Findings) {
    let message = refusal.message.clone();
    match refusal.reason {
        "NoMatchingParent" => {
            let part = if parent.section.is_some() { "sectionName" } else { "port" };
            let help = "correct it; until then the route is not attached there";
            findings.error(codes::TARGET_MISSING, spot(route, parent, part), message, help);
        }
        "NotAllowedByListeners" => {
            let help = "widen the listener's `allowedRoutes`; by default it takes routes of its own namespace alone";
            findings.error(codes::NOT_ALLOWED, spot(route, parent, "name"), message, help);
        }
        "HostnameConflict" => {
            let help = "give one of them another hostname; an HTTPRoute can route gRPC by path and content type too";
            findings.error(codes::ROUTE_KINDS, spot(route, parent, "name"), message, help);
        }
        _ => {
            let spot = Spot {
                object: &route.metadata.id,
                field: "spec.hostnames".to_owned(),
                origin: route.hostnames_origin,
            };
            let help =
                "add the hostname to a listener, or correct it; `*.x` does not take `x` itself";
            findings.warning(codes::HOST_NOT_TAKEN, spot, message, help);
        }
    }
}
