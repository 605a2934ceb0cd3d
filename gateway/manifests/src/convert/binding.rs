//! Which routes are bound to which server, and for which hosts.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use portcullis_message::HostPattern;
use portcullis_model::ObjectId;

use super::findings::{Findings, Spot};
use super::open::OpenGateway;
use crate::codes;
use crate::kinds::{Export, GatewayName, ServerHost, VirtualService};

/// What a VirtualService has in common with one server.
#[derive(Debug)]
pub(crate) struct OnServer {
    /// The place of the Gateway among those that listen.
    pub(crate) gateway: usize,
    /// The place of the server among the Gateway's.
    pub(crate) server: usize,
    /// The hosts; one may come twice.
    pub(crate) hosts: Box<[HostPattern]>,
}

/// Binds VirtualServices to servers.
pub(crate) struct Binder<'b> {
    gateways: &'b [OpenGateway],
    /// Of those it was said where they were read.
    broken: &'b HashSet<ObjectId>,
    /// Made when the first VirtualService is bound.
    takers: OnceCell<Takers<'b>>,
}

/// The servers of all Gateways.
struct Takers<'b> {
    /// A VirtualService names Gateways of Istio's group alone.
    by_name: HashMap<(&'b str, &'b str), usize>,
    servers: Vec<Vec<Taker<'b>>>,
}

impl<'b> Binder<'b> {
    /// To the servers of these Gateways, beside these broken objects.
    pub(crate) fn new(gateways: &'b [OpenGateway], broken: &'b HashSet<ObjectId>) -> Self {
        Binder { gateways, broken, takers: OnceCell::new() }
    }

    /// Binds a VirtualService.
    pub(crate) fn bind(
        &self,
        service: &VirtualService,
        findings: &mut Findings,
    ) -> Box<[OnServer]> {
        let takers = self.takers.get_or_init(|| Takers::new(self.gateways));
        let mut found = false;
        let mut bound = Vec::new();
        for name in &service.gateways {
            let Some(index) = takers.by_name.get(&(&*name.namespace, &*name.name)) else {
                if !self.broken.contains(&gateway_id(name)) {
                    report_missing(service, name, self.gateways, findings);
                }
                continue;
            };
            let own = &service.metadata.id.namespace;
            if !service.export.reaches(own, &name.namespace) {
                report_not_exported(service, name, findings);
                continue;
            }
            found = true;
            for (server, taker) in takers.servers.get(*index).into_iter().flatten().enumerate() {
                let hosts = taker.common_with(service);
                if !hosts.is_empty() {
                    bound.push(OnServer { gateway: *index, server, hosts: hosts.into() });
                }
            }
        }
        if found && bound.is_empty() {
            report_not_taken(service, findings);
        }
        bound.into()
    }
}

impl<'b> Takers<'b> {
    fn new(gateways: &'b [OpenGateway]) -> Self {
        let of_istio = gateways.iter().enumerate().filter(|(_, open)| open.gateway.is_of_istio());
        let by_name = of_istio.map(|(index, open)| {
            let id = &open.gateway.metadata.id;
            ((&*id.namespace, &*id.name), index)
        });
        let servers =
            |open: &'b OpenGateway| open.servers.iter().map(|s| Taker::new(&s.hosts)).collect();
        Takers { by_name: by_name.collect(), servers: gateways.iter().map(servers).collect() }
    }
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

    /// The hosts that it and a VirtualService have in common.
    fn common_with(&self, service: &VirtualService) -> Vec<HostPattern> {
        let mut hosts = Vec::new();
        for host in &service.hosts {
            self.common(host, &service.metadata.id.namespace, |pattern| hosts.push(pattern));
        }
        hosts
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
    service: &VirtualService,
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
    let spot = Spot { object: &service.metadata.id, field, origin: &name.origin };
    let message = format!("there is no Gateway `{}/{}`", name.namespace, name.name);
    findings.error(codes::GATEWAY_MISSING, spot, message, &help);
}

fn report_not_exported(service: &VirtualService, name: &GatewayName, findings: &mut Findings) {
    let Export::Namespaces(_, origin) = &service.export else { return };
    let message = format!(
        "the namespace of the Gateway `{}/{}` does not see this, so it is not served there",
        name.namespace, name.name
    );
    let spot = Spot { object: &service.metadata.id, field: "spec.exportTo".to_owned(), origin };
    let help = "add the namespace, write `*`, or remove the Gateway from `spec.gateways`";
    findings.warning(codes::NO_EFFECT, spot, message, help);
}

fn report_not_taken(service: &VirtualService, findings: &mut Findings) {
    let object = &service.metadata.id;
    let spot = Spot { object, field: "spec.hosts".to_owned(), origin: &service.hosts_origin };
    let message = "none of these hosts is taken by a server of its Gateways, so nothing is routed";
    let help =
        "add the host to a server of the Gateway, or correct it; `*.x` does not take `x` itself";
    findings.warning(codes::HOST_NOT_TAKEN, spot, message.to_owned(), help);
}
