//! The validated configuration as plain data: what every source of configuration is translated to, and
//! all that the rooms above know of it.
//!
//! What it is *not*: it parses nothing and runs nothing. A [`Model`] is valid by construction; what was
//! wrong with the input is in the [`Problem`]s beside it.

mod access;
mod balancing;
mod by_host;
mod capability;
mod cluster;
mod connection_policy;
mod connection_pool;
mod duration;
mod endpoint;
mod health;
mod image_reference;
mod listener;
mod origin;
mod plugin;
mod plugin_limits;
mod plugin_supply;
mod problem;
mod request_policy;
mod retry;
mod retry_budget;
mod route;
mod tcp_route;
mod upstream_tls;
mod whole_seconds;

pub use access::Authentication;
pub use balancing::{
    AffinityCookie, Balancer, Balancing, Distribute, Failover, HashKey, LocalityBalancing, Ring,
    Warmup,
};
pub use by_host::{ByHost, Change, OfHost};
pub use capability::{CallableUpstreams, Capabilities, Capability, ManifestDemand};
pub use cluster::{Cluster, ClusterName, Discovery};
pub use connection_policy::{ConnectionPolicy, HeadLimits, Http2Limits, ProxyProtocol};
pub use connection_pool::{ConnectionPool, Http2Keepalive, Keepalive};
pub use duration::parse_duration;
pub use endpoint::{Endpoint, EndpointAddress, Locality, Readiness};
pub use health::{HealthCheck, OutlierDetection, Probe};
pub use image_reference::ImageReference;
pub use listener::{ClientAuth, Listener, ListenerProtocol, TlsSettings, VirtualHost};
pub use origin::{ObjectId, Origin};
pub use plugin::{
    FailStrategy, HeadersPause, Isolation, Phase, Plugin, PluginCompatibility, PluginModule,
    PluginProtocol, Strictness,
};
pub use plugin_limits::{BreakerLimits, PluginLimits, Recycling};
pub use plugin_supply::{
    ModuleUrl, PluginSupply, PullCredentials, PullPolicy, RegistryCredentials, RegistryLogin,
};
pub use problem::{Code, Problem, Severity};
pub use request_policy::{RequestOverrides, RequestPolicy};
pub use retry::{Mirror, PreviousEndpoints, RemoteLocalities, RetryOn, RetryPolicy};
pub use retry_budget::RetryBudget;
pub use route::{
    Action, ClaimMatch, ClaimSense, Destination, DestinationChange, HeaderMatch, HeaderOrder,
    PathCase, PathMatch, QueryMatch, RequestMatch, Rule, RuleFilters, StringMatch,
};
pub use tcp_route::{TcpAddresses, TcpDestination, TcpRoute, TcpRule};
pub use upstream_tls::{
    ClientTls, Mesh, UpstreamProtocol, UpstreamProxyHeader, UpstreamServerName, UpstreamTls,
};
pub use whole_seconds::{NEVER, whole_seconds};

use std::collections::BTreeMap;
use std::sync::Arc;

/// One whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Every server of every Gateway.
    pub listeners: Vec<Listener>,
    /// Every port and subset of every service, routed to or not.
    pub clusters: BTreeMap<ClusterName, Arc<Cluster>>,
    /// Every plugin object; listeners name those that run on them.
    pub plugins: BTreeMap<ObjectId, Arc<Plugin>>,
}
