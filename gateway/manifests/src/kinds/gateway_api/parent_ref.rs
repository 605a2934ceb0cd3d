//! `parentRefs` of a route: the Gateways and ListenerSets that it asks to be attached to.

use std::sync::Arc;

use super::object_ref::{GROUP, ObjectRef, filled, read_object_ref};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::port;

/// One entry of `parentRefs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParentRef {
    pub(crate) object: ObjectRef,
    /// The listener's name; `None` for all of them.
    pub(crate) section: Option<Arc<str>>,
    /// The listener's port.
    pub(crate) port: Option<u16>,
}

static PARENT: Schema = Schema {
    what: "an entry of `parentRefs`",
    served: &["group", "kind", "namespace", "name", "sectionName", "port"],
    not_yet: &[],
    skipped: &[],
};

/// Reads `parentRefs`.
pub(in crate::kinds) fn read_parent_refs(spec: &Fields<'_>, own: &Arc<str>) -> Vec<ParentRef> {
    let field = spec.field("parentRefs");
    let parents: Vec<ParentRef> = field
        .iter()
        .flat_map(|field| field.items())
        .filter_map(|item| read_parent_ref(&item, own))
        .collect();
    if field.is_none_or(|field| field.is_empty_list()) {
        let message = "the route names no Gateway, so it has no effect here";
        let cursor = spec.cursor();
        cursor.report(Gravity::Warns, codes::NO_EFFECT, message, "name one in `parentRefs`");
    }
    parents
}

fn read_parent_ref(item: &Cursor<'_>, own: &Arc<str>) -> Option<ParentRef> {
    let fields = item.fields(&PARENT)?;
    let object = read_object_ref(&fields, own, (GROUP, "Gateway"))?;
    let section = match fields.field("sectionName") {
        Some(field) => Some(filled(&field)?.into()),
        None => None,
    };
    let port = match fields.field("port") {
        Some(field) => Some(port(&field)?),
        None => None,
    };
    Some(ParentRef { object, section, port })
}
