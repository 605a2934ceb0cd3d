//! Hosts of an Ingress' `tls` that no rule is for.

use std::sync::Arc;

use portcullis_message::HostPattern;

use super::super::findings::{Findings, Spot};
use crate::codes;
use crate::kinds::Ingress;

/// Reports them: their handshakes succeed, and their requests find nothing. The rules of all Ingresses count, as they
/// are one list.
pub(super) fn report_idle_hosts(ingresses: &[&Arc<Ingress>], findings: &mut Findings) {
    let ruled: Vec<&HostPattern> =
        ingresses.iter().flat_map(|ingress| &ingress.rules).map(|rule| &rule.host).collect();
    if ingresses.iter().any(|ingress| ingress.default_backend.is_some()) {
        return;
    }
    for ingress in ingresses {
        for entry in &ingress.tls {
            let is_idle = |host: &&HostPattern| ruled.iter().all(|r| r.intersect(host).is_none());
            for host in entry.hosts.iter().filter(is_idle) {
                let field = format!("spec.tls[{}].hosts", entry.index);
                let object = &ingress.metadata.id;
                let spot = Spot { object, field, origin: &entry.origin };
                let message = format!("no rule is for `{host}`, so its requests get 404");
                let help =
                    "write a rule with this host, or a `defaultBackend`, or remove the host here";
                findings.warning(codes::NO_EFFECT, spot, message, help);
            }
        }
    }
}
