//! Clusters: the endpoints of one port and subset of a service.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{
    Balancing, ConnectionPool, Endpoint, HealthCheck, Origin, OutlierDetection, Readiness,
    RetryBudget, UpstreamProtocol, UpstreamProxyHeader, UpstreamTls,
};

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
    /// How its endpoints are found.
    pub discovery: Discovery,
    /// Who may serve a request, in the order written; names are looked up as `discovery` says.
    pub endpoints: Vec<Endpoint>,
    /// What is spoken to them.
    pub protocol: UpstreamProtocol,
    /// Who an endpoint may prove to be where no DestinationRule says so (ServiceEntry's `subjectAltNames`).
    pub subject_alt_names: Arc<[Box<str>]>,
    /// How connections to them are protected.
    pub tls: UpstreamTls,
    /// What each connection begins with; `None` is nothing.
    pub proxy_header: Option<UpstreamProxyHeader>,
    /// How they share its requests.
    pub balancing: Balancing,
    /// Limits and times of its connections.
    pub pool: ConnectionPool,
    /// When an endpoint is taken out for what became of its requests; `None` is never.
    pub outliers: Option<OutlierDetection>,
    /// How endpoints are asked whether they are well; `None` is not at all.
    pub health_check: Option<HealthCheck>,
    /// How many repeats it takes at a time.
    pub retry_budget: Option<RetryBudget>,
}

/// How the endpoints of a cluster are found (ServiceEntry's `resolution`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discovery {
    /// They are written (`STATIC`, a Service with EndpointSlices).
    #[default]
    Static,
    /// Their names are looked up, and every address is an endpoint (`DNS`).
    Dns,
    /// Their names are looked up, and one address at a time serves new connections (`DNS_ROUND_ROBIN`).
    DnsRoundRobin,
    /// The request's own host is looked up (`DYNAMIC_DNS`).
    DynamicDns,
    /// The request's own address, which a gateway's clients do not name (`NONE`); see `docs/compatibility.md`.
    None,
}

impl Cluster {
    /// A cluster of `shop.example:80` with these endpoints and weights, for tests.
    pub fn for_test(endpoints: &[(SocketAddr, u32)]) -> Self {
        let name = ClusterName { host: "shop.example".into(), port: 80, subset: "".into() };
        let endpoint = |(address, weight): &(SocketAddr, u32)| Endpoint {
            weight: *weight,
            ..Endpoint::at(*address)
        };
        Cluster {
            endpoints: endpoints.iter().map(endpoint).collect(),
            ..Cluster::plain(name, Origin::for_test(), "shop".into(), "default".into())
        }
    }

    /// Whether requests can find an endpoint: some is written that takes them, or the request's own host is looked up.
    pub fn can_have_endpoints(&self) -> bool {
        let takes = |endpoint: &Endpoint| endpoint.readiness != Readiness::NotReady;
        self.discovery == Discovery::DynamicDns || self.endpoints.iter().any(takes)
    }

    /// A cluster in plain text without endpoints, on which nothing is set.
    pub fn plain(
        name: ClusterName,
        origin: Origin,
        service: Arc<str>,
        namespace: Arc<str>,
    ) -> Self {
        Cluster {
            name,
            origin,
            service,
            namespace,
            discovery: Discovery::Static,
            endpoints: Vec::new(),
            protocol: UpstreamProtocol::Http1,
            subject_alt_names: Arc::new([]),
            tls: UpstreamTls::Plain,
            proxy_header: None,
            balancing: Balancing::default(),
            pool: ConnectionPool::default(),
            outliers: None,
            health_check: None,
            retry_budget: None,
        }
    }
}
