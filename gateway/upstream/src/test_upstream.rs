//! What the tests of this room share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_model as model;

/// The settings of a cluster with these endpoints.
pub(crate) fn cluster_of(endpoints: &[(SocketAddr, u32)]) -> Arc<model::Cluster> {
    Arc::new(model::Cluster {
        name: model::ClusterName { host: "shop.example".into(), port: 80, subset: "".into() },
        origin: model::Origin::for_test(),
        service: "shop".into(),
        namespace: "default".into(),
        endpoints: endpoints
            .iter()
            .map(|(address, weight)| model::Endpoint { address: *address, weight: *weight })
            .collect(),
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
    })
}
