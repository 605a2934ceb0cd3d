//! An endpoint that is written in a ServiceEntry or is a WorkloadEntry.

use std::net::IpAddr;

use portcullis_model::{Locality, Origin};

use crate::reader::{Cursor, Schema};
use crate::report::Gravity;
use crate::scalars::{host_pattern, port};

/// An endpoint.
#[derive(Clone, Debug)]
pub(crate) struct EntryEndpoint {
    pub(crate) address: EntryAddress,
    /// Where `address` stands.
    pub(crate) origin: Origin,
    /// Where it listens, by the name of the entry's port.
    pub(crate) ports: Vec<(Box<str>, u16)>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) weight: u32,
    pub(crate) locality: Option<Locality>,
    /// `network`, empty where none is written.
    pub(crate) network: Box<str>,
}

/// What an endpoint's address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntryAddress {
    /// An address.
    Ip(IpAddr),
    /// A name, in lower case.
    Name(Box<str>),
}

static ENDPOINT: Schema = Schema {
    what: "an endpoint",
    served: &["address", "ports", "labels", "weight", "locality", "network"],
    not_yet: &[],
    // Who an endpoint must prove to be is written in `subjectAltNames`.
    skipped: &["serviceAccount"],
};
const UNIX: &str = "unix://";

/// Reads an endpoint.
pub(super) fn read_endpoint(cursor: &Cursor<'_>) -> Option<EntryEndpoint> {
    let fields = cursor.fields(&ENDPOINT)?;
    let labels = fields.field("labels").map(|field| field.text_map()).unwrap_or_default();
    let weight = fields.field("weight").and_then(|field| field.integer(0, i64::from(u32::MAX)));
    let locality = fields.field("locality").and_then(|field| read_locality(&field));
    let network = fields.field("network").and_then(|field| field.text()).unwrap_or_default();
    let mut ports = Vec::new();
    if let Some(field) = fields.field("ports") {
        ports
            .extend(field.entries().filter_map(|(name, value)| Some((name.into(), port(&value)?))));
    }
    let Some(field) = fields.field("address") else {
        fields.missing(
            "address",
            "endpoints that only their network's gateway reaches are not served",
        );
        return None;
    };
    let address = read_address(&field)?;
    // An omitted weight is 1; Istio reads a written 0 the same way, as protobuf cannot tell them apart.
    let weight = weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1).max(1);
    let (origin, network) = (field.origin(), network.into());
    Some(EntryEndpoint { address, origin, ports, labels, weight, locality, network })
}

fn read_address(field: &Cursor<'_>) -> Option<EntryAddress> {
    let text = field.text()?;
    if text.starts_with(UNIX) {
        let help = "the endpoint is left out; let it listen on an address";
        field.not_served(Gravity::Degrades, "sockets of the file system are not served", help);
        return None;
    }
    if let Ok(address) = text.parse() {
        return Some(EntryAddress::Ip(address));
    }
    if text.contains(['*', ':', '/']) || text.is_empty() {
        let help =
            "write an IPv4 or IPv6 address or a DNS name, without a port; ports stand in `ports`";
        field.refuse(format!("`{text}` is neither an IP address nor a name"), help);
        return None;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    host_pattern(field, name)?;
    Some(EntryAddress::Name(name.to_ascii_lowercase().into()))
}

/// `region/zone/sub-zone`, the last ones of which may be left out.
fn read_locality(field: &Cursor<'_>) -> Option<Locality> {
    let text = field.text()?;
    if text.is_empty() {
        return None;
    }
    let mut parts = text.split('/');
    let mut part = || parts.next().unwrap_or_default().into();
    let locality = Locality { region: part(), zone: part(), sub_zone: part() };
    if parts.next().is_some() || text.contains('*') || text.starts_with('/') {
        field.refuse(format!("`{text}` is no locality"), "write `region/zone/sub-zone`");
        return None;
    }
    Some(locality)
}
