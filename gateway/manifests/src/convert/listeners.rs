//! Gateways to listeners, with the routes bound to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{Listener, RequestPolicy, TlsSettings, VirtualHost};

use super::binding::bind_routes;
use super::credentials::Credentials;
use super::findings::Findings;
use super::merge::Merger;
use super::open::OpenGateway;
use super::routes::Route;

/// Makes the listeners of the open Gateways, each with the index of its Gateway.
pub(crate) fn build_listeners(
    gateways: &[OpenGateway],
    routes: &[Route],
    credentials: &mut Credentials<'_>,
    findings: &mut Findings,
) -> Vec<(usize, Listener)> {
    let bindings = bind_routes(gateways, routes, findings);
    let mut merger = Merger::new(routes);
    let mut listeners = Vec::new();
    for (index, open) in gateways.iter().enumerate() {
        for (number, server) in open.servers.iter().enumerate() {
            let hosts = bindings.hosts(index, number);
            let virtual_hosts = virtual_hosts(hosts, &mut merger, findings);
            let id = &open.gateway.metadata.id;
            let tls = server.credential.as_ref().map(|name| TlsSettings {
                credentials: credentials.find(id, server, name, findings).into_iter().collect(),
                client_auth: portcullis_model::ClientAuth::NotAsked,
                parameters: Default::default(),
            });
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
                tcp_routes: Vec::new(),
                plugins: Vec::new(),
            };
            listeners.push((index, listener));
        }
    }
    listeners
}

fn virtual_hosts(
    hosts: &BTreeMap<HostPattern, Vec<usize>>,
    merger: &mut Merger<'_>,
    findings: &mut Findings,
) -> Vec<VirtualHost> {
    let of = |(host, members): (&HostPattern, &Vec<usize>)| VirtualHost {
        host: host.clone(),
        rules: merger.merge(members, findings).to_vec(),
    };
    hosts.iter().map(of).collect()
}
