//! `GatewayClass`.

use std::sync::Arc;

use super::object_ref::filled;
use crate::codes;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Schema};
use crate::report::{Gravity, Report};

/// The controller whose classes are ours.
pub(crate) const CONTROLLER: &str = "portcullis.dev/gateway-controller";

/// A class of Gateways.
#[derive(Clone, Debug)]
pub(crate) struct GatewayClass {
    pub(crate) metadata: Metadata,
    pub(crate) controller: Arc<str>,
    /// Whether it names parameters, which nothing takes here.
    pub(crate) has_parameters: bool,
}

static GATEWAY_CLASS: Schema = Schema {
    what: "a GatewayClass",
    served: &["controllerName", "parametersRef"],
    not_yet: &[],
    skipped: &["description"],
};

impl GatewayClass {
    /// Whether its Gateways are ours.
    pub(crate) fn is_ours(&self) -> bool {
        *self.controller == *CONTROLLER
    }
}

/// Reads a GatewayClass.
pub(in crate::kinds) fn read_gateway_class(
    raw: &RawObject,
    report: &Report,
) -> Option<GatewayClass> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&GATEWAY_CLASS)?;
    let field = spec.required("controllerName")?;
    let controller = filled(&field)?;
    if !controller.contains('/') {
        let message = format!("`{controller}` is no name of a controller");
        field.refuse(message, format!("it has a domain and a path; ours is `{CONTROLLER}`"));
    }
    let parameters = spec.field("parametersRef").filter(|_| controller == CONTROLLER);
    if let Some(field) = &parameters {
        let message = "no object with parameters of a GatewayClass is known here";
        field.report(Gravity::Degrades, codes::BAD_VALUE, message, "remove `parametersRef`");
    }
    let has_parameters = parameters.is_some();
    Some(GatewayClass { metadata, controller: controller.into(), has_parameters })
}
