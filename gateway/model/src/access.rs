//! What a listener asks of requests before they pass: who they are, natively.

use portcullis_filters::JwtRule;

use crate::{ObjectId, Origin};

/// The `RequestAuthentication`s that cover a listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Authentication {
    /// The objects and where they stand, in creation order.
    pub objects: Vec<(ObjectId, Origin)>,
    /// All their `jwtRules`, in order.
    pub rules: Vec<JwtRule>,
}
