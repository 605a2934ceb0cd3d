//! What the tables of sockets are built from besides their listeners.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::{ClusterName, ObjectId};
use portcullis_telemetry::Registry;
use portcullis_upstream::Cluster;

use crate::buckets::Buckets;
use crate::{Authentications, PluginState};

/// What tables are built from besides their listeners.
pub(crate) struct Parts<'a> {
    pub(crate) clusters: &'a BTreeMap<ClusterName, Arc<Cluster>>,
    pub(crate) plugins: &'a BTreeMap<ObjectId, PluginState>,
    pub(crate) authentications: &'a Authentications,
    pub(crate) registry: &'a Registry,
    pub(crate) buckets: &'a Buckets,
}
