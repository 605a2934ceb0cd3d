//! Following the clusters of each configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use portcullis_telemetry::DiscoveryCounts;
use portcullis_upstream::Cluster;
use tokio::runtime::Handle;

use crate::answer::has_route;
use crate::dynamic::{DynamicHosts, HostRefused, is_dynamic};
use crate::health::HealthChecks;
use crate::names::Names;
use crate::system_conf::{RESOLV_CONF, SystemConf};

/// How long a configuration waits for what new names lead to, and for what endpoints answer that were never asked.
const FIRST_ANSWERS: Duration = Duration::from_secs(2);

/// What discovery is given.
#[derive(Clone, Debug, Default)]
pub struct DiscoverySettings {
    /// The DNS servers to ask; none stands for those of `/etc/resolv.conf`.
    pub dns_servers: Vec<SocketAddr>,
    /// Networks that are not the internet's to which a request's own host may lead nevertheless (`DYNAMIC_DNS`).
    pub dynamic_allowed: Vec<IpNet>,
}

/// Finds the endpoints of clusters.
pub struct Discovery {
    names: Arc<Names>,
    health: HealthChecks,
    dynamic: DynamicHosts,
}

impl Discovery {
    /// Begins with no cluster. Its work is done on `runtime`.
    pub fn new(
        settings: &DiscoverySettings,
        counts: Arc<DiscoveryCounts>,
        runtime: Handle,
    ) -> Self {
        let conf = SystemConf::new(RESOLV_CONF, &settings.dns_servers);
        let health = HealthChecks::new(counts.clone(), runtime.clone());
        let allowed = settings.dynamic_allowed.clone();
        let names = Names::new(move || conf.way(), has_route, allowed, counts.clone(), runtime);
        let dynamic = DynamicHosts::new(names.clone(), counts);
        Discovery { names, health, dynamic }
    }

    /// From now on it works for these clusters and no others. What is known of their names already is handed to
    /// them at once.
    pub fn follow(&self, clusters: &[Arc<Cluster>]) {
        self.dynamic.follow(clusters);
        self.health.follow(clusters);
    }

    /// Waits until each name was looked up and each endpoint that is checked has answered once, but no longer than
    /// two seconds: what is late serves from when it is known.
    pub async fn first_answers(&self) {
        let all = async {
            self.names.first_answers().await;
            self.health.first_answers().await;
        };
        let _ = tokio::time::timeout(FIRST_ANSWERS, all).await;
    }

    /// Whether a cluster's requests go to [`cluster_of`](Discovery::cluster_of) first.
    pub fn is_dynamic(cluster: &Cluster) -> bool {
        is_dynamic(cluster)
    }

    /// The cluster that stands for the host of a request to a cluster under `DYNAMIC_DNS`. The first request to a
    /// host waits for the lookup, at most five seconds.
    ///
    /// # Errors
    /// The host is not to be looked up, or leads nowhere.
    pub async fn cluster_of(
        &self,
        cluster: &Arc<Cluster>,
        authority: &str,
    ) -> Result<Arc<Cluster>, HostRefused> {
        self.dynamic.cluster_of(cluster, authority).await
    }
}
