//! The status of routes, for each parent that they ask for.

use super::attach::ParentVerdict;
use super::conditions::Conditions;
use super::parent_status::empty;
use super::verdict::{Extent, RouteVerdict};
use crate::kinds::{CONTROLLER, ParentRef};
use crate::status::{Condition, ObjectStatus, ParentReference, ParentStatus};

/// Of a route; one that asks for nothing of ours has none.
pub(super) fn status_of_route(verdict: &RouteVerdict) -> Option<ObjectStatus> {
    if verdict.parents.is_empty() {
        return None;
    }
    let parent = |parent: &ParentVerdict| ParentStatus {
        parent_ref: reference(&parent.parent),
        controller_name: CONTROLLER,
        conditions: conditions(verdict, parent),
    };
    Some(ObjectStatus {
        parents: verdict.parents.iter().map(parent).collect(),
        ..empty(verdict.id.to_string())
    })
}

fn conditions(verdict: &RouteVerdict, parent: &ParentVerdict) -> Vec<Condition> {
    let conditions = Conditions { generation: verdict.generation };
    let unserved = verdict.unserved.as_ref();
    let wholly = unserved.filter(|unserved| unserved.extent == Extent::All);
    let refused = parent.refused.as_ref().or(wholly.map(|unserved| &unserved.refusal));
    let mut all = vec![
        conditions.unless("Accepted", refused),
        conditions.unless("ResolvedRefs", verdict.unresolved.as_ref()),
    ];
    if let Some(partly) = unserved.filter(|unserved| unserved.extent == Extent::Some) {
        let refusal = &partly.refusal;
        all.push(conditions.holds("PartiallyInvalid", refusal.reason, &refusal.message));
    }
    all
}

fn reference(parent: &ParentRef) -> ParentReference {
    let object = &parent.object;
    ParentReference {
        group: object.group.to_string(),
        kind: object.kind.to_string(),
        namespace: object.namespace.to_string(),
        name: object.name.to_string(),
        section_name: parent.section.as_deref().map(str::to_owned),
        port: parent.port,
    }
}
