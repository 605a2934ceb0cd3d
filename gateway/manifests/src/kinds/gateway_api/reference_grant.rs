//! `ReferenceGrant`: who may refer to objects of its namespace.

use std::sync::Arc;

use super::object_ref::{ObjectRef, filled};
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Report;

/// A ReferenceGrant.
#[derive(Clone, Debug)]
pub(crate) struct ReferenceGrant {
    pub(crate) metadata: Metadata,
    from: Vec<Referrer>,
    to: Vec<Referent>,
}

#[derive(Clone, Debug)]
struct Referrer {
    group: Box<str>,
    kind: Box<str>,
    namespace: Box<str>,
}

#[derive(Clone, Debug)]
struct Referent {
    group: Box<str>,
    kind: Box<str>,
    /// `None` for all.
    name: Option<Arc<str>>,
}

static REFERENCE_GRANT: Schema =
    Schema { what: "a ReferenceGrant", served: &["from", "to"], not_yet: &[], skipped: &[] };
static FROM: Schema = Schema {
    what: "an entry of `from`",
    served: &["group", "kind", "namespace"],
    not_yet: &[],
    skipped: &[],
};
static TO: Schema = Schema {
    what: "an entry of `to`",
    served: &["group", "kind", "name"],
    not_yet: &[],
    skipped: &[],
};

impl ReferenceGrant {
    /// Whether an object of a group, kind and namespace may refer to another one.
    pub(crate) fn permits(&self, from: (&str, &str, &str), to: &ObjectRef) -> bool {
        self.metadata.id.namespace == to.namespace
            && self.from.iter().any(|each| {
                let Referrer { group, kind, namespace } = each;
                (&**group, &**kind, &**namespace) == from
            })
            && self.to.iter().any(|each| {
                to.is_a(&each.group, &each.kind)
                    && each.name.as_ref().is_none_or(|name| *name == to.name)
            })
    }
}

/// Reads a ReferenceGrant.
pub(in crate::kinds) fn read_reference_grant(
    raw: &RawObject,
    report: &Report,
) -> Option<ReferenceGrant> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&REFERENCE_GRANT)?;
    let (mut from, mut to) = (Vec::new(), Vec::new());
    if let Some(field) = spec.required("from") {
        from.extend(field.items().filter_map(|item| read_referrer(&item.fields(&FROM)?)));
    }
    if let Some(field) = spec.required("to") {
        to.extend(field.items().filter_map(|item| read_referent(&item.fields(&TO)?)));
    }
    Some(ReferenceGrant { metadata, from, to })
}

fn read_referrer(fields: &Fields<'_>) -> Option<Referrer> {
    let group = fields.required("group").and_then(|field| field.text());
    let kind = fields.required("kind").and_then(|field| filled(&field));
    let namespace = fields.required("namespace").and_then(|field| filled(&field));
    Some(Referrer { group: group?.into(), kind: kind?.into(), namespace: namespace?.into() })
}

fn read_referent(fields: &Fields<'_>) -> Option<Referent> {
    let group = fields.required("group").and_then(|field| field.text());
    let kind = fields.required("kind").and_then(|field| filled(&field));
    let name = match fields.field("name") {
        Some(field) => Some(filled(&field)?.into()),
        None => None,
    };
    Some(Referent { group: group?.into(), kind: kind?.into(), name })
}
