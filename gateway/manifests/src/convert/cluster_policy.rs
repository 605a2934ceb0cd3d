//! What DestinationRules say on a cluster, put into it.

use portcullis_model::{
    Balancing, Cluster, HealthCheck, LocalityBalancing, OutlierDetection, UpstreamProtocol,
};

use crate::kinds::{Effective, HttpVersion, UpstreamTls};

/// What is written on a cluster.
#[derive(Clone, Copy)]
pub(super) struct Written<'p> {
    pub(super) policy: Effective<'p>,
    pub(super) tls: Option<&'p UpstreamTls>,
    pub(super) health_check: Option<&'p HealthCheck>,
}

impl Written<'_> {
    /// Puts it into the cluster.
    pub(super) fn fill(&self, cluster: &mut Cluster) {
        let policy = &self.policy;
        if let Some(settings) = policy.connection_pool {
            cluster.pool = settings.pool.clone();
            cluster.protocol = spoken(settings.http, cluster.protocol);
        }
        if let Some(check) = self.health_check {
            cluster.health_check = Some(check.clone());
        }
        cluster.outliers = policy.outliers.cloned();
        cluster.proxy_header = policy.proxy_header;
        cluster.retry_budget = policy.retry_budget;
        if let Some(balancer) = policy.load_balancer {
            cluster.balancing = Balancing {
                balancer: balancer.balancer.clone(),
                locality: cluster.balancing.locality.take(),
                warmup: balancer.warmup,
            };
        }
        let written = policy.load_balancer.and_then(|balancer| balancer.locality.clone());
        let of_service = cluster.balancing.locality.take();
        cluster.balancing.locality =
            preferences(written, cluster.outliers.as_ref(), cluster.health_check.as_ref())
                .or(of_service);
    }
}

/// What a pool makes of the protocol that the port says.
fn spoken(version: HttpVersion, port: UpstreamProtocol) -> UpstreamProtocol {
    match (version, port) {
        (HttpVersion::Upgraded, UpstreamProtocol::Http1) => UpstreamProtocol::Http2,
        (HttpVersion::Client, UpstreamProtocol::Http1 | UpstreamProtocol::Http2) => {
            UpstreamProtocol::Client
        }
        (_, port) => port,
    }
}

/// Outlier detection turns failover on, and without anything that finds out which endpoints are unwell there is none:
/// else all requests would go to the nearest endpoints, well or not (as in Istio).
fn preferences(
    written: Option<LocalityBalancing>,
    outliers: Option<&OutlierDetection>,
    health_check: Option<&HealthCheck>,
) -> Option<LocalityBalancing> {
    match written {
        Some(LocalityBalancing::Failover(_) | LocalityBalancing::FailoverPriority(_))
            if outliers.is_none() && health_check.is_none() =>
        {
            None
        }
        None if outliers.is_some() => Some(LocalityBalancing::Failover([].into())),
        written => written,
    }
}
