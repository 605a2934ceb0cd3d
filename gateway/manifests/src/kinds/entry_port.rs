//! `ports` of a ServiceEntry.

use portcullis_model::UpstreamProtocol;

use super::upstream_protocol::{PROTOCOLS, protocol_by_name};
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::port;

/// One entry of `ports`.
#[derive(Clone, Debug)]
pub(crate) struct EntryPort {
    pub(crate) number: u16,
    pub(crate) name: Box<str>,
    /// Where endpoints that do not say otherwise listen.
    pub(crate) target: u16,
    pub(crate) protocol: UpstreamProtocol,
}

static PORT: Schema = Schema {
    what: "a ServiceEntry's port",
    served: &["number", "name", "targetPort", "protocol"],
    not_yet: &[],
    skipped: &[],
};

/// Reads the ports.
pub(super) fn read_ports(spec: &Fields<'_>) -> Vec<EntryPort> {
    let mut ports: Vec<EntryPort> = Vec::new();
    let Some(field) = spec.required("ports") else { return ports };
    for item in field.items() {
        let Some(port) = read_port(&item) else { continue };
        if ports.iter().any(|known| known.number == port.number) {
            let message = format!("the port {} is written twice", port.number);
            item.refuse(message, "remove one of them");
        } else if ports.iter().any(|known| known.name == port.name) {
            let message = format!("the port name `{}` is written twice", port.name);
            item.refuse(message, "rename one of them");
        } else {
            ports.push(port);
        }
    }
    ports
}

fn read_port(cursor: &Cursor<'_>) -> Option<EntryPort> {
    let fields = cursor.fields(&PORT)?;
    let target = fields.field("targetPort").and_then(|field| port(&field));
    let name = fields.required("name").and_then(|field| field.text()).unwrap_or_default();
    let protocol = match fields.field("protocol") {
        Some(field) => read_protocol(&field)?,
        None => UpstreamProtocol::default(),
    };
    let number = port(&fields.required("number")?)?;
    Some(EntryPort { number, name: name.into(), target: target.unwrap_or(number), protocol })
}

fn read_protocol(field: &Cursor<'_>) -> Option<UpstreamProtocol> {
    let text = field.text()?;
    if text.eq_ignore_ascii_case("UDP") {
        let help = "the port is left out; a gateway serves what runs over TCP";
        field.not_served(Gravity::Warns, "UDP is not served", help);
        return None;
    }
    let protocol = protocol_by_name(text);
    if protocol.is_none() {
        let help = format!("write one of: {}", PROTOCOLS.join(", "));
        field.refuse(format!("`{text}` is no protocol"), help);
    }
    protocol
}
