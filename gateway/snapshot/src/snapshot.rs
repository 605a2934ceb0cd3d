//! One immutable generation of the configuration, compiled.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use portcullis_model::{ClusterName, Model, ObjectId, Problem};
use portcullis_telemetry::RequestTarget;
use portcullis_upstream::Cluster;
use portcullis_wasm::PluginSlot;
use rustc_hash::FxHashSet;

use crate::buckets::Buckets;
use crate::{Authentications, PluginState, SocketTable};

/// Everything that requests need to know, resolved beforehand.
pub struct Snapshot {
    /// Counts up with every published change.
    pub generation: u64,
    /// The generation as `x-portcullis-generation` shows it.
    pub generation_value: HeaderValue,
    /// When it was compiled.
    pub compiled_at: SystemTime,
    /// What it was compiled from.
    pub model: Arc<Model>,
    /// What is served on each socket.
    pub sockets: BTreeMap<SocketKey, Arc<SocketTable>>,
    /// Every cluster.
    pub clusters: BTreeMap<ClusterName, Arc<Cluster>>,
    /// Every plugin object.
    pub plugins: BTreeMap<ObjectId, PluginState>,
    /// The rules for tokens, and their keys.
    pub authentications: Authentications,
    /// What was wrong with the configuration, warnings included.
    pub problems: Vec<Problem>,
    /// Labels for requests that no rule took.
    pub unrouted: Arc<RequestTarget>,
    pub(crate) live_plugins: FxHashSet<PluginSlot>,
    pub(crate) buckets: Buckets,
}

/// What the resources call a socket: `port.number` and `bind`. Where it is really bound is the edge's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketKey {
    /// The port of the resources.
    pub port: u16,
    /// The bind address of the resources; `None` for the addresses of `--bind`.
    pub bind: Option<IpAddr>,
}

impl Snapshot {
    /// What is served on a socket; `None` once it was removed.
    pub fn socket(&self, key: SocketKey) -> Option<&Arc<SocketTable>> {
        self.sockets.get(&key)
    }

    /// Requests come here from now on: endpoints that only the previous snapshot has are told that they left.
    pub(crate) fn take_over(&self, previous: &Snapshot) {
        for (name, before) in &previous.clusters {
            match self.clusters.get(name) {
                Some(now) if Arc::ptr_eq(now, before) => {}
                Some(now) => now.take_over(before),
                None => before.retire(),
            }
        }
    }

    /// Whether a plugin still runs, so that its instances are worth keeping.
    pub fn has_plugin(&self, slot: PluginSlot) -> bool {
        self.live_plugins.contains(&slot)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation)
            .field("sockets", &self.sockets.len())
            .field("clusters", &self.clusters.len())
            .field("plugins", &self.plugins.len())
            .finish_non_exhaustive()
    }
}
