//! Where the requests of an Ingress go.

use portcullis_filters::HeaderOperations;
use portcullis_model::{ClusterName, Destination, ObjectId};

use super::super::findings::{Findings, Spot};
use super::super::known_service::KnownService;
use super::super::routes::Lookup;
use crate::codes;
use crate::kinds::{BackendPort, IngressBackend};

const SHARE: &str = "until then its requests are answered with 503";

/// The destination that a backend of an Ingress means; a problem where there is none, or no endpoint.
pub(super) fn destination(
    ingress: &ObjectId,
    backend: &IngressBackend,
    lookup: Lookup<'_>,
    findings: &mut Findings,
) -> Destination {
    let host = lookup.services.full_host(&backend.service, &ingress.namespace);
    let mut warn = |code, part: &str, message: String, help: &str| {
        let field = format!("{}.{part}", backend.field);
        let spot = Spot { object: ingress, field, origin: &backend.origin };
        findings.warning(code, spot, message, help);
    };
    let port = match lookup.services.find(&host) {
        None => {
            let help = format!("write the Service, or correct the name; {SHARE}");
            warn(codes::SERVICE_MISSING, "name", format!("there is no service `{host}`"), &help);
            number(&backend.port)
        }
        Some(service) => match find_port(service, &backend.port) {
            Some(port) => port,
            None => {
                let (message, help) = no_port(service, &backend.port);
                warn(codes::PORT_MISSING, "port", message, &help);
                number(&backend.port)
            }
        },
    };
    let cluster = ClusterName { host, port, subset: "".into() };
    if lookup.clusters.get(&cluster).is_some_and(|found| !found.can_have_endpoints()) {
        let message = format!("`{cluster}` has no endpoints");
        warn(codes::NO_ENDPOINTS, "name", message, "requests to it are answered with 503");
    }
    Destination {
        cluster,
        weight: 1,
        request_headers: HeaderOperations::default(),
        response_headers: HeaderOperations::default(),
        change: None,
    }
}

/// 0, which no cluster has, for a name that says nothing.
fn number(port: &BackendPort) -> u16 {
    match port {
        BackendPort::Number(number) => *number,
        BackendPort::Name(_) => 0,
    }
}

fn find_port(service: &KnownService, wanted: &BackendPort) -> Option<u16> {
    let mut ports = service.ports.iter();
    let found = match wanted {
        BackendPort::Number(number) => ports.find(|port| port.number == *number),
        BackendPort::Name(name) => ports.find(|port| port.name == *name),
    };
    found.map(|port| port.number)
}

fn no_port(service: &KnownService, wanted: &BackendPort) -> (String, String) {
    let known = service.ports.iter().map(|port| match &*port.name {
        "" => port.number.to_string(),
        name => format!("{} ({name})", port.number),
    });
    let help = format!("its ports are: {}; {SHARE}", known.collect::<Vec<_>>().join(", "));
    let message = match wanted {
        BackendPort::Number(number) => format!("`{}` has no port {number}", service.host),
        BackendPort::Name(name) => format!("`{}` has no port named `{name}`", service.host),
    };
    (message, help)
}
