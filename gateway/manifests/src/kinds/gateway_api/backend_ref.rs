//! References to what requests and connections go to.

use std::sync::Arc;

use super::object_ref::{ObjectRef, read_object_ref};
use crate::reader::{Cursor, Fields, Schema};
use crate::scalars::port;

/// Something that takes requests or connections: a Service unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendRef {
    pub(crate) object: ObjectRef,
    pub(crate) port: Option<u16>,
    /// Its part of the sum of the weights.
    pub(crate) weight: u32,
}

static BACKEND: Schema = Schema {
    what: "a backend",
    served: &["group", "kind", "namespace", "name", "port", "weight"],
    not_yet: &[],
    skipped: &[],
};

const MOST_WEIGHT: i64 = 1_000_000;

/// Reads a backend that has nothing but its reference and weight.
pub(super) fn read_backend_ref(item: &Cursor<'_>, own: &Arc<str>) -> Option<BackendRef> {
    read_backend(&item.fields(&BACKEND)?, own)
}

/// Reads a backend's reference and weight.
pub(super) fn read_backend(fields: &Fields<'_>, own: &Arc<str>) -> Option<BackendRef> {
    let object = read_object_ref(fields, own, ("", "Service"))?;
    let port = match fields.field("port") {
        Some(field) => Some(port(&field)?),
        None => None,
    };
    let weight = match fields.field("weight") {
        Some(field) => u32::try_from(field.integer(0, MOST_WEIGHT)?).ok()?,
        None => 1,
    };
    Some(BackendRef { object, port, weight })
}

/// Reads `backendRefs` of a rule whose backends have nothing else.
pub(super) fn read_plain_backends(rule: &Fields<'_>, own: &Arc<str>) -> Vec<BackendRef> {
    let field = rule.field("backendRefs");
    let items = field.iter().flat_map(|field| field.items());
    items.filter_map(|item| read_backend_ref(&item, own)).collect()
}
