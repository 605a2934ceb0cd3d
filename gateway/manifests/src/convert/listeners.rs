//! Gateways to listeners, with the routes bound to them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{Listener, ObjectId, RequestPolicy, VirtualHost};

use super::binding::bind_routes;
use super::findings::Findings;
use super::merge::Merger;
use super::open::OpenGateway;
use super::routes::Route;
use super::server_tls::Credentials;
use super::tcp_routes::TcpBinder;
use super::workload_sources::WorkloadSources;
use crate::kinds::RouteOrder;

/// Makes the listeners of the open Gateways, each with the index of its Gateway, beside these broken objects.
pub(crate) fn build_listeners(
    (gateways, broken): (&[OpenGateway], &HashSet<ObjectId>),
    (routes, sources): (&[Route], &WorkloadSources<'_>),
    credentials: &mut Credentials<'_>,
    findings: &mut Findings,
) -> Vec<(usize, Listener)> {
    let bindings = bind_routes((gateways, broken), routes, findings);
    let mut merger = Merger::new(routes);
    let mut connections = TcpBinder::new(routes, sources);
    let mut listeners = Vec::new();
    for (index, open) in gateways.iter().enumerate() {
        for (number, server) in open.servers.iter().enumerate() {
            let hosts = bindings.hosts(index, number);
            let id = &open.gateway.metadata.id;
            let (virtual_hosts, tcp_routes) = match server.protocol.is_http() {
                true => {
                    let order = open.gateway.route_order;
                    (virtual_hosts(hosts, (routes, order), &mut merger, findings), Vec::new())
                }
                false => (Vec::new(), connections.bind(id, server, hosts, findings)),
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
    hosts: &BTreeMap<HostPattern, Vec<usize>>,
    (routes, order): (&[Route], RouteOrder),
    merger: &mut Merger<'_>,
    findings: &mut Findings,
) -> Vec<VirtualHost> {
    let of = |(host, members): (&HostPattern, &Vec<usize>)| VirtualHost {
        host: host.clone(),
        rules: merger.merge(members, order, findings).to_vec(),
    };
    // Rules for connections alone take no requests away from others.
    let has_rules = |members: &Vec<usize>| {
        members.iter().any(|number| routes.get(*number).is_some_and(Route::takes_requests))
    };
    hosts.iter().filter(|(_, members)| has_rules(members)).map(of).collect()
}
