//! `GRPCRoute`: its methods are paths, so it comes to an HTTPRoute.

use std::sync::Arc;

use super::allowed::RouteKind;
use super::grpc_match::{any_method, read_grpc_match};
use super::http_route::{
    HttpRoute, HttpRouteRule, check_names, read_hostnames, read_route_backend,
};
use super::object_ref::filled;
use super::parent_ref::read_parent_refs;
use super::route_filter::{FilterOwner, read_filters};
use super::route_times::RouteTimes;
use crate::metadata::{OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Schema};
use crate::report::Report;

static GRPC_ROUTE: Schema = Schema {
    what: "a GRPCRoute",
    served: &["parentRefs", "hostnames", "rules"],
    not_yet: &["useDefaultGateways"],
    skipped: &[],
};
static RULE: Schema = Schema {
    what: "a rule",
    served: &["name", "matches", "filters", "backendRefs"],
    not_yet: &["sessionPersistence"],
    skipped: &[],
};

/// Reads a GRPCRoute.
pub(in crate::kinds) fn read_grpc_route(raw: &RawObject, report: &Report) -> Option<HttpRoute> {
    let metadata = Arc::new(read_metadata(raw, report));
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&GRPC_ROUTE)?;
    let own = &metadata.id.namespace;
    let (hostnames, hostnames_origin) = read_hostnames(&spec);
    let field = spec.required("rules");
    let items = field.iter().flat_map(|field| field.items()).enumerate();
    let rules: Vec<HttpRouteRule> =
        items.filter_map(|(index, item)| read_rule(&item, index, own)).collect();
    check_names(&rules, &spec);
    let parents = read_parent_refs(&spec, own);
    let kind = RouteKind::Grpc;
    Some(HttpRoute { parents, kind, hostnames, hostnames_origin, rules, metadata })
}

fn read_rule(item: &Cursor<'_>, index: usize, own: &Arc<str>) -> Option<HttpRouteRule> {
    let fields = item.fields(&RULE)?;
    let name = match fields.field("name") {
        Some(field) => Some(filled(&field)?.into()),
        None => None,
    };
    let matches = match fields.field("matches").filter(|field| !field.is_empty_list()) {
        Some(field) => field.items().filter_map(|item| read_grpc_match(&item)).collect(),
        None => vec![any_method()],
    };
    let (matches, specificities) = matches.into_iter().unzip();
    let filters = read_filters(&fields, own, FilterOwner::GrpcRule);
    let backends = fields.field("backendRefs");
    let backends = backends
        .iter()
        .flat_map(|field| field.items())
        .filter_map(|item| read_route_backend(&item, own, FilterOwner::GrpcBackend))
        .collect();
    let times = RouteTimes::default();
    let origin = item.origin();
    Some(HttpRouteRule { origin, index, name, matches, specificities, filters, backends, times })
}
