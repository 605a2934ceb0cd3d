//! Where the connections of a socket go whose bytes are passed on, with the clusters at hand.

use std::sync::Arc;

use portcullis_filters::Authorization;
use portcullis_model::{Listener, ObjectId, TcpDestination, TcpRule};
use portcullis_routing::{ConnectionAddresses, ConnectionTable};
pub use portcullis_routing::{ConnectionRoute, Handling};
use portcullis_telemetry::{RequestTarget, TargetLabels};
use portcullis_upstream::Cluster;

use crate::chain::{Chain, Chains};
use crate::parts::Parts;

/// The listeners of a socket on which bytes are passed on, compiled.
pub struct TcpTable {
    routes: ConnectionTable,
    rules: Vec<CompiledTcpRule>,
    /// By listener, whether a policy covers it that cannot be used, so that its connections are refused.
    refuses: Vec<Option<ObjectId>>,
    /// By listener, which connections may pass.
    authorizations: Vec<Option<Arc<Authorization>>>,
    /// By listener, the plugins that its connections pass.
    chains: Vec<Chain>,
}

/// A rule with its clusters resolved.
pub struct CompiledTcpRule {
    /// What it was compiled from.
    pub rule: Arc<TcpRule>,
    /// Where to.
    pub destinations: Vec<CompiledTcpDestination>,
    /// The sum of the destinations' weights.
    pub total_weight: u64,
}

/// A destination with its cluster resolved.
pub struct CompiledTcpDestination {
    /// Its part of the weights.
    pub weight: u32,
    /// The cluster; `None` where there is no such service.
    pub cluster: Option<Arc<Cluster>>,
    /// The cluster's name, existing or not.
    pub label: Arc<str>,
    /// Labels for connections that go there.
    pub target: Arc<RequestTarget>,
}

/// The kind of policy that covers connections as well as requests.
const PROTECTS_CONNECTIONS: &str = "AuthorizationPolicy";

impl TcpTable {
    /// Compiles the listeners of one socket; `None` where every one of them speaks HTTP.
    pub(crate) fn build(
        listeners: &[Arc<Listener>],
        chains: Chains<'_>,
        parts: &Parts<'_>,
    ) -> Option<Self> {
        let routes = ConnectionTable::build(listeners)?;
        let rules = routes.rules().iter().map(|rule| CompiledTcpRule::build(rule, parts)).collect();
        let policy = |listener: &Arc<Listener>| {
            listener.plugins.iter().find(|id| *id.kind == *PROTECTS_CONNECTIONS).cloned()
        };
        let chain = |listener: &Arc<Listener>| match listener.protocol.is_http() {
            true => Chain::default(),
            false => chains.of_connections(listener),
        };
        Some(TcpTable {
            routes,
            rules,
            refuses: listeners.iter().map(policy).collect(),
            authorizations: listeners.iter().map(|each| each.authorization.clone()).collect(),
            chains: listeners.iter().map(chain).collect(),
        })
    }

    /// Who takes a connection, by the server name that the client asks for. Rules for some addresses alone are
    /// passed over.
    pub fn find(&self, server_name: Option<&str>) -> Option<ConnectionRoute> {
        self.routes.find(server_name, None)
    }

    /// Who takes a connection between these addresses: that it came to, and that it came from.
    pub fn find_between(
        &self,
        server_name: Option<&str>,
        addresses: Option<ConnectionAddresses>,
    ) -> Option<ConnectionRoute> {
        self.routes.find(server_name, addresses)
    }

    /// The rule of a route.
    pub fn rule(&self, route: ConnectionRoute) -> Option<&CompiledTcpRule> {
        self.rules.get(route.rule?)
    }

    /// The plugins that a route's connections pass; `None` where there are none.
    pub fn chain(&self, route: ConnectionRoute) -> Option<&Chain> {
        self.chains.get(route.listener).filter(|chain| !chain.is_empty())
    }

    /// Who may pass on a route; `None` where all may.
    pub fn authorization(&self, route: ConnectionRoute) -> Option<&Authorization> {
        self.authorizations.get(route.listener)?.as_deref()
    }

    /// The broken policy because of which a route's connections are refused.
    pub fn refusal(&self, route: ConnectionRoute) -> Option<&ObjectId> {
        self.refuses.get(route.listener)?.as_ref()
    }
}

impl CompiledTcpRule {
    fn build(rule: &Arc<TcpRule>, parts: &Parts<'_>) -> Self {
        let build =
            |destination: &TcpDestination| CompiledTcpDestination::build(rule, destination, parts);
        CompiledTcpRule {
            destinations: rule.destinations.iter().map(build).collect(),
            total_weight: rule.destinations.iter().map(|d| u64::from(d.weight)).sum(),
            rule: rule.clone(),
        }
    }

    /// The destination for a number drawn from `0..total_weight`.
    pub fn destination(&self, mut draw: u64) -> Option<&CompiledTcpDestination> {
        self.destinations.iter().find(|destination| {
            let weight = u64::from(destination.weight);
            let hit = draw < weight;
            draw = draw.saturating_sub(weight);
            hit
        })
    }
}

impl CompiledTcpDestination {
    fn build(rule: &TcpRule, destination: &TcpDestination, parts: &Parts<'_>) -> Self {
        let name = &destination.cluster;
        let cluster = parts.clusters.get(name).cloned();
        let label = cluster.as_ref().map_or_else(|| name.to_string().into(), |c| c.label.clone());
        let settings = cluster.as_ref().map(|cluster| cluster.settings());
        let target = parts.registry.target(TargetLabels {
            route: rule.id.clone(),
            cluster: label.clone(),
            service_host: name.host.clone(),
            service: settings.map_or_else(|| "unknown".into(), |s| s.service.clone()),
            namespace: settings.map_or_else(|| "unknown".into(), |s| s.namespace.clone()),
        });
        CompiledTcpDestination { weight: destination.weight, cluster, label, target }
    }
}
