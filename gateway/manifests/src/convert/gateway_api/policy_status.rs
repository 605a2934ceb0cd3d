//! The status of BackendTLSPolicies, for each Gateway whose routes lead to their Services.

use std::collections::{BTreeMap, HashMap};

use portcullis_model::ObjectId;

use super::super::backend_tls::PolicyVerdict;
use super::super::gather::Objects;
use super::conditions::Conditions;
use super::parent_status::empty;
use super::parents::Refusal;
use super::verdict::RouteVerdict;
use crate::kinds::{BackendRef, CONTROLLER};
use crate::status::{AncestorStatus, ObjectStatus, ParentReference};

/// Of a policy; one whose Services no Gateway of ours leads to has none.
pub(super) fn status_of_policy(
    verdict: &PolicyVerdict<'_>,
    objects: &Objects,
    routes: &[RouteVerdict],
) -> Option<ObjectStatus> {
    let ancestors = ancestors(verdict, objects, routes);
    if ancestors.is_empty() {
        return None;
    }
    let conditions = Conditions { generation: verdict.metadata.generation };
    let refusal = |why: &Option<(&'static str, String)>| {
        why.clone().map(|(reason, message)| Refusal { reason, message })
    };
    let conditions = vec![
        conditions.unless("Accepted", refusal(&verdict.refused).as_ref()),
        conditions.unless("ResolvedRefs", refusal(&verdict.unresolved).as_ref()),
    ];
    let ancestor = |ancestor_ref: ParentReference| AncestorStatus {
        ancestor_ref,
        controller_name: CONTROLLER,
        conditions: conditions.clone(),
    };
    Some(ObjectStatus {
        ancestors: ancestors.into_values().map(ancestor).collect(),
        ..empty(verdict.metadata.id.to_string())
    })
}

/// What routes to its Services are attached to, each once.
fn ancestors(
    verdict: &PolicyVerdict<'_>,
    objects: &Objects,
    routes: &[RouteVerdict],
) -> BTreeMap<ObjectId, ParentReference> {
    let accepted: HashMap<&ObjectId, &RouteVerdict> =
        routes.iter().map(|route| (&route.id, route)).collect();
    let mut ancestors = BTreeMap::new();
    for (route, backend) in backends(objects) {
        let is_for = |service: &ObjectId| {
            backend.object.is_a("", "Service") && backend.object.id() == *service
        };
        if !verdict.services.iter().any(is_for) {
            continue;
        }
        let parents = accepted.get(route).map(|route| route.parents.as_slice()).unwrap_or_default();
        for parent in parents.iter().filter(|parent| parent.refused.is_none()) {
            let object = &parent.parent.object;
            ancestors.entry(object.id()).or_insert_with(|| ParentReference {
                group: object.group.to_string(),
                kind: object.kind.to_string(),
                namespace: object.namespace.to_string(),
                name: object.name.to_string(),
                section_name: None,
                port: None,
            });
        }
    }
    ancestors
}

/// Every backend of every route.
fn backends(objects: &Objects) -> impl Iterator<Item = (&ObjectId, &BackendRef)> {
    let of_requests = objects.http_routes.iter().flat_map(|route| {
        let backends = route.rules.iter().flat_map(|rule| &rule.backends);
        backends.map(move |backend| (&route.metadata.id, &backend.backend))
    });
    let of_connections = objects.stream_routes.iter().flat_map(|route| {
        route.rule.backends.iter().map(move |backend| (&route.metadata.id, backend))
    });
    of_requests.chain(of_connections)
}
