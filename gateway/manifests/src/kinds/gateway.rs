//! Istio's `Gateway`.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{ListenerProtocol, ManifestDemand, ObjectId, Origin};

use crate::codes;
use crate::kinds::edge_setting::PlacedSetting;
use crate::kinds::gateway_annotations::{
    RouteOrder, read_annotations, read_manifest_demand, read_route_order,
};
use crate::kinds::gateway_protocol::read_protocol_and_tls;
use crate::kinds::gateway_tls::TLS;
use crate::kinds::gateway_tls_settings::ServerTls;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::{host_pattern, port};

/// A Gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) metadata: Metadata,
    /// `gatewayClassName`, of one of Gateway API.
    pub(crate) class: Option<Arc<str>>,
    /// Labels of the workloads that it is for; none is for all.
    pub(crate) selector: Vec<(String, String)>,
    pub(crate) servers: Vec<Server>,
    /// What its annotations set.
    pub(crate) settings: Vec<PlacedSetting>,
    /// Whether plugins that it serves need a manifest.
    pub(crate) manifest_demand: ManifestDemand,
    /// In which order the rules of its VirtualServices are tried.
    pub(crate) route_order: RouteOrder,
}

/// One of its servers; those that are not served yet are left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Server {
    pub(crate) origin: Origin,
    /// The object that it is written in, where that is not its Gateway: a ListenerSet.
    pub(crate) owner: Option<ObjectId>,
    /// Where in its object it stands, as `spec.servers[0]`.
    pub(crate) field: Arc<str>,
    /// Where in its object its TLS stands, as `spec.servers[0].tls`.
    pub(crate) tls_field: Arc<str>,
    /// Its own name, else its port's.
    pub(crate) name: Arc<str>,
    pub(crate) port: u16,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) protocol: ListenerProtocol,
    pub(crate) hosts: Vec<ServerHost>,
    pub(crate) https_redirect: bool,
    /// How TLS ends at it.
    pub(crate) tls: Option<ServerTls>,
}

impl Gateway {
    /// Whether it is written as Istio's, which VirtualServices name.
    pub(crate) fn is_of_istio(&self) -> bool {
        self.metadata.id.group.is_empty() && *self.metadata.id.kind == *"Gateway"
    }
}

impl Server {
    /// The object that it is written in, where this is its Gateway.
    pub(crate) fn object<'s>(&'s self, gateway: &'s ObjectId) -> &'s ObjectId {
        self.owner.as_ref().unwrap_or(gateway)
    }

    /// The path of its protocol.
    pub(crate) fn protocol_field(&self) -> String {
        let is_listener = self.field.starts_with("spec.listeners");
        format!("{}.{}", self.field, if is_listener { "protocol" } else { "port.protocol" })
    }

    /// The path of its hosts.
    pub(crate) fn hosts_field(&self) -> String {
        let is_listener = self.field.starts_with("spec.listeners");
        format!("{}.{}", self.field, if is_listener { "hostname" } else { "hosts" })
    }

    /// Whether TLS ends at it.
    pub(crate) fn ends_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// A host that a server takes, for the routes of some namespaces.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerHost {
    /// `None` for the routes of every namespace.
    pub(crate) namespace: Option<Arc<str>>,
    pub(crate) pattern: HostPattern,
}

static GATEWAY: Schema =
    Schema { what: "a Gateway", served: &["selector", "servers"], not_yet: &[], skipped: &[] };
static SERVER: Schema = Schema {
    what: "a server",
    served: &["port", "bind", "hosts", "tls", "name"],
    not_yet: &["defaultEndpoint"],
    skipped: &[],
};
static PORT: Schema = Schema {
    what: "a server's port",
    served: &["number", "name", "protocol"],
    not_yet: &["targetPort"],
    skipped: &[],
};
/// Reads a Gateway.
pub(crate) fn read_gateway(raw: &RawObject, report: &Report) -> Option<Gateway> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&GATEWAY)?;
    let selector = spec.field("selector").map(|field| field.text_map()).unwrap_or_default();
    let servers = spec.required("servers");
    let servers = servers.map(|field| read_servers(&field, &metadata.id.namespace));
    let servers = servers.unwrap_or_default();
    let settings = read_annotations(raw, report);
    let manifest_demand = read_manifest_demand(raw, report);
    let route_order = read_route_order(raw, report);
    let class = None;
    Some(Gateway { metadata, class, selector, servers, settings, manifest_demand, route_order })
}

fn read_servers(field: &Cursor<'_>, namespace: &Arc<str>) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for item in field.items() {
        let read = item.fields(&SERVER).and_then(|server| read_server(&server, namespace));
        let Some(server) = read else { continue };
        if let Some(other) = servers.iter().find(|other| other.name == server.name) {
            warn_of_name(&item, &server, other);
        }
        servers.push(server);
    }
    servers
}

/// Istio refuses it. Here the names are what policies, plugins and logs tell servers apart by.
fn warn_of_name(item: &Cursor<'_>, server: &Server, other: &Server) {
    let message = format!("{} is called `{}` too", other.field, server.name);
    let help = "give each server a `port.name` of its own: targets and logs tell them apart by it";
    item.report(Gravity::Warns, codes::BAD_VALUE, message, help);
}

fn read_server(fields: &Fields<'_>, namespace: &Arc<str>) -> Option<Server> {
    let hosts = read_hosts(fields, namespace);
    let bind = fields.field("bind").and_then(|field| read_bind(&field));
    let port_field = fields.required("port")?;
    let port_fields = port_field.fields(&PORT)?;
    let number = port_fields.required("number").and_then(|field| port(&field));
    let protocol = port_fields.required("protocol")?;
    let tls = fields.field("tls");
    let tls = tls.as_ref().and_then(|field| field.fields(&TLS));
    let https_redirect = tls.as_ref().and_then(|tls| tls.field("httpsRedirect"));
    let https_redirect = https_redirect.and_then(|field| field.boolean()).unwrap_or(false);
    let (protocol, ends_tls) = read_protocol_and_tls(fields, &protocol, tls.as_ref(), namespace)?;
    let name = [fields.field("name"), port_fields.field("name")];
    let name = name.iter().flatten().find_map(|field| field.text());
    Some(Server {
        origin: fields.cursor().origin(),
        owner: None,
        field: fields.cursor().path().into(),
        tls_field: format!("{}.tls", fields.cursor().path()).into(),
        name: name.map_or_else(|| number.unwrap_or_default().to_string().into(), Into::into),
        port: number?,
        bind,
        protocol,
        hosts,
        https_redirect,
        tls: ends_tls,
    })
}

fn read_bind(field: &Cursor<'_>) -> Option<IpAddr> {
    let text = field.text()?;
    let address = text.parse().ok();
    if address.is_none() {
        field.refuse(format!("`{text}` is no IP address"), "write an IPv4 or IPv6 address");
    }
    address
}

fn read_hosts(fields: &Fields<'_>, own: &Arc<str>) -> Vec<ServerHost> {
    let mut hosts = Vec::new();
    let Some(field) = fields.required("hosts") else { return hosts };
    for item in field.items() {
        let Some(text) = item.text() else { continue };
        let (namespace, dns) = match text.split_once('/') {
            None | Some(("*", _)) => (None, text.strip_prefix("*/").unwrap_or(text)),
            Some((".", dns)) => (Some(own.clone()), dns),
            Some((namespace, dns)) => (Some(namespace.into()), dns),
        };
        hosts.extend(host_pattern(&item, dns).map(|pattern| ServerHost { namespace, pattern }));
    }
    if field.is_empty_list() {
        field.refuse("a server without hosts takes no request", "write `*` for every host");
    }
    hosts
}
