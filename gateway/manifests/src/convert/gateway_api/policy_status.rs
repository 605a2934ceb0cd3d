//! The status of BackendTLSPolicies, for each Gateway whose routes lead to their Services.

use std::collections::{BTreeMap, HashMap};

use portcullis_model::ObjectId;

use super::super::backend_tls::PolicyVerdict;
use super::super::gather::Objects;
use super::conditions::Conditions;
use super::parent::Refusal;
use super::parent_status::empty;
use super::verdict::RouteVerdict;
use crate::kinds::{BackendRef, CONTROLLER};
use crate::status::{AncestorStatus, ObjectStatus, ParentReference};

/// The routes that lead to each Service.
type Users<'o> = HashMap<ObjectId, Vec<&'o RouteVerdict>>;

/// Of each policy; one whose Services no Gateway of ours leads to has none.
pub(super) fn status_of_policies(
    policies: &[PolicyVerdict<'_>],
    objects: &Objects,
    routes: &[RouteVerdict],
) -> Vec<ObjectStatus> {
    if policies.is_empty() {
        return Vec::new();
    }
    let users = users(objects, routes);
    policies.iter().filter_map(|policy| status_of_policy(policy, &users)).collect()
}

fn status_of_policy(verdict: &PolicyVerdict<'_>, users: &Users<'_>) -> Option<ObjectStatus> {
    let ancestors = ancestors(verdict, users);
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
    users: &Users<'_>,
) -> BTreeMap<ObjectId, ParentReference> {
    let mut ancestors = BTreeMap::new();
    let routes = verdict.services.iter().filter_map(|service| users.get(service)).flatten();
    let parents = routes.flat_map(|route| &route.parents);
    for parent in parents.filter(|parent| parent.refused.is_none()) {
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
    ancestors
}

fn users<'o>(objects: &Objects, routes: &'o [RouteVerdict]) -> Users<'o> {
    let by_id: HashMap<&ObjectId, &'o RouteVerdict> =
        routes.iter().map(|route| (&route.id, route)).collect();
    let mut users = Users::new();
    for (route, backend) in backends(objects) {
        if let Some(verdict) = by_id.get(route)
            && backend.object.is_a("", "Service")
        {
            users.entry(backend.object.id()).or_default().push(verdict);
        }
    }
    users
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
