//! Gateways to listeners, with the routes bound to them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{ByHost, Listener, ObjectId, RequestPolicy, VirtualHost};

use super::binding::OnServer;
use super::bound::Bound;
use super::findings::Findings;
use super::host_groups::ServerGroups;
use super::open::OpenGateway;
use super::route_memo::Routes;
use super::server_tls::Credentials;
use super::tcp_routes::TcpBinder;
use super::workload_sources::WorkloadSources;

/// Makes the listeners of the open Gateways, each with the index of its Gateway, beside these broken objects.
pub(crate) fn build_listeners(
    (gateways, broken): (&[OpenGateway], &HashSet<ObjectId>),
    (routes, groups, sources): (&Routes, &[Vec<ServerGroups>], &WorkloadSources<'_>),
    credentials: &mut Credentials<'_>,
    findings: &mut Findings,
) -> Vec<(usize, Listener)> {
    let with_connections: Vec<&Arc<Bound>> = routes.with_connections().collect();
    let mut connections = TcpBinder::new(&with_connections, sources);
    let mut listeners = Vec::new();
    for (index, open) in gateways.iter().enumerate() {
        for (number, server) in open.servers.iter().enumerate() {
            let id = &open.gateway.metadata.id;
            let (virtual_hosts, tcp_routes) = match server.protocol.is_http() {
                true => (virtual_hosts(groups, (index, number)), Vec::new()),
                false => {
                    let hosts = hosts_of(&with_connections, (index, number));
                    (ByHost::default(), connections.bind(id, server, &hosts, findings))
                }
            };
            let tls =
                server.tls.as_ref().map(|tls| credentials.settings(id, server, tls, findings));
            let listener = Listener {
                origin: server.origin.clone(),
                gateway: format!("{}/{}", id.namespace, id.name).into(),
                server: server.name.clone(),
                port: server.port,
                bind: server.bind,
                protocol: server.protocol,
                hosts: server.hosts.iter().map(|host| host.pattern.clone()).collect(),
                https_redirect: server.https_redirect,
                tls,
                // EdgePolicies set these two.
                connections: Arc::default(),
                requests: RequestPolicy::default(),
                virtual_hosts,
                tcp_routes,
                plugins: Vec::new(),
                filters: None,
                authentication: None,
                authorization: None,
                access_log: None,
            };
            listeners.push((index, listener));
        }
    }
    connections.report_unused(broken, findings);
    listeners
}

fn virtual_hosts(
    groups: &[Vec<ServerGroups>],
    (gateway, server): (usize, usize),
) -> ByHost<VirtualHost> {
    let groups = groups.get(gateway).and_then(|servers| servers.get(server));
    groups.map(|groups| groups.virtual_hosts.clone()).unwrap_or_default()
}

/// The hosts that these have in common with a server, each with the places of those that have it.
fn hosts_of(
    routes: &[&Arc<Bound>],
    (gateway, server): (usize, usize),
) -> BTreeMap<HostPattern, Vec<usize>> {
    let mut hosts: BTreeMap<HostPattern, Vec<usize>> = BTreeMap::new();
    for (place, bound) in routes.iter().enumerate() {
        let is_here = |on: &&OnServer| (on.gateway, on.server) == (gateway, server);
        for host in bound.servers.iter().filter(is_here).flat_map(|on| &on.hosts) {
            let members = hosts.entry(host.clone()).or_default();
            if members.last() != Some(&place) {
                members.push(place);
            }
        }
    }
    hosts
}
