//! Clusters: the endpoints of one port and subset of a service.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::Origin;

/// A cluster's name in Envoy's form: `outbound|PORT|SUBSET|HOST`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterName {
    /// The service's host, as `reviews.shop.svc.cluster.local`.
    pub host: Arc<str>,
    /// The service's port.
    pub port: u16,
    /// The subset, empty for the whole service.
    pub subset: Arc<str>,
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outbound|{}|{}|{}", self.port, self.subset, self.host)
    }
}

/// The settings and endpoints of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// Where the service is written.
    pub origin: Origin,
    /// The service's own name (`destination_service_name`).
    pub service: Arc<str>,
    /// The service's namespace (`destination_service_namespace`).
    pub namespace: Arc<str>,
    /// Who may serve a request, in the order written.
    pub endpoints: Vec<Endpoint>,
    /// How long a TCP connection may take to come about (DestinationRule's `connectTimeout`, 10 s).
    pub connect_timeout: Duration,
    /// How long an unused connection is kept (DestinationRule's `http.idleTimeout`, 30 s).
    pub idle_timeout: Duration,
}

/// One address that serves a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share of the load relative to the others, 1 unless set; 0 takes none.
    pub weight: u32,
}

impl Cluster {
    /// A cluster of `shop.example:80` with these endpoints and weights, for tests.
    pub fn for_test(endpoints: &[(SocketAddr, u32)]) -> Self {
        let name = ClusterName { host: "shop.example".into(), port: 80, subset: "".into() };
        Cluster {
            name,
            origin: Origin::for_test(),
            service: "shop".into(),
            namespace: "default".into(),
            endpoints: endpoints
                .iter()
                .map(|(address, weight)| Endpoint { address: *address, weight: *weight })
                .collect(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
        }
    }
}
