//! Istio's `VirtualService`.

use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::Origin;

use super::export_to::{Export, read_export_to};
use super::http_rule::{HttpRule, RULE, match_count, read_rule};
use super::tcp_rules::{TcpRule, read_tcp_rules};
use crate::codes;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::host_pattern;

/// A VirtualService.
#[derive(Clone, Debug)]
pub(crate) struct VirtualService {
    pub(crate) metadata: Metadata,
    /// None where other VirtualServices delegate to it.
    pub(crate) hosts: Vec<HostPattern>,
    /// Where the hosts are written.
    pub(crate) hosts_origin: Origin,
    /// The Gateways that it is bound to; the mesh is none.
    pub(crate) gateways: Vec<GatewayName>,
    /// The namespaces whose Gateways, or whose VirtualServices that delegate, see it.
    pub(crate) export: Export,
    /// Up to the first rule that takes every request; what follows it is never reached.
    pub(crate) rules: Vec<HttpRule>,
    /// Rules for connections: those of `tls`, then those of `tcp`.
    pub(crate) tcp_rules: Vec<TcpRule>,
}

/// A Gateway that a route names.
#[derive(Clone, Debug)]
pub(crate) struct GatewayName {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) origin: Origin,
    /// Which one of `spec.gateways` it is.
    pub(crate) index: usize,
}

impl GatewayName {
    /// As `ns/name`.
    pub(crate) fn full(&self) -> Arc<str> {
        format!("{}/{}", self.namespace, self.name).into()
    }
}

/// So many routes may come of one VirtualService for several hosts, or by delegates: a match for each host is one.
pub(crate) const MOST_ROUTES: usize = 200_000;

static SPEC: Schema = Schema {
    what: "a VirtualService",
    served: &["hosts", "gateways", "exportTo", "http", "tls", "tcp"],
    not_yet: &[],
    skipped: &[],
};
/// Reads a VirtualService.
pub(crate) fn read_virtual_service(raw: &RawObject, report: &Report) -> Option<VirtualService> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let (hosts, hosts_origin) = read_hosts(&spec);
    let is_delegate = spec.field("hosts").is_none_or(|field| field.is_empty_list());
    let gateways = match is_delegate {
        true => no_gateways(&spec),
        false => read_gateways(&spec, &metadata.id.namespace),
    };
    let export = read_export_to(spec.field("exportTo"));
    if ["http", "tls", "tcp"].iter().all(|name| spec.field(name).is_none()) {
        spec.missing("http", "without rules it routes nothing");
    }
    let own: Vec<Arc<str>> = gateways.iter().map(GatewayName::full).collect();
    let rules = read_rules(&spec, is_delegate, (&own, &metadata.id.namespace));
    let tcp_rules = match is_delegate {
        true => no_connections(&spec),
        false => read_tcp_rules(&spec, &hosts, (&own, &metadata.id.namespace)),
    };
    check_number(&spec, &hosts, &rules);
    Some(VirtualService { metadata, hosts, hosts_origin, gateways, export, rules, tcp_rules })
}

/// A short text with many of both would be more than a gateway holds; many rules for one host are a long text.
fn check_number(spec: &Fields<'_>, hosts: &[HostPattern], rules: &[HttpRule]) {
    let matches = match_count(rules);
    let is_too_much = hosts.len() > 1 && hosts.len() * matches > MOST_ROUTES;
    if let Some(field) = spec.field("http").filter(|_| is_too_much) {
        let message = format!(
            "{} hosts with {matches} matches each make {} routes, where an object may have {MOST_ROUTES}",
            hosts.len(),
            hosts.len() * matches,
        );
        let help = "write several VirtualServices, each with the rules that its hosts need";
        field.report(Gravity::Breaks, codes::TOO_MANY_ROUTES, message, help);
    }
}

fn read_rules(
    spec: &Fields<'_>,
    is_delegate: bool,
    own: (&[Arc<str>], &Arc<str>),
) -> Vec<HttpRule> {
    let mut rules: Vec<HttpRule> = Vec::new();
    let Some(field) = spec.field("http") else { return rules };
    for (index, item) in field.items().enumerate() {
        let Some(fields) = item.fields(&RULE) else { continue };
        if is_delegate && let Some(delegate) = fields.field("delegate") {
            let help = "only a VirtualService with `hosts` delegates: one level, as in Istio";
            delegate.refuse("a delegate cannot delegate further", help);
        }
        let Some(rule) = read_rule(&fields, index, own) else { continue };
        match rules.last().filter(|last| last.is_catch_all()) {
            Some(winner) => never_reached(&item, winner.index),
            None => rules.push(rule),
        }
    }
    rules.shrink_to_fit();
    rules
}

/// A delegate is reached through the Gateways of those that delegate to it.
fn no_gateways(spec: &Fields<'_>) -> Vec<GatewayName> {
    if let Some(field) = spec.field("gateways").filter(|field| !field.is_empty_list()) {
        field.refuse(
            "a VirtualService without `hosts` is one that others delegate to, and has no `gateways`",
            "write `hosts`, or remove `gateways`",
        );
    }
    Vec::new()
}

fn no_connections(spec: &Fields<'_>) -> Vec<TcpRule> {
    for list in ["tls", "tcp"] {
        if let Some(field) = spec.field(list) {
            let help = "write `hosts`, or remove these rules";
            field.refuse("a VirtualService without `hosts` has rules for requests alone", help);
        }
    }
    Vec::new()
}

fn never_reached(item: &Cursor<'_>, winner: usize) {
    item.report(
        Gravity::Warns,
        codes::UNREACHABLE_RULE,
        format!("this rule is never reached: spec.http[{winner}] takes every request"),
        "move the rule that takes everything to the end, or give it a match",
    );
}

fn read_hosts(spec: &Fields<'_>) -> (Vec<HostPattern>, Origin) {
    let mut hosts: Vec<HostPattern> = Vec::new();
    let Some(field) = spec.field("hosts") else { return (hosts, spec.cursor().origin()) };
    for item in field.items() {
        let Some(text) = item.text() else { continue };
        let Some(pattern) = host_pattern(&item, text) else { continue };
        if hosts.contains(&pattern) {
            let message = format!("the host `{pattern}` is written twice");
            item.report(Gravity::Warns, codes::BAD_VALUE, message, "remove one of them");
        } else {
            hosts.push(pattern);
        }
    }
    hosts.shrink_to_fit();
    (hosts, field.origin())
}

fn read_gateways(spec: &Fields<'_>, own: &Arc<str>) -> Vec<GatewayName> {
    let field = spec.field("gateways");
    let mut gateways: Vec<GatewayName> = Vec::new();
    for (index, item) in field.iter().flat_map(|field| field.items()).enumerate() {
        let Some(text) = item.text() else { continue };
        let (namespace, name) = match text.split_once('/') {
            // As in Istio, `.` is the object's own.
            Some((".", name)) => (own.clone(), name),
            Some((namespace, name)) => (namespace.into(), name),
            None => (own.clone(), text),
        };
        let known =
            gateways.iter().any(|known| known.namespace == namespace && *known.name == *name);
        if text != "mesh" && !known {
            gateways.push(GatewayName {
                namespace,
                name: name.into(),
                origin: item.origin(),
                index,
            });
        }
    }
    gateways.shrink_to_fit();
    let means_mesh = field.as_ref().is_none_or(|field| field.is_list_of("mesh"));
    if gateways.is_empty() && means_mesh {
        let (origin, place) = match &field {
            Some(field) => (field, "it names `mesh` alone"),
            None => (spec.cursor(), "it names no `gateways`, which means `mesh`"),
        };
        origin.report(
            Gravity::Warns,
            codes::MESH_ONLY,
            format!("the VirtualService is not served by a gateway: {place}"),
            "write `gateways` with the Gateway's name, or `namespace/name`",
        );
    }
    gateways
}
