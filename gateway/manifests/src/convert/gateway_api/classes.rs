//! Which Gateways are ours.

use std::collections::HashMap;

use super::super::gather::Objects;
use crate::kinds::{ApiGateway, GatewayClass};

/// The classes by name.
pub(super) struct Classes<'o>(HashMap<&'o str, &'o GatewayClass>);

impl<'o> Classes<'o> {
    /// Of all objects.
    pub(super) fn new(objects: &'o Objects) -> Self {
        let class = |class: &'o std::sync::Arc<GatewayClass>| (&*class.metadata.id.name, &**class);
        Classes(objects.gateway_classes.iter().map(class).collect())
    }

    /// Whether a Gateway is ours: of a class of our controller, or of none that is known here.
    pub(super) fn is_ours(&self, gateway: &ApiGateway) -> bool {
        let class = gateway.class.as_ref().and_then(|name| self.0.get(&**name));
        class.is_none_or(|class| class.is_ours())
    }
}
