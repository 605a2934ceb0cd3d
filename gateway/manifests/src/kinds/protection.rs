//! What protects and cannot be used: an `AuthorizationPolicy` or `RequestAuthentication` that is broken and never was
//! good. What it covers is all that counts, as that is refused. And what such policies cover, broken or not.

use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use super::plugin_target::{Coverage, Coverer, read_coverage};
use crate::metadata::{Created, Metadata};
use crate::reader::{Cursor, Fields};
use crate::yaml::Node;

/// An object that should protect what it covers.
#[derive(Clone, Debug)]
pub(crate) struct Protection {
    pub(crate) metadata: Metadata,
    pub(crate) coverage: Coverage,
}

/// The namespace whose policies are for every namespace.
pub(crate) const ROOT_NAMESPACE: &str = "istio-system";

impl Protection {
    /// Of an object of which nothing is known but that it covers something: every Gateway, refused.
    pub(crate) fn unreadable(id: ObjectId, origin: Origin) -> Self {
        let created = Created::unknown();
        Protection {
            metadata: Metadata { id, origin, labels: Vec::new(), created, generation: None },
            coverage: Coverage::Every,
        }
    }
}

/// Without a selector or target, the object is for its own namespace.
pub(super) fn read_reach(spec: &Fields<'_>, namespace: &Arc<str>) -> Coverage {
    let selects_nothing = spec.field("selector").is_some_and(|field| {
        let labels = field.node().field("matchLabels");
        field.is_empty_mapping() || labels.is_some_and(Node::is_empty_mapping)
    });
    let narrowed = ["selector", "targetRef", "targetRefs"];
    if selects_nothing || narrowed.iter().all(|name| spec.field(name).is_none()) {
        return of_namespace(namespace);
    }
    if is_for_others(spec) {
        return Coverage::Named(Vec::new());
    }
    read_coverage(spec, namespace, Coverer::Policy)
}

/// What an object that selects nothing covers.
pub(super) fn of_namespace(namespace: &Arc<str>) -> Coverage {
    match &**namespace {
        ROOT_NAMESPACE => Coverage::Every,
        _ => Coverage::Namespace(namespace.clone()),
    }
}

/// Whether all its targets are such as waypoints serve, not gateways.
fn is_for_others(spec: &Fields<'_>) -> bool {
    let of_waypoints = |item: &Cursor<'_>| {
        let kind = item.node().field("kind").and_then(Node::text);
        matches!(kind, Some("Service" | "ServiceEntry"))
    };
    let [selector, one, several] =
        ["selector", "targetRef", "targetRefs"].map(|name| spec.field(name));
    match (selector, one, several) {
        (None, Some(field), None) => of_waypoints(&field),
        (None, None, Some(field)) => {
            !field.is_empty_list() && field.items().all(|item| of_waypoints(&item))
        }
        _ => false,
    }
}
