//! `HTTPRoute`.

use std::collections::HashSet;
use std::sync::Arc;

use portcullis_filters::{PathRewrite, RedirectPath};
use portcullis_message::HostPattern;
use portcullis_model::{Origin, PathMatch, RequestMatch};

use super::allowed::RouteKind;
use super::backend_ref::{BackendRef, read_backend};
use super::http_match::{read_http_match, specificity};
use super::listener::read_host;
use super::object_ref::filled;
use super::parent_ref::{ParentRef, read_parent_refs};
use super::route_filter::{FilterOwner, RouteFilters, read_filters};
use super::route_times::{RouteTimes, read_times};
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};

/// An HTTPRoute, or a GRPCRoute as the HTTPRoute that it comes to.
#[derive(Clone, Debug)]
pub(crate) struct HttpRoute {
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) kind: RouteKind,
    pub(crate) parents: Vec<ParentRef>,
    /// None at all are those of the listener.
    pub(crate) hostnames: Vec<HostPattern>,
    pub(crate) hostnames_origin: Origin,
    pub(crate) rules: Vec<HttpRouteRule>,
}

/// One of its rules.
#[derive(Clone, Debug)]
pub(crate) struct HttpRouteRule {
    pub(crate) origin: Origin,
    pub(crate) index: usize,
    pub(crate) name: Option<Arc<str>>,
    /// Never empty.
    pub(crate) matches: Vec<RequestMatch>,
    /// Of each match, how specific it is: the weightiest number first.
    pub(crate) specificities: Vec<[usize; 5]>,
    pub(crate) filters: RouteFilters,
    pub(crate) backends: Vec<RouteBackend>,
    pub(crate) times: RouteTimes,
}

/// A backend with filters of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouteBackend {
    pub(crate) backend: BackendRef,
    pub(crate) filters: RouteFilters,
}

static HTTP_ROUTE: Schema = Schema {
    what: "an HTTPRoute",
    served: &["parentRefs", "hostnames", "rules"],
    not_yet: &["useDefaultGateways"],
    skipped: &[],
};
static RULE: Schema = Schema {
    what: "a rule",
    served: &["name", "matches", "filters", "backendRefs", "timeouts", "retry"],
    not_yet: &["sessionPersistence"],
    skipped: &[],
};
pub(super) static HTTP_BACKEND: Schema = Schema {
    what: "a backend",
    served: &["group", "kind", "namespace", "name", "port", "weight", "filters"],
    not_yet: &[],
    skipped: &[],
};

/// Reads an HTTPRoute.
pub(in crate::kinds) fn read_http_route(raw: &RawObject, report: &Report) -> Option<HttpRoute> {
    let metadata = Arc::new(read_metadata(raw, report));
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&HTTP_ROUTE)?;
    let own = &metadata.id.namespace;
    let (hostnames, hostnames_origin) = read_hostnames(&spec);
    let mut rules = Vec::new();
    match spec.field("rules") {
        Some(field) => {
            let read = |(index, item)| read_rule(&item, index, own);
            rules.extend(field.items().enumerate().filter_map(read));
        }
        // By the API's default there is one that takes everything, and leads nowhere.
        None => spec.cursor().report(
            Gravity::Warns,
            crate::codes::MISSING,
            "the route has no `rules`",
            "write one with `backendRefs`",
        ),
    }
    check_names(&rules, &spec);
    let parents = read_parent_refs(&spec, own);
    let kind = RouteKind::Http;
    Some(HttpRoute { parents, kind, hostnames, hostnames_origin, rules, metadata })
}

/// Reads `hostnames`, and where they are written.
pub(super) fn read_hostnames(spec: &Fields<'_>) -> (Vec<HostPattern>, Origin) {
    let field = spec.field("hostnames");
    let origin = field.as_ref().map_or_else(|| spec.cursor().origin(), Cursor::origin);
    let hosts = field.iter().flat_map(|field| field.items()).filter_map(|item| read_host(&item));
    (hosts.collect(), origin)
}

fn read_rule(item: &Cursor<'_>, index: usize, own: &Arc<str>) -> Option<HttpRouteRule> {
    let fields = item.fields(&RULE)?;
    let name = match fields.field("name") {
        Some(field) => Some(filled(&field)?.into()),
        None => None,
    };
    let matches: Vec<RequestMatch> =
        match fields.field("matches").filter(|field| !field.is_empty_list()) {
            Some(field) => field.items().filter_map(|item| read_http_match(&item)).collect(),
            None => vec![everything()],
        };
    let filters = read_filters(&fields, own, FilterOwner::HttpRule);
    let backends = fields.field("backendRefs");
    let backends: Vec<RouteBackend> = backends
        .iter()
        .flat_map(|field| field.items())
        .filter_map(|item| read_route_backend(&item, own, FilterOwner::HttpBackend))
        .collect();
    if filters.redirect.is_some() && !backends.is_empty() {
        item.refuse("a rule that redirects sends nothing to backends", "remove `backendRefs`");
    }
    let mut all = vec![&filters];
    all.extend(backends.iter().map(|backend| &backend.filters));
    if all.iter().any(|filters| replaces_prefix(filters)) && !matches.iter().all(is_prefix) {
        let help = "match by PathPrefix alone, or write `ReplaceFullPath`";
        item.refuse("`ReplacePrefixMatch` needs a prefix to replace in every match", help);
    }
    let times = read_times(&fields);
    let specificities = matches.iter().map(specificity).collect();
    let origin = item.origin();
    Some(HttpRouteRule { origin, index, name, matches, specificities, filters, backends, times })
}

/// Reads a backend with filters.
pub(super) fn read_route_backend(
    item: &Cursor<'_>,
    own: &Arc<str>,
    owner: FilterOwner,
) -> Option<RouteBackend> {
    let fields = item.fields(&HTTP_BACKEND)?;
    let filters = read_filters(&fields, own, owner);
    Some(RouteBackend { backend: read_backend(&fields, own)?, filters })
}

/// The match of a rule that names none: the prefix `/`.
fn everything() -> RequestMatch {
    RequestMatch { path: Some(PathMatch::Segments("".into())), ..RequestMatch::default() }
}

fn is_prefix(condition: &RequestMatch) -> bool {
    matches!(condition.path, Some(PathMatch::Segments(_)))
}

fn replaces_prefix(filters: &RouteFilters) -> bool {
    let of_redirect = filters.redirect.as_ref().map(|redirect| &redirect.path);
    matches!(of_redirect, Some(RedirectPath::Prefix(PathRewrite::Matched(_))))
        || matches!(filters.path_rewrite, Some(PathRewrite::Matched(_)))
}

/// Reports names that two rules have.
pub(super) fn check_names(rules: &[HttpRouteRule], spec: &Fields<'_>) {
    let mut seen = HashSet::new();
    for name in rules.iter().filter_map(|rule| rule.name.as_ref()) {
        if !seen.insert(name) {
            let message = format!("two rules have the name `{name}`");
            spec.cursor().refuse(message, "give each rule a name of its own");
        }
    }
}
