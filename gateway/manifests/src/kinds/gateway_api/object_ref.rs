//! References to other objects: group, kind, namespace and name.

use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use crate::reader::{Cursor, Fields};

/// Gateway API's group.
pub(crate) const GROUP: &str = "gateway.networking.k8s.io";

/// A reference to an object, which may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectRef {
    /// Empty for the core group.
    pub(crate) group: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) origin: Origin,
    /// The reference's path.
    pub(crate) field: String,
}

impl ObjectRef {
    /// Whether it is of this group and kind.
    pub(crate) fn is_a(&self, group: &str, kind: &str) -> bool {
        *self.group == *group && *self.kind == *kind
    }

    /// The identity of what it names.
    pub(crate) fn id(&self) -> ObjectId {
        ObjectId::new(&*self.kind, self.namespace.clone(), self.name.clone())
    }
}

/// Reads `group`, `kind`, `namespace` and `name`. What is not written is as `otherwise`, a pair of group and kind, and
/// of the object's own namespace; a kind that is empty there has to be written.
pub(super) fn read_object_ref(
    fields: &Fields<'_>,
    own: &Arc<str>,
    otherwise: (&str, &str),
) -> Option<ObjectRef> {
    let group = match fields.field("group") {
        Some(field) => field.text()?.into(),
        None => otherwise.0.into(),
    };
    let kind = match fields.field("kind") {
        Some(field) => filled(&field)?.into(),
        None if otherwise.1.is_empty() => {
            fields.missing("kind", "");
            return None;
        }
        None => otherwise.1.into(),
    };
    let namespace = match fields.field("namespace") {
        Some(field) => filled(&field)?.into(),
        None => own.clone(),
    };
    let name = fields.required("name").and_then(|field| filled(&field))?.into();
    let cursor = fields.cursor();
    let (origin, field) = (cursor.origin(), cursor.path());
    Some(ObjectRef { group, kind, namespace, name, origin, field })
}

/// A text that is not empty.
pub(super) fn filled<'c>(field: &Cursor<'c>) -> Option<&'c str> {
    if field.is_empty_text() {
        field.refuse("this must not be empty", "");
        return None;
    }
    field.text()
}
