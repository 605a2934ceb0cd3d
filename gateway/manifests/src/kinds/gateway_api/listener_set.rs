//! `ListenerSet`: further listeners of a Gateway.

use super::listener::{ApiListener, read_listeners};
use super::object_ref::{GROUP, ObjectRef, read_object_ref};
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Schema};
use crate::report::Report;

/// A ListenerSet.
#[derive(Clone, Debug)]
pub(crate) struct ListenerSet {
    pub(crate) metadata: Metadata,
    /// The Gateway that it belongs to.
    pub(crate) parent: ObjectRef,
    pub(crate) listeners: Vec<ApiListener>,
}

static LISTENER_SET: Schema = Schema {
    what: "a ListenerSet",
    served: &["parentRef", "listeners"],
    not_yet: &[],
    skipped: &[],
};
static PARENT: Schema = Schema {
    what: "`parentRef`",
    served: &["group", "kind", "namespace", "name"],
    not_yet: &[],
    skipped: &[],
};

/// Reads a ListenerSet.
pub(in crate::kinds) fn read_listener_set(raw: &RawObject, report: &Report) -> Option<ListenerSet> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&LISTENER_SET)?;
    let own = &metadata.id.namespace;
    let listeners = read_listeners(&spec, own);
    let field = spec.required("parentRef")?;
    let parent = read_object_ref(&field.fields(&PARENT)?, own, (GROUP, "Gateway"))?;
    if !parent.is_a(GROUP, "Gateway") {
        let message = format!("a ListenerSet belongs to a Gateway, not to a {}", parent.kind);
        field.refuse(message, format!("write `group: {GROUP}` and `kind: Gateway`"));
    }
    Some(ListenerSet { metadata, parent, listeners })
}
