//! Which routes are bound to which server, and for which hosts.

use std::collections::{BTreeMap, HashMap, HashSet};

use portcullis_message::HostPattern;
use portcullis_model::ObjectId;

use super::findings::{Findings, Spot};
use super::open::OpenGateway;
use super::routes::Route;
use crate::codes;
use crate::kinds::{Export, GatewayName, ServerHost};

/// By Gateway and server, the hosts with the routes for each in creation order.
pub(crate) struct Bindings {
    servers: Vec<Vec<ServerBinding>>,
}

#[derive(Default)]
struct ServerBinding {
    hosts: BTreeMap<HostPattern, Vec<usize>>,
}

impl Bindings {
    /// The hosts of a Gateway's server.
    pub(crate) fn hosts(
        &self,
        gateway: usize,
        server: usize,
    ) -> &BTreeMap<HostPattern, Vec<usize>> {
        static NONE: BTreeMap<HostPattern, Vec<usize>> = BTreeMap::new();
        let found = self.servers.get(gateway).and_then(|servers| servers.get(server));
        found.map_or(&NONE, |binding| &binding.hosts)
    }
}

/// Binds routes, given in creation order. Of Gateways that are broken it was said where they were read.
pub(crate) fn bind_routes(
    (gateways, broken): (&[OpenGateway], &HashSet<ObjectId>),
    routes: &[Route],
    findings: &mut Findings,
) -> Bindings {
    // A VirtualService names Gateways of Istio's group alone.
    let by_name: HashMap<(&str, &str), usize> = gateways
        .iter()
        .enumerate()
        .filter(|(_, open)| open.gateway.is_of_istio())
        .map(|(index, open)| {
            let id = &open.gateway.metadata.id;
            ((&*id.namespace, &*id.name), index)
        })
        .collect();
    let takers: Vec<Vec<Taker<'_>>> = gateways
        .iter()
        .map(|open| open.servers.iter().map(|server| Taker::new(&server.hosts)).collect())
        .collect();
    let empty =
        |open: &OpenGateway| open.servers.iter().map(|_| ServerBinding::default()).collect();
    let mut bindings = Bindings { servers: gateways.iter().map(empty).collect() };
    for (number, route) in routes.iter().enumerate() {
        let (mut found, mut taken) = (false, false);
        for name in &route.service.gateways {
            let Some(index) = by_name.get(&(&*name.namespace, &*name.name)) else {
                if !broken.contains(&gateway_id(name)) {
                    report_missing(route, name, gateways, findings);
                }
                continue;
            };
            let own = &route.service.metadata.id.namespace;
            if !route.service.export.reaches(own, &name.namespace) {
                report_not_exported(route, name, findings);
                continue;
            }
            found = true;
            let servers = bindings.servers.get_mut(*index).into_iter().flatten();
            for (taker, binding) in takers.get(*index).into_iter().flatten().zip(servers) {
                taken |= taker.bind(route, number, binding);
            }
        }
        if found && !taken {
            report_not_taken(route, findings);
        }
    }
    bindings
}

/// The hosts of a server, ready for many look-ups.
struct Taker<'t> {
    exact: HashMap<&'t HostPattern, Vec<&'t ServerHost>>,
    wildcard: Vec<&'t ServerHost>,
}

impl<'t> Taker<'t> {
    fn new(hosts: &'t [ServerHost]) -> Self {
        let mut taker = Taker { exact: HashMap::new(), wildcard: Vec::new() };
        for host in hosts {
            match host.pattern {
                HostPattern::Exact(_) => taker.exact.entry(&host.pattern).or_default().push(host),
                _ => taker.wildcard.push(host),
            }
        }
        taker
    }

    /// Binds a route for every host that it and the server have in common; whether there is one.
    fn bind(&self, route: &Route, number: usize, binding: &mut ServerBinding) -> bool {
        let namespace = &*route.service.metadata.id.namespace;
        let mut taken = false;
        for host in &route.service.hosts {
            self.common(host, namespace, |pattern| {
                taken = true;
                let members = binding.hosts.entry(pattern).or_default();
                if members.last() != Some(&number) {
                    members.push(number);
                }
            });
        }
        taken
    }

    /// Calls `found` with what a route's host has in common with each of the server's.
    fn common(&self, host: &HostPattern, namespace: &str, mut found: impl FnMut(HostPattern)) {
        let is_open = |taker: &&ServerHost| {
            taker.namespace.as_ref().is_none_or(|wanted| **wanted == *namespace)
        };
        if let HostPattern::Exact(_) = host {
            let equal = self.exact.get(host).into_iter().flatten().copied();
            let wide = self.wildcard.iter().copied();
            if equal.chain(wide).any(|taker| is_open(&taker) && taker.pattern.contains(host)) {
                found(host.clone());
            }
            return;
        }
        let exact = self.exact.values().flatten().copied();
        for taker in exact.chain(self.wildcard.iter().copied()).filter(is_open) {
            taker.pattern.intersect(host).into_iter().for_each(&mut found);
        }
    }
}

/// The identity of a Gateway that a route names.
pub(crate) fn gateway_id(name: &GatewayName) -> ObjectId {
    ObjectId::new("Gateway", name.namespace.clone(), name.name.clone())
}

fn report_missing(
    route: &Route,
    name: &GatewayName,
    gateways: &[OpenGateway],
    findings: &mut Findings,
) {
    let elsewhere = gateways
        .iter()
        .filter(|open| open.gateway.is_of_istio())
        .map(|open| &open.gateway.metadata.id);
    let elsewhere = elsewhere.filter(|id| id.name == name.name).map(|id| &*id.namespace).next();
    let help = match elsewhere {
        Some(namespace) => format!("did you mean `{namespace}/{}`?", name.name),
        None => "write the Gateway, or correct the name; a name without namespace is looked for in the object's own".to_owned(),
    };
    let field = format!("spec.gateways[{}]", name.index);
    let spot = Spot { object: &route.service.metadata.id, field, origin: &name.origin };
    let message = format!("there is no Gateway `{}/{}`", name.namespace, name.name);
    findings.error(codes::GATEWAY_MISSING, spot, message, &help);
}

fn report_not_exported(route: &Route, name: &GatewayName, findings: &mut Findings) {
    let Export::Namespaces(_, origin) = &route.service.export else { return };
    let message = format!(
        "the namespace of the Gateway `{}/{}` does not see this, so it is not served there",
        name.namespace, name.name
    );
    let spot =
        Spot { object: &route.service.metadata.id, field: "spec.exportTo".to_owned(), origin };
    let help = "add the namespace, write `*`, or remove the Gateway from `spec.gateways`";
    findings.warning(codes::NO_EFFECT, spot, message, help);
}

fn report_not_taken(route: &Route, findings: &mut Findings) {
    let object = &route.service.metadata.id;
    let spot = Spot { object, field: "spec.hosts".to_owned(), origin: &route.service.hosts_origin };
    let message = "none of these hosts is taken by a server of its Gateways, so nothing is routed";
    let help =
        "add the host to a server of the Gateway, or correct it; `*.x` does not take `x` itself";
    findings.warning(codes::HOST_NOT_TAKEN, spot, message.to_owned(), help);
}
