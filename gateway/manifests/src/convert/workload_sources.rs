//! `sourceLabels` and `sourceNamespace`, which Istio holds against the gateway itself: settled per Gateway.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_model::RequestMatch;

use super::open::OpenGateway;
use crate::kinds::{Gateway, GatewayName, SourceMatch, WrittenMatch};

/// The gateway as the workload that requests come from.
pub(crate) struct WorkloadSources<'w> {
    gateways: HashMap<(&'w str, &'w str), &'w Gateway>,
    /// Of `--label`.
    labels: &'w [(String, String)],
}

impl<'w> WorkloadSources<'w> {
    /// Of these Gateways, and a process with these labels.
    pub(crate) fn new(gateways: &'w [OpenGateway], labels: &'w [(String, String)]) -> Self {
        let named = gateways.iter().filter(|open| open.gateway.is_of_istio()).map(|open| {
            let id = &open.gateway.metadata.id;
            ((&*id.namespace, &*id.name), &*open.gateway)
        });
        WorkloadSources { gateways: named.collect(), labels }
    }

    /// A match as it holds on the Gateways of its route. A Gateway whose workload is another is left out; where none
    /// is left, the match never holds.
    pub(crate) fn settle(&self, written: &WrittenMatch, own: &[GatewayName]) -> RequestMatch {
        let mut settled = written.conditions.clone();
        let source = &written.source;
        if source.is_empty() {
            return settled;
        }
        let holds = |name: &&GatewayName| self.holds(source, &name.namespace, &name.name);
        let fitting: Vec<Arc<str>> = own.iter().filter(holds).map(GatewayName::full).collect();
        settled.never |= fitting.is_empty();
        if fitting.len() < own.len() {
            settled.gateways = fitting;
        }
        settled
    }

    /// Whether the workload of a Gateway is so. It has the labels that the Gateway's selector picks it by.
    pub(crate) fn holds(&self, source: &SourceMatch, namespace: &str, name: &str) -> bool {
        if source.is_empty() {
            return true;
        }
        let gateway = self.gateways.get(&(namespace, name));
        let selector = gateway.map_or(&[][..], |gateway| gateway.selector.as_slice());
        let has =
            |label: &(String, String)| selector.contains(label) || self.labels.contains(label);
        let is_here = |wanted: &str| *namespace == *wanted;
        source.labels.iter().all(has) && source.namespace.as_deref().is_none_or(is_here)
    }
}
