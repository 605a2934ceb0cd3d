//! Which objects are meant for the gateway: `exportTo` and `workloadSelector`.

use std::sync::Arc;

use crate::kinds::{Export, Gateway, ROOT_NAMESPACE};

/// The Gateways as those whom objects are meant for, or are not.
#[derive(Clone, Copy)]
pub(crate) struct Audience<'a> {
    gateways: &'a [Arc<Gateway>],
}

impl<'a> Audience<'a> {
    /// Of these Gateways.
    pub(crate) fn of(gateways: &'a [Arc<Gateway>]) -> Self {
        Audience { gateways }
    }

    /// Whether an object of this namespace is seen where some Gateway is. Without any Gateway everything is.
    pub(crate) fn sees(self, own: &str, export: &Export) -> bool {
        self.gateways.is_empty()
            || self.gateways.iter().any(|each| export.reaches(own, &each.metadata.id.namespace))
    }

    /// Whether a selector of an object of this namespace picks some Gateway: one of the same namespace, of any where
    /// the object is in the root namespace.
    pub(crate) fn is_picked(self, own: &str, selector: &[(String, String)]) -> bool {
        let is_near = |gateway: &&Arc<Gateway>| {
            own == ROOT_NAMESPACE || *gateway.metadata.id.namespace == *own
        };
        let has = |gateway: &Arc<Gateway>| {
            // A Gateway without a selector is for every workload, whatever its labels.
            gateway.selector.is_empty()
                || selector.iter().all(|label| {
                    gateway.selector.contains(label) || gateway.metadata.labels.contains(label)
                })
        };
        self.gateways.is_empty() || self.gateways.iter().filter(is_near).any(has)
    }

    /// Whether a Gateway is in this namespace.
    pub(crate) fn is_home(self, namespace: &str) -> bool {
        self.gateways.iter().any(|gateway| *gateway.metadata.id.namespace == *namespace)
    }
}
