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

/// What a policy covers; what it names may be no matter of a gateway.
pub(super) fn read_reach(spec: &Fields<'_>, namespace: &Arc<str>) -> Coverage {
    if is_for_others(spec) {
        return Coverage::Named(Vec::new());
    }
    read_coverage(spec, namespace, Coverer::Policy)
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
