//! What `backendRefs` of routes lead to.

use std::sync::Arc;

use portcullis_model::{ClusterName, Code, ObjectId};

use super::super::findings::{Findings, Spot};
use super::super::known_service::CLUSTER_DOMAIN;
use super::super::routes::Lookup;
use super::grants::Grants;
use super::parent::Refusal;
use super::references::{help_to_permit, not_permitted};
use crate::codes;
use crate::kinds::{BackendRef, ObjectRef};

/// Istio's group, whose ServiceEntries, and whose hosts, are backends too.
const ISTIO: &str = "networking.istio.io";

/// Who refers to backends, and what becomes of what they cannot take.
#[derive(Clone, Copy)]
pub(super) struct Sender<'s> {
    pub(super) route: &'s ObjectId,
    pub(super) lookup: Lookup<'s>,
    pub(super) grants: &'s Grants<'s>,
    /// As "its share of the requests is answered with 500".
    pub(super) loss: &'s str,
    /// As "requests to it are answered with 503".
    pub(super) lost: &'s str,
}

/// Why a backend cannot be used.
struct Flaw {
    code: Code,
    part: &'static str,
    reason: &'static str,
    message: String,
    help: String,
}

impl Sender<'_> {
    /// The same for copies of requests.
    pub(super) fn of_copies(self) -> Self {
        const NOTHING: &str = "nothing is mirrored";
        Sender { loss: NOTHING, lost: NOTHING, ..self }
    }

    /// The cluster of a backend. For one that must not or cannot be used it is one that does not exist, and the first
    /// reason stands in `unresolved`.
    pub(super) fn resolve(
        &self,
        backend: &BackendRef,
        unresolved: &mut Option<Refusal>,
        findings: &mut Findings,
    ) -> ClusterName {
        let object = &backend.object;
        let host = self.host_of(object);
        let flaw = match self.find(backend, &host) {
            Ok(port) => {
                let cluster = ClusterName { host, port, subset: "".into() };
                self.warn_of_no_endpoints(backend, &cluster, findings);
                return cluster;
            }
            Err(flaw) => flaw,
        };
        let field = match flaw.part {
            "" => object.field.clone(),
            part => format!("{}.{part}", object.field),
        };
        let spot = Spot { object: self.route, field, origin: &object.origin };
        let help = format!("{}; until then {}", flaw.help, self.loss);
        findings.error(flaw.code, spot, flaw.message.clone(), &help);
        unresolved.get_or_insert(Refusal { reason: flaw.reason, message: flaw.message });
        // No service has the port 0.
        ClusterName { host, port: 0, subset: "".into() }
    }

    /// The host of a service; for a ServiceEntry its first.
    fn host_of(&self, object: &ObjectRef) -> Arc<str> {
        if object.is_a(ISTIO, "Hostname") {
            return object.name.clone();
        }
        if object.is_a(ISTIO, "ServiceEntry") {
            let id = object.id();
            let mut services = self.lookup.services.iter();
            let found = services.find(|service| service.object == id);
            return found.map_or_else(|| object.name.clone(), |found| found.host.clone());
        }
        format!("{}.{}.{CLUSTER_DOMAIN}", object.name, object.namespace).into()
    }

    fn find(&self, backend: &BackendRef, host: &str) -> Result<u16, Flaw> {
        let object = &backend.object;
        let of_istio = ["ServiceEntry", "Hostname"].iter().any(|kind| object.is_a(ISTIO, kind));
        if !of_istio && !object.is_a("", "Service") {
            return Err(Flaw {
                code: codes::VALUE_NOT_SERVED,
                part: "kind",
                reason: "InvalidKind",
                message: format!("a `{}` is no backend here", object.kind),
                help: "name a Service, or a ServiceEntry of Istio's group".to_owned(),
            });
        }
        self.permit(object)?;
        let Some(service) = self.lookup.services.find(host) else {
            return Err(Flaw {
                code: codes::SERVICE_MISSING,
                part: "name",
                reason: "BackendNotFound",
                message: format!("there is no {}", object.id()),
                help: "write the Service, or correct the name".to_owned(),
            });
        };
        // By its host a Service is no more everybody's than by its name.
        if object.is_a(ISTIO, "Hostname") && *service.object.kind == *"Service" {
            let (namespace, name) = (service.object.namespace.clone(), service.object.name.clone());
            let kind = "Service".into();
            self.permit(&ObjectRef { group: "".into(), kind, namespace, name, ..object.clone() })?;
        }
        let ports = || {
            let numbers: Vec<_> =
                service.ports.iter().map(|port| port.number.to_string()).collect();
            format!("its ports are: {}", numbers.join(", "))
        };
        let message = match backend.port {
            Some(number) if service.ports.iter().any(|port| port.number == number) => {
                return Ok(number);
            }
            Some(number) => format!("{} has no port {number}", object.id()),
            None => "the port of a Service has to be named".to_owned(),
        };
        let (code, part, reason) = (codes::PORT_MISSING, "port", "BackendNotFound");
        Err(Flaw { code, part, reason, message, help: ports() })
    }

    fn permit(&self, object: &ObjectRef) -> Result<(), Flaw> {
        if self.grants.permit(self.route, object) {
            return Ok(());
        }
        Err(Flaw {
            code: codes::NOT_PERMITTED,
            part: "",
            reason: "RefNotPermitted",
            message: not_permitted(self.route, object),
            help: help_to_permit(self.route, object),
        })
    }

    fn warn_of_no_endpoints(
        &self,
        backend: &BackendRef,
        cluster: &ClusterName,
        findings: &mut Findings,
    ) {
        let found = self.lookup.clusters.get(cluster);
        if found.is_none_or(|found| found.can_have_endpoints()) {
            return;
        }
        let object = &backend.object;
        let field = format!("{}.name", object.field);
        let spot = Spot { object: self.route, field, origin: &object.origin };
        let message = format!("`{cluster}` has no endpoints");
        findings.warning(codes::NO_ENDPOINTS, spot, message, self.lost);
    }
}
