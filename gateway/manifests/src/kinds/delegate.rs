//! Istio's `Delegate`: a rule whose requests another VirtualService has rules for.

use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use crate::reader::{Cursor, Schema};

/// The VirtualService that a rule delegates to.
#[derive(Clone, Debug)]
pub(crate) struct Delegate {
    pub(crate) id: ObjectId,
    pub(crate) origin: Origin,
}

static DELEGATE: Schema =
    Schema { what: "a delegate", served: &["name", "namespace"], not_yet: &[], skipped: &[] };

/// Reads `delegate` of a rule of this namespace.
pub(super) fn read_delegate(field: &Cursor<'_>, own: &Arc<str>) -> Option<Delegate> {
    let fields = field.fields(&DELEGATE)?;
    let namespace = fields.field("namespace").and_then(|field| field.text());
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    let name = fields.required("name")?;
    let name = name.text()?;
    if name.is_empty() {
        fields.missing("name", "");
        return None;
    }
    let id =
        ObjectId::new("VirtualService", namespace.map_or_else(|| own.clone(), Into::into), name);
    Some(Delegate { id, origin: field.origin() })
}
