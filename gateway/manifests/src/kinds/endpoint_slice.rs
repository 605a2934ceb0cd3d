//! Kubernetes' `EndpointSlice`.

use std::net::IpAddr;

use portcullis_model::{Locality, Readiness};

use super::service::AddressFamily;
use crate::codes;
use crate::metadata::{Metadata, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::{choice, port};

/// An EndpointSlice.
#[derive(Clone, Debug)]
pub(crate) struct EndpointSlice {
    pub(crate) metadata: Metadata,
    /// The Service that it belongs to; `None` where no label says so.
    pub(crate) service: Option<Box<str>>,
    /// The TCP ports, by name.
    pub(crate) ports: Vec<(Box<str>, u16)>,
    pub(crate) family: AddressFamily,
    pub(crate) endpoints: Vec<SliceEndpoint>,
}

/// One entry of `endpoints`.
#[derive(Clone, Debug)]
pub(crate) struct SliceEndpoint {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) readiness: Readiness,
    /// Its zone, and its region where the deprecated topology names it.
    pub(crate) locality: Option<Locality>,
    /// `nodeName`
    pub(crate) node: Option<Box<str>>,
}

/// The label that names the Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";

static SLICE: Schema = Schema {
    what: "an EndpointSlice",
    served: &["addressType", "endpoints", "ports"],
    not_yet: &[],
    skipped: &["apiVersion", "kind", "metadata"],
};
static ENDPOINT: Schema = Schema {
    what: "an endpoint",
    served: &["addresses", "conditions", "zone", "nodeName", "deprecatedTopology"],
    not_yet: &[],
    skipped: &["hints", "hostname", "targetRef"],
};
static CONDITIONS: Schema = Schema {
    what: "an endpoint's conditions",
    served: &["ready", "serving", "terminating"],
    not_yet: &[],
    skipped: &[],
};
static PORT: Schema = Schema {
    what: "an EndpointSlice's port",
    served: &["name", "port", "protocol"],
    not_yet: &[],
    // The Service's own decides, as in Istio.
    skipped: &["appProtocol"],
};
const FAMILIES: &[(&str, Option<AddressFamily>)] =
    &[("IPv4", Some(AddressFamily::V4)), ("IPv6", Some(AddressFamily::V6)), ("FQDN", None)];

/// Reads an EndpointSlice.
pub(crate) fn read_endpoint_slice(raw: &RawObject, report: &Report) -> Option<EndpointSlice> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&SLICE)?;
    let service = metadata.labels.iter().find(|(name, _)| name == SERVICE_LABEL);
    let service = service.map(|(_, value)| value.as_str().into());
    if service.is_none() {
        root.cursor().report(
            Gravity::Warns,
            codes::MISSING,
            "the EndpointSlice belongs to no Service",
            format!("give it the label `{SERVICE_LABEL}`"),
        );
    }
    let ports = root.field("ports");
    let ports = ports.iter().flat_map(|field| field.items());
    let ports = ports.filter_map(|item| read_port(&item)).collect();
    let family = read_family(&root)?;
    let mut slice = EndpointSlice {
        metadata,
        service,
        ports,
        family: family.unwrap_or(AddressFamily::V4),
        endpoints: Vec::new(),
    };
    if let (Some(field), Some(family)) = (root.field("endpoints"), family) {
        slice.endpoints.extend(field.items().filter_map(|item| read_endpoint(&item, family)));
    }
    Some(slice)
}

/// The family; `Some(None)` where the addresses are names.
fn read_family(root: &Fields<'_>) -> Option<Option<AddressFamily>> {
    let Some(field) = root.field("addressType") else { return Some(Some(AddressFamily::V4)) };
    let family = choice(&field, FAMILIES)?;
    if family.is_none() {
        let help = "the slice has no endpoints; IPv4 and IPv6 are served";
        field.not_served(Gravity::Warns, "the address type FQDN is not served", help);
    }
    Some(family)
}

fn read_port(cursor: &Cursor<'_>) -> Option<(Box<str>, u16)> {
    let fields = cursor.fields(&PORT)?;
    let is_tcp = fields.field("protocol").is_none_or(|field| field.text() == Some("TCP"));
    let name = fields.field("name").and_then(|field| field.text()).unwrap_or_default();
    let number = port(&fields.field("port")?)?;
    is_tcp.then(|| (name.into(), number))
}

fn read_endpoint(cursor: &Cursor<'_>, family: AddressFamily) -> Option<SliceEndpoint> {
    let fields = cursor.fields(&ENDPOINT)?;
    let topology = fields.field("deprecatedTopology").map(|field| field.text_map());
    let label = |name: &str| {
        let mut labels = topology.iter().flatten();
        labels.find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    };
    let zone = fields.field("zone");
    let zone = zone.as_ref().and_then(Cursor::text).or(label(ZONE)).unwrap_or_default();
    let region = label(REGION).unwrap_or_default();
    let locality = (!zone.is_empty() || !region.is_empty()).then(|| Locality {
        region: region.into(),
        zone: zone.into(),
        sub_zone: "".into(),
    });
    let node = fields.field("nodeName").and_then(|field| field.text()).map(Into::into);
    let readiness = fields.field("conditions").map_or(Readiness::Ready, |f| read_readiness(&f));
    let field = fields.required("addresses")?;
    let addresses = field.items().filter_map(|item| read_address(&item, family)).collect();
    Some(SliceEndpoint { addresses, readiness, locality, node })
}

/// An unknown `ready` counts as ready, an unknown `serving` as not: whoever writes it says so.
fn read_readiness(field: &Cursor<'_>) -> Readiness {
    let Some(fields) = field.fields(&CONDITIONS) else { return Readiness::NotReady };
    let is = |name: &str| fields.field(name).and_then(|field| field.boolean());
    match (is("ready"), is("serving"), is("terminating")) {
        (None | Some(true), _, _) => Readiness::Ready,
        (Some(false), Some(true), Some(true)) => Readiness::Draining,
        _ => Readiness::NotReady,
    }
}

fn read_address(item: &Cursor<'_>, family: AddressFamily) -> Option<IpAddr> {
    let text = item.text()?;
    let address = text.parse().ok();
    match (address, family) {
        (Some(IpAddr::V4(_)), AddressFamily::V4) | (Some(IpAddr::V6(_)), AddressFamily::V6) => {}
        (Some(_), _) => item.refuse(format!("{text} is not of the slice's `addressType`"), ""),
        (None, _) => item.refuse(format!("`{text}` is no IP address"), ""),
    }
    address
}
