//! Who may refer to objects of other namespaces.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_model::ObjectId;

use crate::kinds::{GROUP, ObjectRef, ReferenceGrant};

/// The ReferenceGrants, by the namespace that they open.
pub(in crate::convert) struct Grants<'o> {
    by_namespace: HashMap<&'o str, Vec<&'o ReferenceGrant>>,
}

impl<'o> Grants<'o> {
    /// These.
    pub(super) fn new(grants: &'o [Arc<ReferenceGrant>]) -> Self {
        let mut by_namespace: HashMap<&str, Vec<&ReferenceGrant>> = HashMap::new();
        for grant in grants {
            by_namespace.entry(&grant.metadata.id.namespace).or_default().push(grant);
        }
        Grants { by_namespace }
    }

    /// Whether an object of Gateway API may refer to another: in its own namespace always.
    pub(in crate::convert) fn permit(&self, from: &ObjectId, to: &ObjectRef) -> bool {
        if from.namespace == to.namespace {
            return true;
        }
        let grants = self.by_namespace.get(&*to.namespace);
        let from = (GROUP, &*from.kind, &*from.namespace);
        grants.into_iter().flatten().any(|grant| grant.permits(from, to))
    }
}
