//! Kubernetes' `EndpointSlice`.

use std::net::IpAddr;

use crate::codes;
use crate::draft::RawObject;
use crate::metadata::{Metadata, read_metadata};
use crate::reader::{Cursor, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::port;

/// An EndpointSlice: its ready endpoints.
#[derive(Clone, Debug)]
pub(crate) struct EndpointSlice {
    pub(crate) metadata: Metadata,
    /// The Service that it belongs to; `None` where no label says so.
    pub(crate) service: Option<Box<str>>,
    /// The TCP ports, by name.
    pub(crate) ports: Vec<(Box<str>, u16)>,
    /// The addresses that are ready.
    pub(crate) addresses: Vec<IpAddr>,
}

/// The label that names the Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

static SLICE: Schema = Schema {
    what: "an EndpointSlice",
    served: &["addressType", "endpoints", "ports"],
    not_yet: &[],
    skipped: &["apiVersion", "kind", "metadata"],
};
static ENDPOINT: Schema = Schema {
    what: "an endpoint",
    served: &["addresses", "conditions"],
    not_yet: &[],
    skipped: &["deprecatedTopology", "hints", "hostname", "nodeName", "targetRef", "zone"],
};
static CONDITIONS: Schema = Schema {
    what: "an endpoint's conditions",
    served: &["ready"],
    not_yet: &[],
    skipped: &["serving", "terminating"],
};
static PORT: Schema = Schema {
    what: "an EndpointSlice's port",
    served: &["name", "port", "protocol"],
    not_yet: &[],
    skipped: &["appProtocol"],
};

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
    let is_name = root.field("addressType").is_some_and(|field| {
        let is_name = field.text() == Some("FQDN");
        if is_name {
            let help = "the slice has no endpoints; IPv4 and IPv6 are served";
            field.not_served(Gravity::Warns, "the address type FQDN is not served", help);
        }
        is_name
    });
    let mut addresses = Vec::new();
    if let Some(field) = root.field("endpoints")
        && !is_name
    {
        field.items().for_each(|item| read_endpoint(&item, &mut addresses));
    }
    Some(EndpointSlice { metadata, service, ports, addresses })
}

fn read_port(cursor: &Cursor<'_>) -> Option<(Box<str>, u16)> {
    let fields = cursor.fields(&PORT)?;
    let is_tcp = fields.field("protocol").is_none_or(|field| field.text() == Some("TCP"));
    let name = fields.field("name").and_then(|field| field.text()).unwrap_or_default();
    let number = port(&fields.field("port")?)?;
    is_tcp.then(|| (name.into(), number))
}

fn read_endpoint(cursor: &Cursor<'_>, addresses: &mut Vec<IpAddr>) {
    let Some(fields) = cursor.fields(&ENDPOINT) else { return };
    let conditions = fields.field("conditions");
    let conditions = conditions.as_ref().and_then(|field| field.fields(&CONDITIONS));
    // An unknown readiness counts as ready.
    let ready = conditions.and_then(|fields| fields.field("ready")?.boolean()).unwrap_or(true);
    let Some(field) = fields.required("addresses") else { return };
    for item in field.items() {
        let Some(text) = item.text() else { continue };
        match text.parse() {
            Ok(address) if ready => addresses.push(address),
            Ok(_) => {}
            Err(_) => item.refuse(format!("`{text}` is no IP address"), ""),
        }
    }
}
