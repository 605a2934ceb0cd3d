//! ServiceEntries with their endpoints, written in them or selected by labels.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_model::{Discovery, Endpoint, EndpointAddress};

use super::endpoint_labels::with_topology;
use super::findings::{Findings, Spot};
use super::known_service::{ByHost, EndpointLabels, KnownPort, KnownService};
use crate::codes;
use crate::kinds::{
    EntryAddress, EntryEndpoint, EntryPort, PortSecurity, ServiceEntry, WorkloadEntry,
};

/// The endpoints that `workloadSelector` selects from.
#[derive(Clone, Copy)]
pub(super) struct Workloads<'w>(pub(super) &'w [Arc<WorkloadEntry>]);

/// Adds the hosts of a ServiceEntry.
pub(super) fn add_entry(
    services: &mut ByHost,
    entry: &ServiceEntry,
    workloads: Workloads<'_>,
    findings: &mut Findings,
) {
    let object = &entry.metadata.id;
    let selected = workloads.of(entry, findings);
    let written: Vec<&EntryEndpoint> = entry.endpoints.iter().chain(selected).collect();
    for (index, (host, origin)) in entry.hosts.iter().enumerate() {
        let host: Arc<str> = (&**host).into();
        let known = services.entry(host.clone()).or_insert_with(|| KnownService {
            host: host.clone(),
            object: object.clone(),
            origin: origin.clone(),
            name: host.clone(),
            ports: Vec::new(),
            labels: EndpointLabels::Written,
        });
        for port in &entry.ports {
            if !known.ports.iter().any(|known| known.number == port.number) {
                known.ports.push(known_port(entry, port, &host, &written));
                continue;
            }
            let spot = Spot { object, field: format!("spec.hosts[{index}]"), origin };
            let message = format!(
                "the port {} of `{host}` is already written in {} at {}",
                port.number, known.object, known.origin
            );
            let help = "write all endpoints of a host and port in one object; the first serves";
            findings.warning(codes::DUPLICATE_SERVICE, spot, message, help);
        }
    }
}

impl<'w> Workloads<'w> {
    /// Those that an entry selects, of its own namespace.
    fn of(
        self,
        entry: &ServiceEntry,
        findings: &mut Findings,
    ) -> impl Iterator<Item = &'w EntryEndpoint> {
        let mut selected = Vec::new();
        let labels = entry.selector.as_deref();
        for workload in self.0 {
            let id = &workload.metadata.id;
            let endpoint = &workload.endpoint;
            let fits = labels
                .is_some_and(|labels| labels.iter().all(|label| endpoint.labels.contains(label)));
            if !fits || id.namespace != entry.metadata.id.namespace {
                continue;
            }
            match (entry.resolution, &endpoint.address) {
                (Discovery::None | Discovery::DynamicDns, _) => {}
                (Discovery::Static, EntryAddress::Name(name)) => {
                    let field = "spec.address".to_owned();
                    let spot = Spot { object: id, field, origin: &endpoint.origin };
                    let message = format!(
                        "`{name}` is no IP address, which {} with its resolution STATIC needs",
                        entry.metadata.id
                    );
                    let help = "write an address, or `resolution: DNS` there; until then it is none of its endpoints";
                    findings.error(codes::BAD_VALUE, spot, message, help);
                }
                _ => selected.push(endpoint),
            }
        }
        selected.into_iter()
    }
}

fn known_port(
    entry: &ServiceEntry,
    port: &EntryPort,
    host: &str,
    written: &[&EntryEndpoint],
) -> KnownPort {
    let mut endpoints: Vec<Endpoint> =
        written.iter().map(|endpoint| endpoint_of(endpoint, port)).collect();
    let looks_up = matches!(entry.resolution, Discovery::Dns | Discovery::DnsRoundRobin);
    // Where no endpoint is written, the host itself is looked up.
    if looks_up && endpoints.is_empty() && entry.selector.is_none() {
        let address = EndpointAddress::Name(host.into(), port.target);
        endpoints.push(Endpoint { address, ..Endpoint::at(([0, 0, 0, 0], 0).into()) });
    }
    KnownPort {
        number: port.number,
        name: port.name.clone(),
        protocol: port.protocol,
        security: PortSecurity::Unsaid,
        discovery: entry.resolution,
        endpoints,
        names: entry.names.clone(),
        health_check: entry.health_check.clone(),
        locality: None,
    }
}

fn endpoint_of(written: &EntryEndpoint, port: &EntryPort) -> Endpoint {
    let own = written.ports.iter().find(|(name, _)| *name == port.name);
    let number = own.map_or(port.target, |(_, number)| *number);
    let locality = written.locality.as_ref();
    Endpoint {
        address: match &written.address {
            EntryAddress::Ip(address) => EndpointAddress::Socket(SocketAddr::new(*address, number)),
            EntryAddress::Name(name) => EndpointAddress::Name((&**name).into(), number),
        },
        weight: written.weight,
        labels: with_topology(&written.labels, locality, None, &written.network),
        locality: locality.cloned().map(Arc::new),
        ..Endpoint::at(([0, 0, 0, 0], 0).into())
    }
}
