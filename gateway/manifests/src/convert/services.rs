//! Every service that requests can be sent to, with its ports and endpoints, by host.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use super::findings::{Findings, Spot};
use super::gather::Objects;
use crate::codes;
use crate::kinds::{EndpointSlice, EntryEndpoint, EntryPort, Service, ServiceEntry, ServicePort};

/// The services, by host.
#[derive(Default)]
pub(crate) struct Services {
    by_host: HashMap<Arc<str>, KnownService>,
}

/// A Service, or one host of ServiceEntries.
pub(crate) struct KnownService {
    /// The host.
    pub(crate) host: Arc<str>,
    /// The object that it was first written in.
    pub(crate) object: ObjectId,
    pub(crate) origin: Origin,
    /// The service's own name.
    pub(crate) name: Arc<str>,
    pub(crate) ports: Vec<KnownPort>,
    /// Whether its endpoints have labels that subsets can select.
    pub(crate) labels: EndpointLabels,
}

/// Whether endpoints have labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndpointLabels {
    /// They are written (ServiceEntry).
    Written,
    /// They are not known (EndpointSlice).
    Unknown,
}

/// A port of a service.
pub(crate) struct KnownPort {
    pub(crate) number: u16,
    pub(crate) endpoints: Vec<KnownEndpoint>,
}

/// An endpoint of a port.
pub(crate) struct KnownEndpoint {
    pub(crate) address: SocketAddr,
    pub(crate) weight: u32,
    pub(crate) labels: Arc<[(String, String)]>,
}

/// Where the name of a Kubernetes Service ends.
const CLUSTER_DOMAIN: &str = "svc.cluster.local";

impl Services {
    /// Collects the services of all objects.
    pub(crate) fn collect(objects: &Objects, findings: &mut Findings) -> Self {
        let mut services = Services::default();
        let mut slices: HashMap<(&str, &str), Vec<&EndpointSlice>> = HashMap::new();
        for slice in &objects.endpoint_slices {
            if let Some(service) = &slice.service {
                let key = (&*slice.metadata.id.namespace, &**service);
                slices.entry(key).or_default().push(slice);
            }
        }
        for service in &objects.services {
            let id = &service.metadata.id;
            let of_service = slices.get(&(&*id.namespace, &*id.name));
            services.add_service(service, of_service.map_or(&[], |slices| slices));
        }
        for entry in &objects.service_entries {
            services.add_entry(entry, findings);
        }
        services
    }

    /// The service of a host.
    pub(crate) fn find(&self, host: &str) -> Option<&KnownService> {
        self.by_host.get(host)
    }

    /// Every service.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &KnownService> {
        self.by_host.values()
    }

    /// The full host of what a route or DestinationRule names: a name without dots is a Service of the
    /// object's own namespace, unless a ServiceEntry has that very name.
    pub(crate) fn full_host(&self, host: &str, namespace: &str) -> Arc<str> {
        if host.contains(['.', '*']) {
            return self.find(host).map_or_else(|| host.into(), |service| service.host.clone());
        }
        let full = format!("{host}.{namespace}.{CLUSTER_DOMAIN}");
        let found = self.find(&full).or_else(|| self.find(host));
        found.map_or_else(|| full.into(), |service| service.host.clone())
    }

    fn add_service(&mut self, service: &Service, slices: &[&EndpointSlice]) {
        let id = &service.metadata.id;
        let host: Arc<str> = format!("{}.{}.{CLUSTER_DOMAIN}", id.name, id.namespace).into();
        let only = service.ports.len() == 1;
        let port = |port: &ServicePort| KnownPort {
            number: port.number,
            endpoints: slice_endpoints(port, only, slices),
        };
        let known = KnownService {
            host: host.clone(),
            object: id.clone(),
            origin: service.metadata.origin.clone(),
            name: id.name.clone(),
            ports: service.ports.iter().map(port).collect(),
            labels: EndpointLabels::Unknown,
        };
        self.by_host.insert(host, known);
    }

    fn add_entry(&mut self, entry: &ServiceEntry, findings: &mut Findings) {
        let labels: Vec<Arc<[(String, String)]>> =
            entry.endpoints.iter().map(|endpoint| endpoint.labels.clone().into()).collect();
        for (index, (host, origin)) in entry.hosts.iter().enumerate() {
            let host: Arc<str> = (&**host).into();
            let object = &entry.metadata.id;
            let known = self.by_host.entry(host.clone()).or_insert_with(|| KnownService {
                host: host.clone(),
                object: object.clone(),
                origin: origin.clone(),
                name: host.clone(),
                ports: Vec::new(),
                labels: EndpointLabels::Written,
            });
            for port in &entry.ports {
                if known.ports.iter().any(|known| known.number == port.number) {
                    let field = format!("spec.hosts[{index}]");
                    let spot = Spot { object, field, origin };
                    let message = format!(
                        "the port {} of `{host}` is already written in {} at {}",
                        port.number, known.object, known.origin
                    );
                    let help =
                        "write all endpoints of a host and port in one object; the first serves";
                    findings.warning(codes::DUPLICATE_SERVICE, spot, message, help);
                    continue;
                }
                let endpoints = entry.endpoints.iter().zip(&labels);
                let endpoints = endpoints.map(|(endpoint, labels)| KnownEndpoint {
                    address: SocketAddr::new(endpoint.address, target_port(endpoint, port)),
                    weight: endpoint.weight,
                    labels: labels.clone(),
                });
                let endpoints = endpoints.collect();
                known.ports.push(KnownPort { number: port.number, endpoints });
            }
        }
    }
}

fn target_port(endpoint: &EntryEndpoint, port: &EntryPort) -> u16 {
    let own = endpoint.ports.iter().find(|(name, _)| *name == port.name);
    own.map_or(port.target, |(_, number)| *number)
}

/// The endpoints of a Service's port: those of the slices' port of the same name. Slices written by hand
/// may leave the name out, where it can only be one port.
fn slice_endpoints(
    port: &ServicePort,
    only: bool,
    slices: &[&EndpointSlice],
) -> Vec<KnownEndpoint> {
    let none: Arc<[(String, String)]> = Arc::new([]);
    let mut endpoints: Vec<KnownEndpoint> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for slice in slices {
        let named = slice.ports.iter().find(|(name, _)| *name == port.name);
        let found = named.or_else(|| match slice.ports.as_slice() {
            [single] if only => Some(single),
            several => several
                .iter()
                .find(|(name, number)| name.is_empty() && Some(*number) == port.target),
        });
        let Some((_, number)) = found else { continue };
        for address in &slice.addresses {
            let address: SocketAddr = (*address as IpAddr, *number).into();
            if seen.insert(address) {
                endpoints.push(KnownEndpoint { address, weight: 1, labels: none.clone() });
            }
        }
    }
    endpoints
}
