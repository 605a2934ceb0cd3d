//! Ingresses to listeners and rules.
//!
//! An Ingress is served on port 80, with `tls` on port 443 too: so each becomes a Gateway of its own, which then
//! shares sockets, policies and TLS with all others. What requests find there does not depend on which Ingress
//! wrote it: the rules of all Ingresses for one host are one list, the longest path first.

mod backends;
mod classes;
mod gateways;
mod hosts;
mod idle_hosts;
mod rules;

use std::sync::Arc;

use portcullis_model::Listener;

use super::findings::Findings;
use super::gather::Objects;
use super::open::OpenGateway;
use super::routes::Lookup;
use crate::kinds::{Gateway, Ingress};

/// The kind of the identity of a Gateway that stands for an Ingress.
pub(crate) const KIND: &str = "Ingress";

/// The Ingresses of our classes, in creation order.
pub(crate) struct Ingresses<'i> {
    ours: Vec<&'i Arc<Ingress>>,
}

impl<'i> Ingresses<'i> {
    /// Picks ours, and reports what else than Kubernetes' own fields is written on them.
    pub(crate) fn pick(objects: &'i Objects, findings: &mut Findings) -> Self {
        let ours = classes::ours(objects, findings);
        for ingress in &ours {
            gateways::report_foreign(ingress, findings);
        }
        idle_hosts::report_idle_hosts(&ours, findings);
        Ingresses { ours }
    }

    /// Those given, and one for each Ingress.
    pub(crate) fn beside(&self, gateways: &[Arc<Gateway>]) -> Vec<Arc<Gateway>> {
        let own = self.ours.iter().map(|ingress| Arc::new(gateways::gateway_of(ingress)));
        gateways.iter().cloned().chain(own).collect()
    }

    /// Gives their listeners the rules of all Ingresses.
    pub(crate) fn route(
        &self,
        listeners: &mut [(usize, Listener)],
        gateways: &[OpenGateway],
        lookup: Lookup<'_>,
        findings: &mut Findings,
    ) {
        let hosts = hosts::Hosts::collect(&self.ours, lookup, findings);
        let is_ours = |index: usize| {
            gateways.get(index).is_some_and(|open| *open.gateway.metadata.id.kind == *KIND)
        };
        let own = listeners.iter_mut().filter(|(index, _)| is_ours(*index));
        hosts.give_to(own.map(|(_, listener)| listener));
    }
}
