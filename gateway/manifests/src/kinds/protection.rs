//! Kinds that protect and are not served yet: `AuthorizationPolicy`, `RequestAuthentication`. What they cover is
//! all that is read, as it is refused until they are served.

use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use super::plugin_target::{Coverage, Coverer, read_coverage};
use crate::codes;
use crate::draft::RawObject;
use crate::metadata::{Created, Metadata, OBJECT, annotations, read_metadata};
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::yaml::Node;

/// An object that would protect what it covers.
#[derive(Clone, Debug)]
pub(crate) struct Protection {
    pub(crate) metadata: Metadata,
    pub(crate) coverage: Coverage,
}

/// The namespace whose policies are for every namespace.
pub(crate) const ROOT_NAMESPACE: &str = "istio-system";

/// Beside what narrows it, the fields are not read before they are served.
static SPEC: Schema = Schema {
    what: "the object",
    served: &["selector", "targetRef", "targetRefs"],
    not_yet: &[],
    skipped: &[
        // AuthorizationPolicy
        "rules", "action", "provider", // RequestAuthentication
        "jwtRules",
    ],
};

/// Reads what an object covers; `None` where it would refuse nothing even if it were served.
pub(crate) fn read_protection(raw: &RawObject, report: &Report) -> Option<Protection> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report);
    if enforces_nothing(raw) {
        root.report(
            Gravity::Warns,
            codes::KIND_NOT_SERVED,
            format!("the kind {} is known, but not served yet", raw.id.kind),
            "the object has no effect here; served, it would refuse nothing either",
        );
        return None;
    }
    let namespace = &metadata.id.namespace;
    let fields = root.fields(&OBJECT);
    let spec = fields.as_ref().and_then(|fields| fields.field("spec"));
    let coverage = match &spec {
        None => of_namespace(namespace),
        Some(spec) => match spec.fields(&SPEC) {
            Some(spec) => read_reach(&spec, namespace),
            None => Coverage::Every,
        },
    };
    Some(Protection { coverage, metadata })
}

impl Protection {
    /// Of an object of which nothing is known but that it covers something: every Gateway, refused.
    pub(crate) fn unreadable(id: ObjectId, origin: Origin) -> Self {
        let created = Created::unknown();
        Protection {
            metadata: Metadata { id, origin, labels: Vec::new(), created },
            coverage: Coverage::Every,
        }
    }
}

/// A policy that only audits, or runs dry.
fn enforces_nothing(raw: &RawObject) -> bool {
    let is = |node: Option<&Node>, wanted| node.and_then(Node::text) == Some(wanted);
    let dry_run = annotations(raw).and_then(|node| node.field("istio.io/dry-run"));
    let action = raw.node.field("spec").and_then(|spec| spec.field("action"));
    &*raw.id.kind == "AuthorizationPolicy" && (is(dry_run, "true") || is(action, "AUDIT"))
}

/// Without a selector or target, the object is for its own namespace.
fn read_reach(spec: &Fields<'_>, namespace: &Arc<str>) -> Coverage {
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
        matches!(kind, Some("Service" | "ServiceEntry" | "GatewayClass"))
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
