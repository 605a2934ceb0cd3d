//! Which Gateways are ours.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_model::ObjectId;

use super::super::findings::Findings;
use super::super::foreign_class::ForeignClass;
use super::super::gather::Objects;
use crate::kinds::{ApiGateway, CONTROLLER, GatewayClass};

/// The classes by name.
pub(super) struct Classes<'o>(HashMap<&'o str, &'o GatewayClass>);

impl<'o> Classes<'o> {
    /// Of all objects.
    pub(super) fn new(objects: &'o Objects) -> Self {
        let class = |class: &'o Arc<GatewayClass>| (&*class.metadata.id.name, &**class);
        Classes(objects.gateway_classes.iter().map(class).collect())
    }

    /// Whether a Gateway is ours: of a class of our controller, or of none that is known here.
    pub(super) fn is_ours(&self, gateway: &ApiGateway) -> bool {
        let class = gateway.class.as_ref().and_then(|name| self.0.get(&**name));
        class.is_none_or(|class| class.is_ours())
    }
}

/// Warns of classes of other controllers, whose Gateways are left to those.
pub(super) fn report_foreign(objects: &Objects, foreign: &[ObjectId], findings: &mut Findings) {
    for class in objects.gateway_classes.iter().filter(|class| !class.is_ours()) {
        let id = &class.metadata.id;
        let is_its = |gateway: &&Arc<ApiGateway>| {
            gateway.class.as_deref() == Some(&*id.name) && foreign.contains(&gateway.metadata.id)
        };
        let left = objects.api_gateways.iter().filter(is_its);
        let class = ForeignClass {
            metadata: &class.metadata,
            field: "spec.controllerName",
            controller: &class.controller,
            ours: CONTROLLER,
        };
        class.report(left.map(|gateway| &gateway.metadata.id), findings);
    }
}
