//! What the choice of an endpoint depends on.

use crate::endpoint::{Endpoint, EndpointId};

/// What the choice of an endpoint for one attempt depends on, besides the cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pick<'a> {
    /// The hash of the request's key, where the cluster [hashes](crate::Cluster::hash_key) and the request has
    /// one; without it the draw decides.
    pub hash: Option<u64>,
    /// Endpoints that are not to be chosen: earlier attempts went there.
    pub tried: &'a [EndpointId],
}

impl Pick<'_> {
    pub(crate) fn may_be(&self, endpoint: &Endpoint) -> bool {
        self.tried.is_empty() || !self.tried.contains(&endpoint.id)
    }
}

/// The hash of a request's key, as Envoy takes it.
pub fn hash_of(key: &[u8]) -> u64 {
    xxhash_rust::xxh64::xxh64(key, 0)
}
