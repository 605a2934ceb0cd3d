//! Which objects are meant for the gateway: `exportTo` and `workloadSelector`.

use std::sync::Arc;

use super::coverage::Home;
use crate::kinds::{Export, Gateway};

/// The Gateways as those whom objects are meant for, or are not.
#[derive(Clone, Copy)]
pub(crate) struct Audience<'a> {
    gateways: &'a [Arc<Gateway>],
    home: Home<'a>,
}

impl<'a> Audience<'a> {
    /// Of these Gateways, on a gateway that runs there.
    pub(crate) fn of(gateways: &'a [Arc<Gateway>], home: Home<'a>) -> Self {
        Audience { gateways, home }
    }

    /// Whether an object of this namespace is seen where some Gateway is. Without any Gateway everything is.
    pub(crate) fn sees(self, own: &str, export: &Export) -> bool {
        self.gateways.is_empty()
            || self.gateways.iter().any(|each| export.reaches(own, &each.metadata.id.namespace))
    }

    /// Whether a selector of an object of this namespace picks some Gateway that objects of its namespace may
    /// select: as in Istio those of the gateway's own, and of the root namespace.
    pub(crate) fn is_picked(self, own: &str, selector: &[(String, String)]) -> bool {
        let is_near = |gateway: &&Arc<Gateway>| self.home.may_select(own, gateway);
        let has = |gateway: &Arc<Gateway>| {
            // A Gateway without a selector is for every workload, whatever its labels.
            gateway.selector.is_empty()
                || selector.iter().all(|label| {
                    gateway.selector.contains(label) || gateway.metadata.labels.contains(label)
                })
        };
        self.gateways.is_empty() || self.gateways.iter().filter(is_near).any(has)
    }

    /// Whether this namespace is the gateway's, or where that is not known, that of a Gateway.
    pub(crate) fn is_home(self, namespace: &str) -> bool {
        match self.home.0 {
            Some(home) => *home == *namespace,
            None => self.gateways.iter().any(|each| *each.metadata.id.namespace == *namespace),
        }
    }
}
