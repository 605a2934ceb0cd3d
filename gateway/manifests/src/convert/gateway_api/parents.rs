//! What routes can be attached to: Gateways and ListenerSets, with the state of their listeners.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_model::ObjectId;

use super::super::findings::{Findings, Spot};
use super::super::gather::Objects;
use super::classes::{Classes, report_foreign};
use super::conflicts::mark_conflicts;
use super::grants::Grants;
use super::listeners::{fault, gateway_of, servers_of};
use super::parent::{Parent, ParentListener, Refusal};
use super::references::References;
use crate::codes;
use crate::kinds::{ApiGateway, ApiListener, GROUP, Gateway, ListenerSet, Namespaces};

/// All of them, by identity.
pub(in crate::convert) struct Parents {
    all: Vec<Parent>,
    by_id: HashMap<ObjectId, usize>,
    /// Gateways that other controllers serve.
    foreign: Vec<ObjectId>,
    /// What is written but could not be used.
    broken: HashSet<ObjectId>,
    /// The labels of namespaces.
    namespaces: HashMap<Arc<str>, Vec<(String, String)>>,
}

impl Parents {
    /// All, Gateways before their ListenerSets.
    pub(in crate::convert) fn iter(&self) -> impl Iterator<Item = &Parent> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Parent> {
        self.all.iter_mut()
    }

    pub(super) fn find(&self, id: &ObjectId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(super) fn at(&self, index: usize) -> Option<&Parent> {
        self.all.get(index)
    }

    pub(super) fn at_mut(&mut self, index: usize) -> Option<&mut Parent> {
        self.all.get_mut(index)
    }

    /// Whether a Gateway is another controller's.
    pub(super) fn is_foreign(&self, id: &ObjectId) -> bool {
        self.foreign.contains(id)
    }

    /// Whether a Gateway or ListenerSet is written but could not be used.
    pub(super) fn is_broken(&self, id: &ObjectId) -> bool {
        self.broken.contains(id)
    }

    /// Whether objects of a namespace are among those that an object of another one takes.
    pub(super) fn lets_in(&self, taken: &Namespaces, own: &str, other: &str) -> bool {
        takes(&self.namespaces, taken, own, other)
    }

    fn push(&mut self, parent: Parent) {
        self.by_id.insert(parent.id.clone(), self.all.len());
        self.all.push(parent);
    }
}

/// Makes the parents of all objects, and the Gateways that they are to the rest of the gateway.
pub(super) fn build(
    objects: &Objects,
    grants: &Grants<'_>,
    findings: &mut Findings,
) -> (Parents, Vec<Arc<Gateway>>) {
    let classes = Classes::new(objects);
    let mut parents = Parents {
        all: Vec::new(),
        by_id: HashMap::new(),
        foreign: Vec::new(),
        broken: objects.broken.clone(),
        namespaces: labels_of_namespaces(objects),
    };
    let references = References::new(objects, grants);
    let mut gateways = Vec::new();
    for gateway in &objects.api_gateways {
        if !classes.is_ours(gateway) {
            parents.foreign.push(gateway.metadata.id.clone());
            continue;
        }
        let members = members_of(gateway, objects, &parents, findings);
        let made = make(gateway, &members, &references, findings);
        gateways.push(Arc::new(made.gateway));
        made.parents.into_iter().for_each(|parent| parents.push(parent));
    }
    report_foreign(objects, &parents.foreign, findings);
    refuse_orphans(objects, &mut parents, findings);
    (parents, gateways)
}

/// A Gateway, and those of its ListenerSets that it takes.
struct Members<'o> {
    taken: Vec<&'o ListenerSet>,
    refused: Vec<&'o ListenerSet>,
}

fn members_of<'o>(
    gateway: &ApiGateway,
    objects: &'o Objects,
    parents: &Parents,
    findings: &mut Findings,
) -> Members<'o> {
    let id = &gateway.metadata.id;
    let is_its = |set: &&Arc<ListenerSet>| {
        set.parent.is_a(GROUP, "Gateway")
            && set.parent.namespace == id.namespace
            && set.parent.name == id.name
    };
    let mut members = Members { taken: Vec::new(), refused: Vec::new() };
    for set in objects.listener_sets.iter().filter(is_its) {
        let own = &set.metadata.id;
        if parents.lets_in(&gateway.allowed_listeners, &id.namespace, &own.namespace) {
            members.taken.push(set);
            continue;
        }
        members.refused.push(set);
        let field = set.parent.field.clone();
        let spot = Spot { object: own, field, origin: &set.parent.origin };
        let message = format!("{id} takes no ListenerSets of the namespace `{}`", own.namespace);
        let help = "write `allowedListeners: {namespaces: {from: Same}}` (or All, or Selector) in the Gateway";
        findings.error(codes::NOT_ALLOWED, spot, message, help);
    }
    members
}

struct MadeGateway {
    gateway: Gateway,
    parents: Vec<Parent>,
}

fn make(
    gateway: &ApiGateway,
    members: &Members<'_>,
    references: &References<'_>,
    findings: &mut Findings,
) -> MadeGateway {
    let id = &gateway.metadata.id;
    let refused = fault(gateway);
    let mut all = vec![parent(id, gateway.metadata.generation, id, &gateway.listeners)];
    for set in &members.taken {
        let own = &set.metadata;
        all.push(parent(&own.id, own.generation, id, &set.listeners));
    }
    mark_conflicts(&mut all, findings);
    let mut servers = Vec::new();
    for parent in &mut all {
        servers.extend(servers_of(gateway, parent, references, findings));
    }
    if let Some(refused) = refused {
        servers.clear();
        let parent_refusal = Refusal {
            reason: "ParentNotAccepted",
            message: format!("{id} is not accepted: {}", refused.message),
        };
        for (index, parent) in all.iter_mut().enumerate() {
            let reason = if index == 0 { refused.clone() } else { parent_refusal.clone() };
            parent.refused = Some(reason);
        }
    }
    let attached = members.taken.len();
    if let Some(first) = all.first_mut() {
        first.attached_sets = attached;
    }
    for set in &members.refused {
        let own = &set.metadata;
        let message = format!("{id} does not take ListenerSets of this namespace");
        let mut refused = parent(&own.id, own.generation, id, &set.listeners);
        refused.refused = Some(Refusal { reason: "NotAllowed", message });
        all.push(refused);
    }
    MadeGateway { gateway: gateway_of(gateway, servers), parents: all }
}

fn parent(
    id: &ObjectId,
    generation: Option<i64>,
    gateway: &ObjectId,
    listeners: &[ApiListener],
) -> Parent {
    let listener = |written: &ApiListener| ParentListener {
        server: match id == gateway {
            true => written.name.clone(),
            false => format!("{}/{}/{}", id.namespace, id.name, written.name).into(),
        },
        written: written.clone(),
        conflict: None,
        reference: None,
        place: None,
        attached: 0,
        claims: Default::default(),
    };
    Parent {
        id: id.clone(),
        generation,
        gateway: gateway.clone(),
        refused: None,
        listeners: listeners.iter().map(listener).collect(),
        attached_sets: 0,
        reference: None,
        certificate: None,
    }
}

/// ListenerSets whose Gateway is not there.
fn refuse_orphans(objects: &Objects, parents: &mut Parents, findings: &mut Findings) {
    for set in &objects.listener_sets {
        let own = &set.metadata;
        let gateway = set.parent.id().in_group(GROUP);
        let is_elsewhere = parents.is_foreign(&gateway) || objects.broken.contains(&gateway);
        if parents.find(&own.id).is_some() || is_elsewhere {
            continue;
        }
        let message = format!("there is no {gateway}");
        let spot =
            Spot { object: &own.id, field: set.parent.field.clone(), origin: &set.parent.origin };
        let help = "write the Gateway, or correct the name; until then nothing of it listens";
        findings.error(codes::GATEWAY_MISSING, spot, message.clone(), help);
        let mut orphan = parent(&own.id, own.generation, &gateway, &set.listeners);
        orphan.refused = Some(Refusal { reason: "ParentNotAccepted", message });
        parents.push(orphan);
    }
}

/// Every namespace has its own name as a label, as Kubernetes gives it.
fn labels_of_namespaces(objects: &Objects) -> HashMap<Arc<str>, Vec<(String, String)>> {
    let labels = objects.namespaces.iter().map(|namespace| {
        let metadata = &namespace.metadata;
        (metadata.id.name.clone(), with_name(&metadata.id.name, metadata.labels.clone()))
    });
    labels.collect()
}

fn with_name(name: &str, mut labels: Vec<(String, String)>) -> Vec<(String, String)> {
    const NAME: &str = "kubernetes.io/metadata.name";
    labels.retain(|(key, _)| key != NAME);
    labels.push((NAME.to_owned(), name.to_owned()));
    labels
}

fn takes(
    namespaces: &HashMap<Arc<str>, Vec<(String, String)>>,
    taken: &Namespaces,
    own: &str,
    other: &str,
) -> bool {
    match taken {
        Namespaces::All => true,
        Namespaces::Same => own == other,
        Namespaces::None => false,
        Namespaces::Selected(selector) => match namespaces.get(other) {
            Some(labels) => selector.selects(labels),
            None => selector.selects(&with_name(other, Vec::new())),
        },
    }
}
