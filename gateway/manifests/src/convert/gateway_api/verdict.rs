//! What became of a route: which parents took it, and whether all that it names is there.

use portcullis_model::ObjectId;

use super::attach::ParentVerdict;
use super::parent::Refusal;
use crate::metadata::Metadata;

/// What became of a route.
#[derive(Clone, Debug)]
pub(in crate::convert) struct RouteVerdict {
    pub(in crate::convert) id: ObjectId,
    pub(in crate::convert) generation: Option<i64>,
    /// For each entry of `parentRefs` that names something of ours.
    pub(in crate::convert) parents: Vec<ParentVerdict>,
    /// Why something that it names cannot be used; `None` where all of it can.
    pub(in crate::convert) unresolved: Option<Refusal>,
    /// Why some or all of its rules are not served as written.
    pub(in crate::convert) unserved: Option<Unserved>,
}

/// That rules are not served as written.
#[derive(Clone, Debug)]
pub(in crate::convert) struct Unserved {
    pub(in crate::convert) refusal: Refusal,
    pub(in crate::convert) extent: Extent,
}

/// How many of a route's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::convert) enum Extent {
    Some,
    All,
}

impl RouteVerdict {
    /// Of a route.
    pub(super) fn new(
        metadata: &Metadata,
        parents: Vec<ParentVerdict>,
        unresolved: Option<Refusal>,
    ) -> Self {
        let (id, generation) = (metadata.id.clone(), metadata.generation);
        RouteVerdict { id, generation, parents, unresolved, unserved: None }
    }

    /// The same where rules are not served as written.
    pub(super) fn with_unserved(self, refusal: Option<Refusal>, extent: Extent) -> Self {
        RouteVerdict { unserved: refusal.map(|refusal| Unserved { refusal, extent }), ..self }
    }
}
