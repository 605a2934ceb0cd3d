//! Istio's `VirtualService`.

use std::sync::Arc;
use std::time::Duration;

use portcullis_message::HostPattern;
use portcullis_model::{Origin, RequestMatch, RetryPolicy};

use super::header_operations::{Headers, read_headers};
use super::mirrors::{RuleMirror, read_mirrors};
use super::request_match::read_matches;
use super::retries::read_retries;
use super::route_action::{RouteAction, read_action};
use super::tcp_rules::{TcpRule, read_tcp_rules};
use crate::codes;
use crate::draft::RawObject;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::{duration, host_pattern};

/// A VirtualService.
#[derive(Clone, Debug)]
pub(crate) struct VirtualService {
    pub(crate) metadata: Metadata,
    pub(crate) hosts: Vec<HostPattern>,
    /// Where the hosts are written.
    pub(crate) hosts_origin: Origin,
    /// The Gateways that it is bound to; the mesh is none.
    pub(crate) gateways: Vec<GatewayName>,
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

/// One entry of `http`.
#[derive(Clone, Debug)]
pub(crate) struct HttpRule {
    pub(crate) origin: Origin,
    /// Which one of `spec.http` it is.
    pub(crate) index: usize,
    pub(crate) name: Option<Box<str>>,
    pub(crate) matches: Vec<RequestMatch>,
    pub(crate) action: RouteAction,
    pub(crate) headers: Headers,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: RetryPolicy,
    pub(crate) mirrors: Vec<RuleMirror>,
}

static SPEC: Schema = Schema {
    what: "a VirtualService",
    served: &["hosts", "gateways", "http", "tls", "tcp"],
    not_yet: &["exportTo"],
    skipped: &[],
};
static RULE: Schema = Schema {
    what: "an HTTP rule",
    served: &[
        "name",
        "match",
        "route",
        "redirect",
        "directResponse",
        "rewrite",
        "timeout",
        "headers",
        "delegate",
        "retries",
        "mirror",
        "mirrors",
        "mirrorPercent",
        "mirror_percent",
        "mirrorPercentage",
    ],
    not_yet: &["fault", "corsPolicy"],
    skipped: &[],
};

/// Reads a VirtualService.
pub(crate) fn read_virtual_service(raw: &RawObject, report: &Report) -> Option<VirtualService> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let (hosts, hosts_origin) = read_hosts(&spec);
    let gateways = read_gateways(&spec, &metadata.id.namespace);
    if ["http", "tls", "tcp"].iter().all(|name| spec.field(name).is_none()) {
        spec.missing("http", "without rules it routes nothing");
    }
    let mut rules: Vec<HttpRule> = Vec::new();
    if let Some(field) = spec.field("http") {
        for (index, item) in field.items().enumerate() {
            let Some(rule) = item.fields(&RULE).and_then(|rule| read_rule(&rule, index)) else {
                continue;
            };
            match rules.last().filter(|last| is_catch_all(&last.matches)) {
                Some(winner) => never_reached(&item, winner.index),
                None => rules.push(rule),
            }
        }
    }
    let tcp_rules = read_tcp_rules(&spec, &hosts, &metadata.id.namespace);
    Some(VirtualService { metadata, hosts, hosts_origin, gateways, rules, tcp_rules })
}

/// Whether a rule with these matches takes every request.
pub(crate) fn is_catch_all(matches: &[RequestMatch]) -> bool {
    matches.is_empty() || matches.iter().any(RequestMatch::is_catch_all)
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
    let Some(field) = spec.required("hosts") else { return (hosts, spec.cursor().origin()) };
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
    if field.is_empty_list() {
        field.refuse("a VirtualService without hosts routes nothing", "write `*` for every host");
    }
    (hosts, field.origin())
}

fn read_gateways(spec: &Fields<'_>, own: &Arc<str>) -> Vec<GatewayName> {
    let field = spec.field("gateways");
    let mut gateways: Vec<GatewayName> = Vec::new();
    for (index, item) in field.iter().flat_map(|field| field.items()).enumerate() {
        let Some(text) = item.text() else { continue };
        let (namespace, name) = match text.split_once('/') {
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

fn read_rule(fields: &Fields<'_>, index: usize) -> Option<HttpRule> {
    let name = fields.field("name").and_then(|field| field.text());
    let matches = fields.field("match").map(|field| read_matches(&field)).unwrap_or_default();
    let headers = fields.field("headers").map(|field| read_headers(&field)).unwrap_or_default();
    let timeout = fields.field("timeout").and_then(|field| duration(&field));
    let retries = fields.field("retries").and_then(|field| read_retries(&field, &matches));
    let mirrors = read_mirrors(fields);
    let action = read_action(fields)?;
    Some(HttpRule {
        origin: fields.cursor().origin(),
        index,
        name: name.filter(|name| !name.is_empty()).map(Into::into),
        matches,
        action,
        headers,
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
        retries: retries.unwrap_or_default(),
        mirrors,
    })
}
