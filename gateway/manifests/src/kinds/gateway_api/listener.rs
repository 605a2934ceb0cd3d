//! A listener of a Gateway or ListenerSet.

use std::collections::HashSet;
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{ListenerProtocol, Origin};

use super::allowed::{AllowedRoutes, read_allowed_routes};
use super::listener_tls::{ListenerTls, read_listener_tls};
use super::object_ref::filled;
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{host_pattern, port};

/// A listener.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiListener {
    pub(crate) origin: Origin,
    /// Which one of `spec.listeners` it is.
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    /// `Any` where none is written.
    pub(crate) hostname: HostPattern,
    pub(crate) port: u16,
    /// `None` for one that is not served.
    pub(crate) protocol: Option<ListenerProtocol>,
    /// `None` where no TLS is spoken.
    pub(crate) tls: Option<ListenerTls>,
    pub(crate) allowed: AllowedRoutes,
}

static LISTENER: Schema = Schema {
    what: "a listener",
    served: &["name", "hostname", "port", "protocol", "tls", "allowedRoutes"],
    not_yet: &[],
    skipped: &[],
};

/// As many as the API takes.
const MOST_LISTENERS: usize = 64;

/// Reads `listeners`.
pub(super) fn read_listeners(spec: &Fields<'_>, own: &Arc<str>) -> Vec<ApiListener> {
    let Some(field) = spec.required("listeners") else { return Vec::new() };
    if field.is_empty_list() {
        field.refuse("without listeners nothing is served", "write at least one");
    }
    let mut names = HashSet::new();
    let mut listeners = Vec::new();
    for (index, item) in field.items().enumerate() {
        if index == MOST_LISTENERS {
            item.refuse("there are more than 64 listeners", "put the others into a ListenerSet");
            break;
        }
        let Some(listener) = read_listener(&item, index, own) else { continue };
        if !names.insert(listener.name.clone()) {
            let message = format!("there is another listener `{}`", listener.name);
            item.refuse(message, "give each listener a name of its own");
        }
        listeners.push(listener);
    }
    listeners
}

fn read_listener(item: &Cursor<'_>, index: usize, own: &Arc<str>) -> Option<ApiListener> {
    let fields = item.fields(&LISTENER)?;
    let name = fields.required("name").and_then(|field| filled(&field));
    let number = fields.required("port").and_then(|field| port(&field));
    let protocol = read_protocol(&fields.required("protocol")?)?;
    let hostname = read_hostname(&fields, protocol)?;
    let tls = protocol.and_then(|protocol| read_listener_tls(&fields, protocol, own));
    let allowed = read_allowed_routes(&fields, protocol);
    Some(ApiListener {
        origin: item.origin(),
        index,
        name: name?.into(),
        hostname,
        port: number?,
        protocol,
        tls,
        allowed,
    })
}

/// `Some(None)` for one that is known, or may be another implementation's, but not served.
fn read_protocol(field: &Cursor<'_>) -> Option<Option<ListenerProtocol>> {
    match filled(field)? {
        "HTTP" => Some(Some(ListenerProtocol::Http)),
        "HTTPS" => Some(Some(ListenerProtocol::Https)),
        "TLS" => Some(Some(ListenerProtocol::Tls)),
        "TCP" => Some(Some(ListenerProtocol::Tcp)),
        text if text == "UDP" || text.contains('/') => {
            let message = format!("the protocol {text} is known, but not served");
            let help = "nothing listens for this listener; HTTP, HTTPS, TLS and TCP are served";
            field.not_served(Gravity::Degrades, message, help);
            Some(None)
        }
        text => {
            let message = format!("`{text}` is no protocol");
            let help =
                "write HTTP, HTTPS, TLS or TCP; until then nothing listens for this listener";
            field.report(Gravity::Degrades, codes::BAD_VALUE, message, help);
            Some(None)
        }
    }
}

fn read_hostname(fields: &Fields<'_>, protocol: Option<ListenerProtocol>) -> Option<HostPattern> {
    let Some(field) = fields.field("hostname").filter(|field| !field.is_empty_text()) else {
        return Some(HostPattern::Any);
    };
    if protocol == Some(ListenerProtocol::Tcp) {
        field.refuse("a listener of protocol TCP knows no host", "remove the hostname");
        return None;
    }
    read_host(&field)
}

/// Reads a host or wildcard. `*` alone is not Gateway API's: there nothing is written for every host.
pub(super) fn read_host(field: &Cursor<'_>) -> Option<HostPattern> {
    match host_pattern(field, field.text()?)? {
        HostPattern::Any => {
            field.refuse("`*` is no hostname here", "leave it out to take every host");
            None
        }
        pattern => Some(pattern),
    }
}
