//! Every service that requests can be sent to, with its ports and endpoints, by host.

use std::sync::Arc;

use portcullis_model::ObjectId;

use super::audience::Audience;
use super::coverage::Home;
use super::entry_endpoints::{Workloads, add_entry};
use super::findings::{Findings, Spot};
use super::gather::Objects;
use super::known_service::{ByHost, CLUSTER_DOMAIN, KnownService};
use super::service_endpoints::{Slices, known_service};
use crate::codes;
use crate::kinds::Export;
use crate::suggest::closest;

/// The services, by host.
#[derive(Default)]
pub(crate) struct Services {
    by_host: ByHost,
}

impl Services {
    /// Collects the services of all objects that are meant for the gateway.
    pub(crate) fn collect(objects: &Objects, findings: &mut Findings) -> Self {
        let audience = Audience::of(&objects.gateways, Home(None));
        let mut services = Services::default();
        let slices = Slices::sort(&objects.endpoint_slices);
        for service in &objects.services {
            let id = &service.metadata.id;
            if !audience.sees(&id.namespace, &service.export) {
                report_export(id, "metadata.annotations", &service.export, findings);
                continue;
            }
            let known = known_service(service, slices.of(id));
            services.by_host.insert(known.host.clone(), known);
        }
        let workloads = Workloads(&objects.workload_entries);
        for entry in &objects.service_entries {
            let id = &entry.metadata.id;
            if !audience.sees(&id.namespace, &entry.export) {
                report_export(id, "spec.exportTo", &entry.export, findings);
                continue;
            }
            add_entry(&mut services.by_host, entry, workloads, findings);
        }
        services
    }

    /// The service of a host.
    pub(crate) fn find(&self, host: &str) -> Option<&KnownService> {
        self.by_host.get(host)
    }

    /// The host that was probably meant by one that is no service's. It costs a look at every service, so it is not
    /// sought among many.
    pub(crate) fn near(&self, host: &str) -> Option<&str> {
        if self.by_host.len() > MOST_COMPARED {
            return None;
        }
        let mut hosts: Vec<&str> = self.by_host.values().map(|service| &*service.host).collect();
        hosts.sort_unstable();
        closest(host, hosts.into_iter())
    }

    /// Every service, by host.
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
}

/// Among so many services a near name is sought.
const MOST_COMPARED: usize = 500;

/// Reports an object that no Gateway sees.
pub(super) fn report_export(id: &ObjectId, field: &str, export: &Export, findings: &mut Findings) {
    let Export::Namespaces(_, origin) = export else { return };
    let spot = Spot { object: id, field: field.to_owned(), origin };
    let message = "it is exported to no namespace that has a Gateway, so it has no effect here";
    let help = "add the Gateway's namespace or `*`; `.` is the object's own";
    findings.warning(codes::NO_EFFECT, spot, message.to_owned(), help);
}
