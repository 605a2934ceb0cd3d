//! Gateway API's `Gateway`.

use std::sync::Arc;

use portcullis_model::ManifestDemand;

use super::allowed::{Namespaces, read_allowed_listeners};
use super::client_validation::{GatewayTls, read_gateway_tls};
use super::listener::{ApiListener, read_listeners};
use super::object_ref::filled;
use crate::codes;
use crate::kinds::edge_setting::PlacedSetting;
use crate::kinds::gateway_annotations::{read_annotations, read_manifest_demand};
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};

/// A Gateway.
#[derive(Clone, Debug)]
pub(crate) struct ApiGateway {
    pub(crate) metadata: Metadata,
    /// `gatewayClassName`; `None` where it is not written.
    pub(crate) class: Option<Arc<str>>,
    pub(crate) listeners: Vec<ApiListener>,
    /// Which ListenerSets may attach.
    pub(crate) allowed_listeners: Namespaces,
    pub(crate) addresses: Vec<GatewayAddress>,
    /// `infrastructure.labels`
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) tls: GatewayTls,
    /// Why it is not taken as a whole.
    pub(crate) fault: Option<GatewayFault>,
    /// What its annotations set.
    pub(crate) settings: Vec<PlacedSetting>,
    /// Whether plugins that it serves need a manifest.
    pub(crate) manifest_demand: ManifestDemand,
}

/// An address that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GatewayAddress {
    /// `IPAddress` or `Hostname`.
    pub(crate) kind: &'static str,
    /// Empty where any will do.
    pub(crate) value: Box<str>,
}

/// What is wrong with a Gateway as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GatewayFault {
    /// Its addresses are of a type that is not served.
    UnsupportedAddress,
    /// `infrastructure.parametersRef` names something, and nothing takes parameters here.
    InvalidParameters,
}

static GATEWAY: Schema = Schema {
    what: "a Gateway",
    served: &[
        "gatewayClassName",
        "listeners",
        "addresses",
        "infrastructure",
        "allowedListeners",
        "tls",
    ],
    not_yet: &["defaultScope"],
    skipped: &[],
};
static INFRASTRUCTURE: Schema = Schema {
    what: "`infrastructure`",
    served: &["labels", "parametersRef"],
    not_yet: &[],
    skipped: &["annotations"],
};
static ADDRESS: Schema =
    Schema { what: "an address", served: &["type", "value"], not_yet: &[], skipped: &[] };

/// Reads a Gateway.
pub(in crate::kinds) fn read_api_gateway(raw: &RawObject, report: &Report) -> Option<ApiGateway> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&GATEWAY)?;
    let own = &metadata.id.namespace;
    let class = spec.field("gatewayClassName");
    let class = match class {
        Some(field) => Some(filled(&field)?.into()),
        None => None,
    };
    let mut fault = None;
    Some(ApiGateway {
        class,
        listeners: read_listeners(&spec, own),
        allowed_listeners: read_allowed_listeners(&spec),
        addresses: read_addresses(&spec, &mut fault),
        labels: read_infrastructure(&spec, &mut fault),
        tls: read_gateway_tls(&spec, own),
        fault,
        settings: read_annotations(raw, report),
        manifest_demand: read_manifest_demand(raw, report),
        metadata,
    })
}

fn read_addresses(spec: &Fields<'_>, fault: &mut Option<GatewayFault>) -> Vec<GatewayAddress> {
    let mut addresses = Vec::new();
    let field = spec.field("addresses");
    for item in field.iter().flat_map(|field| field.items()) {
        let Some(fields) = item.fields(&ADDRESS) else { continue };
        let kind = fields.field("type");
        let kind = match kind.as_ref().map(|field| field.text()) {
            None | Some(Some("IPAddress")) => "IPAddress",
            Some(Some("Hostname")) => "Hostname",
            Some(None) => continue,
            Some(Some(text)) => {
                let message = format!("addresses of type `{text}` are not served");
                let help = "write IPAddress or Hostname; until then the Gateway is not served";
                item.not_served(Gravity::Degrades, message, help);
                *fault = Some(GatewayFault::UnsupportedAddress);
                continue;
            }
        };
        let value = match fields.field("value") {
            Some(field) => field.text().unwrap_or_default(),
            None => "",
        };
        if kind == "IPAddress" && !value.is_empty() && value.parse::<std::net::IpAddr>().is_err() {
            item.refuse(format!("`{value}` is no IP address"), "write an IPv4 or IPv6 address");
        }
        let address = GatewayAddress { kind, value: value.into() };
        if !address.value.is_empty() && addresses.contains(&address) {
            item.refuse(format!("`{value}` is written twice"), "remove one of them");
        }
        addresses.push(address);
    }
    addresses
}

fn read_infrastructure(
    spec: &Fields<'_>,
    fault: &mut Option<GatewayFault>,
) -> Vec<(String, String)> {
    let field = spec.field("infrastructure");
    let Some(fields) = field.as_ref().and_then(|field| field.fields(&INFRASTRUCTURE)) else {
        return Vec::new();
    };
    if let Some(field) = fields.field("parametersRef") {
        let message = "no object with parameters of a Gateway is known here";
        let help = "remove `parametersRef`; until then the Gateway is not served";
        field.report(Gravity::Degrades, codes::BAD_VALUE, message, help);
        *fault = Some(GatewayFault::InvalidParameters);
    }
    fields.field("labels").map(|field| field.text_map()).unwrap_or_default()
}
