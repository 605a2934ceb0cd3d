//! The validated configuration as plain data: what every source of configuration is translated to, and
//! all that the rooms above know of it.
//!
//! What it is *not*: it parses nothing and runs nothing. A [`Model`] is valid by construction; what was
//! wrong with the input is in the [`Problem`]s beside it.

mod cluster;
mod connection_policy;
mod duration;
mod listener;
mod origin;
mod plugin;
mod problem;
mod request_policy;
mod route;
mod tcp_route;
mod whole_seconds;

pub use cluster::{Cluster, ClusterName, Endpoint};
pub use connection_policy::{ConnectionPolicy, HeadLimits, Http2Limits, ProxyProtocol};
pub use duration::parse_duration;
pub use listener::{ClientAuth, Listener, ListenerProtocol, TlsSettings, VirtualHost};
pub use origin::{ObjectId, Origin};
pub use plugin::{FailStrategy, Phase, Plugin, PluginLimits, PluginModule};
pub use problem::{Code, Problem, Severity};
pub use request_policy::{RequestOverrides, RequestPolicy};
pub use route::{Action, Destination, HeaderMatch, PathMatch, RequestMatch, Rule, StringMatch};
pub use tcp_route::{TcpDestination, TcpRoute, TcpRule};
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
