//! `filters` of a route's rule or backend.

use std::sync::Arc;

use portcullis_filters::{CorsPolicy, HeaderOperations, PathRewrite, Redirect};

use super::super::mirrors::refuse_many;
use super::cors_filter::read_cors_filter;
use super::header_modifier::read_header_modifier;
use super::mirror_filter::{MirrorRef, read_mirror_filter};
use super::path_modifier::{read_redirect, read_url_rewrite};
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::suggest::closest;

/// What filters do, all together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RouteFilters {
    pub(crate) request_headers: HeaderOperations,
    pub(crate) response_headers: HeaderOperations,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) path_rewrite: Option<PathRewrite>,
    pub(crate) authority_rewrite: Option<Box<str>>,
    pub(crate) mirrors: Vec<MirrorRef>,
    pub(crate) cors: Option<CorsPolicy>,
    /// A filter that is not served: what it would have filtered must not be served without it.
    pub(crate) unserved: Option<Arc<str>>,
}

/// Whose filters they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterOwner {
    HttpRule,
    HttpBackend,
    GrpcRule,
    GrpcBackend,
}

static FILTER: Schema = Schema {
    what: "a filter",
    served: &[
        "type",
        "requestHeaderModifier",
        "responseHeaderModifier",
        "requestMirror",
        "requestRedirect",
        "urlRewrite",
        "cors",
        "extensionRef",
        "externalAuth",
    ],
    not_yet: &[],
    skipped: &[],
};

/// The types with the field in which each is written.
const TYPES: [(&str, &str); 8] = [
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("CORS", "cors"),
    ("ExtensionRef", "extensionRef"),
    ("ExternalAuth", "externalAuth"),
];

impl FilterOwner {
    fn takes(self, kind: &str) -> bool {
        match kind {
            "RequestHeaderModifier" | "ResponseHeaderModifier" => true,
            "RequestMirror" => matches!(self, FilterOwner::HttpRule | FilterOwner::GrpcRule),
            "RequestRedirect" | "URLRewrite" => {
                matches!(self, FilterOwner::HttpRule | FilterOwner::HttpBackend)
            }
            "CORS" => self == FilterOwner::HttpRule,
            _ => false,
        }
    }
}

/// Reads `filters`.
pub(super) fn read_filters(
    fields: &Fields<'_>,
    own: &Arc<str>,
    owner: FilterOwner,
) -> RouteFilters {
    let mut filters = RouteFilters::default();
    let mut seen: Vec<&str> = Vec::new();
    let field = fields.field("filters");
    for item in field.iter().flat_map(|field| field.items()) {
        let Some(kind) = read_filter(&item, own, owner, &mut filters) else { continue };
        if kind != "RequestMirror" && seen.contains(&kind) {
            item.refuse(format!("there are two filters of type {kind}"), "write them as one");
        }
        seen.push(kind);
    }
    if filters.redirect.is_some() && seen.contains(&"URLRewrite") {
        let cursor = fields.cursor();
        cursor.refuse("a redirect and a rewrite exclude each other", "keep one of them");
    }
    filters
}

fn read_filter(
    item: &Cursor<'_>,
    own: &Arc<str>,
    owner: FilterOwner,
    filters: &mut RouteFilters,
) -> Option<&'static str> {
    let fields = item.fields(&FILTER)?;
    let kind_field = fields.required("type")?;
    let text = kind_field.text()?;
    let Some((kind, own_field)) = TYPES.iter().find(|(kind, _)| *kind == text) else {
        let help = match closest(text, TYPES.iter().map(|(kind, _)| *kind)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "see the API's reference for the types".to_owned(),
        };
        kind_field.refuse(format!("there is no filter of type `{text}`"), help);
        return None;
    };
    let foreign = TYPES.iter().find(|(_, name)| name != own_field && fields.field(name).is_some());
    if let Some((_, name)) = foreign {
        item.refuse(
            format!("`{name}` does not belong to a filter of type {kind}"),
            "write one filter of each type",
        );
        return None;
    }
    let field = fields.required(own_field)?;
    if !owner.takes(kind) {
        let message = format!("filters of type {kind} are known, but not served here");
        let help = "attach a WasmPlugin to the route for what it does; until then its requests are answered with 500";
        item.not_served(Gravity::Degrades, message, help);
        filters.unserved.get_or_insert_with(|| (*kind).into());
        return Some(kind);
    }
    take(kind, &field, own, filters);
    Some(kind)
}

fn take(kind: &str, field: &Cursor<'_>, own: &Arc<str>, filters: &mut RouteFilters) {
    match kind {
        "RequestHeaderModifier" => filters.request_headers = read_header_modifier(field),
        "ResponseHeaderModifier" => filters.response_headers = read_header_modifier(field),
        "RequestMirror" => {
            filters.mirrors.extend(read_mirror_filter(field, own));
            refuse_many(field, filters.mirrors.len());
        }
        "RequestRedirect" => filters.redirect = read_redirect(field),
        "CORS" => filters.cors = read_cors_filter(field),
        _ => {
            let rewrite = read_url_rewrite(field).unwrap_or_default();
            filters.path_rewrite = rewrite.path;
            filters.authority_rewrite = rewrite.authority;
        }
    }
}
