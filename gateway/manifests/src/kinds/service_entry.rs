//! Istio's `ServiceEntry`.

use std::net::IpAddr;

use portcullis_model::Origin;

use crate::draft::RawObject;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::reader::{Cursor, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::port;

/// A ServiceEntry.
#[derive(Clone, Debug)]
pub(crate) struct ServiceEntry {
    pub(crate) metadata: Metadata,
    /// In lower case, each with its place.
    pub(crate) hosts: Vec<(Box<str>, Origin)>,
    pub(crate) ports: Vec<EntryPort>,
    /// None where the resolution is not served yet.
    pub(crate) endpoints: Vec<EntryEndpoint>,
}

/// One entry of `ports`.
#[derive(Clone, Debug)]
pub(crate) struct EntryPort {
    pub(crate) number: u16,
    pub(crate) name: Box<str>,
    /// Where endpoints that do not say otherwise listen.
    pub(crate) target: u16,
}

/// One entry of `endpoints`.
#[derive(Clone, Debug)]
pub(crate) struct EntryEndpoint {
    pub(crate) address: IpAddr,
    /// Where it listens, by the name of the entry's port.
    pub(crate) ports: Vec<(Box<str>, u16)>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) weight: u32,
}

static SPEC: Schema = Schema {
    what: "a ServiceEntry",
    served: &["hosts", "ports", "resolution", "endpoints"],
    not_yet: &["workloadSelector", "exportTo", "subjectAltNames"],
    skipped: &["addresses", "location"],
};
static PORT: Schema = Schema {
    what: "a ServiceEntry's port",
    served: &["number", "name", "targetPort"],
    not_yet: &[],
    skipped: &["protocol"],
};
static ENDPOINT: Schema = Schema {
    what: "an endpoint",
    served: &["address", "ports", "labels", "weight"],
    not_yet: &[],
    skipped: &["network", "locality", "serviceAccount"],
};

/// Reads a ServiceEntry.
pub(crate) fn read_service_entry(raw: &RawObject, report: &Report) -> Option<ServiceEntry> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let mut hosts = Vec::new();
    if let Some(field) = spec.required("hosts") {
        for item in field.items() {
            hosts.extend(item.text().map(|text| (text.to_ascii_lowercase().into(), item.origin())));
        }
    }
    let mut ports: Vec<EntryPort> = Vec::new();
    if let Some(field) = spec.required("ports") {
        for item in field.items() {
            let Some(port) = read_port(&item) else { continue };
            if ports.iter().any(|known| known.number == port.number) {
                item.refuse(
                    format!("the port {} is written twice", port.number),
                    "remove one of them",
                );
            } else {
                ports.push(port);
            }
        }
    }
    let is_static = read_resolution(spec.field("resolution"));
    let mut endpoints = Vec::new();
    if let Some(field) = spec.field("endpoints")
        && is_static
    {
        endpoints.extend(field.items().filter_map(|item| read_endpoint(&item)));
    }
    Some(ServiceEntry { metadata, hosts, ports, endpoints })
}

/// Whether the endpoints are addresses.
fn read_resolution(field: Option<Cursor<'_>>) -> bool {
    let text = match &field {
        Some(field) => field.text(),
        None => Some("NONE"),
    };
    match (text, &field) {
        (Some("STATIC"), _) => true,
        (Some(text @ ("DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS" | "NONE")), Some(field)) => {
            let message = format!("the resolution {text} is known, but not served yet");
            let help = "the service has no endpoints, so its requests are answered with 503; STATIC is served";
            field.not_served(Gravity::Warns, message, help);
            false
        }
        (Some(text), Some(field)) => {
            field.refuse(format!("`{text}` is no resolution"), "write STATIC");
            false
        }
        _ => false,
    }
}

fn read_port(cursor: &Cursor<'_>) -> Option<EntryPort> {
    let fields = cursor.fields(&PORT)?;
    let target = fields.field("targetPort").and_then(|field| port(&field));
    let name = fields.required("name").and_then(|field| field.text()).unwrap_or_default();
    let number = port(&fields.required("number")?)?;
    Some(EntryPort { number, name: name.into(), target: target.unwrap_or(number) })
}

fn read_endpoint(cursor: &Cursor<'_>) -> Option<EntryEndpoint> {
    let fields = cursor.fields(&ENDPOINT)?;
    let labels = fields.field("labels").map(|field| field.text_map()).unwrap_or_default();
    let weight = fields.field("weight").and_then(|field| field.integer(0, i64::from(u32::MAX)));
    let mut ports = Vec::new();
    if let Some(field) = fields.field("ports") {
        ports
            .extend(field.entries().filter_map(|(name, value)| Some((name.into(), port(&value)?))));
    }
    let field = fields.required("address")?;
    let text = field.text()?;
    let Ok(address) = text.parse() else {
        let help =
            "with resolution STATIC every address is an IPv4 or IPv6 address, without a port";
        field.refuse(format!("`{text}` is no IP address"), help);
        return None;
    };
    // An omitted weight is 1; Istio reads a written 0 the same way, as protobuf cannot tell them apart.
    let weight = weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1).max(1);
    Some(EntryEndpoint { address, ports, labels, weight })
}
