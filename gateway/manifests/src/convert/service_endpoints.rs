//! Kubernetes' Services with the endpoints of their EndpointSlices.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_model::{
    Discovery, Endpoint, EndpointAddress, LocalityBalancing, ObjectId, Readiness,
};

use super::endpoint_labels::with_topology;
use super::known_service::{CLUSTER_DOMAIN, EndpointLabels, KnownPort, KnownService};
use crate::kinds::{
    AddressFamily, Distribution, EndpointSlice, Service, ServicePort, SliceEndpoint, Unready,
};

/// The EndpointSlices by namespace and Service.
pub(super) struct Slices<'s>(HashMap<&'s str, HashMap<&'s str, Vec<&'s EndpointSlice>>>);

impl<'s> Slices<'s> {
    /// Sorts the slices.
    pub(super) fn sort(slices: &'s [Arc<EndpointSlice>]) -> Self {
        let mut sorted: HashMap<_, HashMap<_, Vec<&EndpointSlice>>> = HashMap::new();
        for slice in slices {
            if let Some(service) = &slice.service {
                let namespace = sorted.entry(&*slice.metadata.id.namespace).or_default();
                namespace.entry(&**service).or_default().push(slice);
            }
        }
        Slices(sorted)
    }

    /// Those of a Service.
    pub(super) fn of(&self, service: &ObjectId) -> &[&'s EndpointSlice] {
        let namespace = self.0.get(&*service.namespace);
        namespace.and_then(|services| services.get(&*service.name)).map_or(&[], |slices| slices)
    }
}

/// A Service with its endpoints.
pub(super) fn known_service(service: &Service, slices: &[&EndpointSlice]) -> KnownService {
    let id = &service.metadata.id;
    let host: Arc<str> = format!("{}.{}.{CLUSTER_DOMAIN}", id.name, id.namespace).into();
    let slices = of_one_family(service, slices);
    KnownService {
        host,
        object: id.clone(),
        origin: service.metadata.origin.clone(),
        name: id.name.clone(),
        ports: service.ports.iter().map(|port| known_port(service, port, &slices)).collect(),
        labels: EndpointLabels::Unknown,
    }
}

/// Where a Service says which family it prefers, its endpoints are listed once for each: those of the first one that
/// has any are taken, so that each is one endpoint.
fn of_one_family<'s>(service: &Service, slices: &[&'s EndpointSlice]) -> Vec<&'s EndpointSlice> {
    let of = |family: AddressFamily| slices.iter().filter(move |slice| slice.family == family);
    let has_any = |family: &&AddressFamily| of(**family).any(|slice| !slice.endpoints.is_empty());
    match service.families.iter().find(has_any) {
        Some(family) => of(*family).copied().collect(),
        None => slices.to_vec(),
    }
}

fn known_port(service: &Service, port: &ServicePort, slices: &[&EndpointSlice]) -> KnownPort {
    let (discovery, endpoints) = match &service.external_name {
        Some(name) => external(name, port.number),
        None => (Discovery::Static, slice_endpoints(service, port, slices)),
    };
    KnownPort {
        number: port.number,
        name: port.name.clone(),
        protocol: port.protocol,
        security: port.security,
        discovery,
        endpoints,
        names: Arc::new([]),
        health_check: service.health_check.clone(),
        locality: match service.distribution {
            Distribution::Even => None,
            Distribution::Nearest => Some(LocalityBalancing::Failover([].into())),
        },
    }
}

/// The one endpoint of an ExternalName, for which `targetPort` means nothing.
fn external(name: &str, port: u16) -> (Discovery, Vec<Endpoint>) {
    let (discovery, address) = match name.parse() {
        Ok(address) => (Discovery::Static, EndpointAddress::Socket(SocketAddr::new(address, port))),
        Err(_) => (Discovery::Dns, EndpointAddress::Name(name.into(), port)),
    };
    (discovery, vec![Endpoint { address, ..Endpoint::at(([0, 0, 0, 0], 0).into()) }])
}

/// The endpoints of a Service's port: those of the slices' port of the same name. Slices written by hand
/// may leave the name out, where it can only be one port.
fn slice_endpoints(
    service: &Service,
    port: &ServicePort,
    slices: &[&EndpointSlice],
) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let mut seen: HashMap<SocketAddr, usize> = HashMap::new();
    for slice in slices {
        let named = slice.ports.iter().find(|(name, _)| *name == port.name);
        let found = named.or_else(|| match slice.ports.as_slice() {
            [single] if service.ports.len() == 1 => Some(single),
            several => several
                .iter()
                .find(|(name, number)| name.is_empty() && Some(*number) == port.target),
        });
        let Some((_, number)) = found else { continue };
        for written in &slice.endpoints {
            for address in &written.addresses {
                let address = SocketAddr::new(*address, *number);
                let endpoint = endpoint_of(written, address, service.unready);
                // While slices change, an endpoint can be in two of them: it is as ready as the better one says.
                match seen.get(&address).and_then(|index| endpoints.get_mut(*index)) {
                    Some(known) if rank(endpoint.readiness) < rank(known.readiness) => {
                        *known = endpoint;
                    }
                    Some(_) => {}
                    None => {
                        seen.insert(address, endpoints.len());
                        endpoints.push(endpoint);
                    }
                }
            }
        }
    }
    endpoints
}

fn endpoint_of(written: &SliceEndpoint, address: SocketAddr, unready: Unready) -> Endpoint {
    let node = written.node.as_deref();
    Endpoint {
        labels: with_topology(&[], written.locality.as_ref(), node, ""),
        locality: written.locality.clone().map(Arc::new),
        readiness: match unready {
            Unready::Published => Readiness::Ready,
            Unready::Left => written.readiness,
        },
        ..Endpoint::at(address)
    }
}

fn rank(readiness: Readiness) -> u8 {
    match readiness {
        Readiness::Ready => 0,
        Readiness::Draining => 1,
        Readiness::NotReady => 2,
    }
}
