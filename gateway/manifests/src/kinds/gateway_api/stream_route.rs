//! `TLSRoute` and `TCPRoute`: where the bytes of connections go.

use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::Origin;

use super::allowed::RouteKind;
use super::backend_ref::{BackendRef, read_plain_backends};
use super::listener::read_host;
use super::parent_ref::{ParentRef, read_parent_refs};
use crate::codes;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};

/// A TLSRoute or TCPRoute.
#[derive(Clone, Debug)]
pub(crate) struct StreamRoute {
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) kind: RouteKind,
    pub(crate) parents: Vec<ParentRef>,
    /// Of a TLSRoute; none at all are those of the listener.
    pub(crate) hostnames: Vec<HostPattern>,
    pub(crate) hostnames_origin: Origin,
    /// The first rule, which takes every connection.
    pub(crate) rule: StreamRule,
}

/// A rule of such a route.
#[derive(Clone, Debug)]
pub(crate) struct StreamRule {
    pub(crate) origin: Origin,
    pub(crate) name: Option<Box<str>>,
    pub(crate) backends: Vec<BackendRef>,
}

static TLS_ROUTE: Schema = Schema {
    what: "a TLSRoute",
    served: &["parentRefs", "hostnames", "rules"],
    not_yet: &["useDefaultGateways"],
    skipped: &[],
};
static TCP_ROUTE: Schema = Schema {
    what: "a TCPRoute",
    served: &["parentRefs", "rules"],
    not_yet: &["useDefaultGateways"],
    skipped: &[],
};
static RULE: Schema =
    Schema { what: "a rule", served: &["name", "backendRefs"], not_yet: &[], skipped: &[] };

/// Reads a TLSRoute or TCPRoute.
pub(in crate::kinds) fn read_stream_route(
    raw: &RawObject,
    kind: RouteKind,
    report: &Report,
) -> Option<StreamRoute> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let schema = if kind == RouteKind::Tls { &TLS_ROUTE } else { &TCP_ROUTE };
    let spec = spec.fields(schema)?;
    let own = metadata.id.namespace.clone();
    let parents = read_parent_refs(&spec, &own);
    let field = spec.field("hostnames");
    let hostnames_origin = field.as_ref().map_or_else(|| spec.cursor().origin(), Cursor::origin);
    let hostnames = field.iter().flat_map(|field| field.items());
    let hostnames = hostnames.filter_map(|item| read_host(&item)).collect();
    let rule = read_rules(&spec, &own)?;
    let metadata = Arc::new(metadata);
    Some(StreamRoute { metadata, kind, parents, hostnames, hostnames_origin, rule })
}

/// The first rule. Without conditions no other one is ever reached.
fn read_rules(spec: &Fields<'_>, own: &Arc<str>) -> Option<StreamRule> {
    let field = spec.required("rules")?;
    let mut first = None;
    for item in field.items() {
        let rule = item.fields(&RULE).map(|rule| read_rule(&rule, own));
        if first.is_some() {
            let message = "this rule is never reached: the first one takes every connection";
            let help = "write its backends into the first rule, each with a weight";
            item.report(Gravity::Warns, codes::UNREACHABLE_RULE, message, help);
        }
        first = first.or(rule);
    }
    if field.is_empty_list() {
        field.refuse("a route without rules takes no connection", "write one with `backendRefs`");
    }
    first
}

fn read_rule(rule: &Fields<'_>, own: &Arc<str>) -> StreamRule {
    let backends = read_plain_backends(rule, own);
    if rule.field("backendRefs").is_none_or(|field| field.is_empty_list()) {
        rule.missing("backendRefs", "a rule for connections needs at least one backend");
    }
    let name = rule.field("name").and_then(|field| field.text());
    StreamRule {
        origin: rule.cursor().origin(),
        name: name.filter(|name| !name.is_empty()).map(Into::into),
        backends,
    }
}
