//! A VirtualService's `tls` and `tcp`: rules for connections whose bytes are passed on.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use portcullis_message::HostPattern;
use portcullis_model::{Origin, RequestMatch};

use super::route_action::{RouteDestination, read_destinations};
use super::workload_source::{SourceMatch, read_source};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{host_pattern, port};

/// Which list a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TcpList {
    /// `tls`: for servers that pass TLS on.
    Tls,
    /// `tcp`: for servers of plain bytes, or whose TLS ends here.
    Tcp,
}

/// One entry of `tls` or `tcp`.
#[derive(Clone, Debug)]
pub(crate) struct TcpRule {
    pub(crate) origin: Origin,
    pub(crate) list: TcpList,
    /// Which one of the list it is.
    pub(crate) index: usize,
    /// Any of these; none at all, in `tcp`, is every connection.
    pub(crate) matches: Vec<TcpMatch>,
    pub(crate) destinations: Vec<RouteDestination>,
}

/// Conditions that all have to hold.
#[derive(Clone, Debug)]
pub(crate) struct TcpMatch {
    pub(crate) origin: Origin,
    /// Any of these server names; only in `tls`, and never none there.
    pub(crate) server_names: Vec<HostPattern>,
    pub(crate) port: Option<u16>,
    /// Any of these Gateways, as `ns/name`; none is all of the VirtualService's.
    pub(crate) gateways: Vec<Arc<str>>,
    /// What it asks of the gateway.
    pub(crate) source: SourceMatch,
    /// Any of these addresses that the connection came to; none is every one.
    pub(crate) destination_subnets: Vec<IpNet>,
    /// Any of these addresses that it came from; none is every one. Only in `tcp`.
    pub(crate) source_subnets: Vec<IpNet>,
    /// It names Gateways, but none of the route's own: never matches.
    pub(crate) never: bool,
}

static TLS_RULE: Schema =
    Schema { what: "a TLS rule", served: &["match", "route"], not_yet: &[], skipped: &[] };
static TCP_RULE: Schema =
    Schema { what: "a TCP rule", served: &["match", "route"], not_yet: &[], skipped: &[] };
static TLS_MATCH: Schema = Schema {
    what: "a TLS match",
    served: &[
        "sniHosts",
        "destinationSubnets",
        "port",
        "sourceLabels",
        "gateways",
        "sourceNamespace",
    ],
    not_yet: &[],
    skipped: &[],
};
static TCP_MATCH: Schema = Schema {
    what: "a TCP match",
    served: &[
        "destinationSubnets",
        "port",
        "sourceSubnet",
        "sourceLabels",
        "gateways",
        "sourceNamespace",
    ],
    not_yet: &[],
    skipped: &[],
};
static WEIGHTED: Schema = Schema {
    what: "a weighted destination",
    served: &["destination", "weight"],
    not_yet: &[],
    skipped: &[],
};

impl TcpList {
    /// Its field.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            TcpList::Tls => "tls",
            TcpList::Tcp => "tcp",
        }
    }
}

impl TcpRule {
    /// Where it stands, as `spec.tls[0]`.
    pub(crate) fn field(&self) -> String {
        format!("spec.{}[{}]", self.list.as_str(), self.index)
    }

    fn is_catch_all(&self) -> bool {
        let all = |found: &TcpMatch| {
            let of_gateway = found.gateways.is_empty() && found.source.is_empty() && !found.never;
            let of_peers = found.destination_subnets.is_empty() && found.source_subnets.is_empty();
            found.port.is_none() && of_gateway && of_peers
        };
        self.list == TcpList::Tcp && (self.matches.is_empty() || self.matches.iter().any(all))
    }
}

/// Reads both lists of a VirtualService with these hosts; `own` are its Gateways, as `ns/name`, and its namespace.
pub(crate) fn read_tcp_rules(
    spec: &Fields<'_>,
    hosts: &[HostPattern],
    own: (&[Arc<str>], &Arc<str>),
) -> Vec<TcpRule> {
    let mut rules: Vec<TcpRule> = Vec::new();
    for (list, schema) in [(TcpList::Tls, &TLS_RULE), (TcpList::Tcp, &TCP_RULE)] {
        let Some(field) = spec.field(list.as_str()) else { continue };
        for (index, item) in field.items().enumerate() {
            let rule = item.fields(schema);
            let rule = rule.and_then(|rule| read_rule(&rule, list, index, hosts, own));
            let winner = rules.last().filter(|last| last.list == list && last.is_catch_all());
            match (rule, winner) {
                (Some(_), Some(winner)) => item.report(
                    Gravity::Warns,
                    codes::UNREACHABLE_RULE,
                    format!(
                        "this rule is never reached: {} takes every connection",
                        winner.field()
                    ),
                    "move the rule that takes everything to the end, or give it a match",
                ),
                (rule, _) => rules.extend(rule),
            }
        }
    }
    rules
}

fn read_rule(
    fields: &Fields<'_>,
    list: TcpList,
    index: usize,
    hosts: &[HostPattern],
    own: (&[Arc<str>], &Arc<str>),
) -> Option<TcpRule> {
    let schema = match list {
        TcpList::Tls => &TLS_MATCH,
        TcpList::Tcp => &TCP_MATCH,
    };
    let mut matches = Vec::new();
    let field = fields.field("match");
    for item in field.iter().flat_map(|field| field.items()) {
        let found = item.fields(schema);
        matches.extend(found.and_then(|found| read_match(&found, list, hosts, own)));
    }
    if list == TcpList::Tls && field.as_ref().is_none_or(|field| field.is_empty_list()) {
        fields.missing("match", "a TLS rule needs a match with `sniHosts`");
    }
    let destinations = read_destinations(&fields.required("route")?, &WEIGHTED)?;
    Some(TcpRule { origin: fields.cursor().origin(), list, index, matches, destinations })
}

fn read_match(
    fields: &Fields<'_>,
    list: TcpList,
    hosts: &[HostPattern],
    own: (&[Arc<str>], &Arc<str>),
) -> Option<TcpMatch> {
    let server_names = match list {
        TcpList::Tls => read_server_names(fields, hosts)?,
        TcpList::Tcp => Vec::new(),
    };
    let mut held = RequestMatch::default();
    let source = read_source(fields, own, &mut held);
    let destinations = fields.field("destinationSubnets");
    let destinations = destinations.iter().flat_map(|field| field.items());
    let from = fields.field("sourceSubnet").filter(|field| !field.is_empty_text());
    Some(TcpMatch {
        origin: fields.cursor().origin(),
        server_names,
        port: fields.field("port").and_then(|field| port(&field)),
        gateways: held.gateways,
        source,
        destination_subnets: destinations.filter_map(|item| subnet(&item)).collect(),
        source_subnets: from.and_then(|field| subnet(&field)).into_iter().collect(),
        never: held.never,
    })
}

/// An address, or a network of them.
fn subnet(item: &Cursor<'_>) -> Option<IpNet> {
    let text = item.text()?;
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let found = text.parse::<IpNet>().ok().or_else(address);
    if found.is_none() {
        let message = format!("`{text}` is no address and no network");
        item.refuse(message, "write `10.0.0.7` or `10.0.0.0/8`");
    }
    found
}

/// As in Istio, each name has to be one of the VirtualService's hosts.
fn read_server_names(fields: &Fields<'_>, hosts: &[HostPattern]) -> Option<Vec<HostPattern>> {
    let Some(field) = fields.field("sniHosts") else {
        fields.missing("sniHosts", "name the servers that clients ask for, `*` for every one");
        return None;
    };
    if field.is_empty_list() {
        field.refuse("a TLS match without names takes no connection", "write `*` for every name");
    }
    let mut names = Vec::new();
    for item in field.items() {
        let Some(pattern) = item.text().and_then(|text| host_pattern(&item, text)) else {
            continue;
        };
        if hosts.iter().any(|host| host.contains(&pattern)) {
            names.push(pattern);
        } else {
            let message = format!("`{pattern}` is none of the VirtualService's hosts");
            item.refuse(message, "add it to `spec.hosts`, or correct it");
        }
    }
    Some(names)
}
