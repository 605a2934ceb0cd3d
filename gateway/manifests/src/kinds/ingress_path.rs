//! The paths of an Ingress, and where their requests go.

use std::sync::Arc;

use portcullis_model::{Origin, PathMatch};

use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{choice, port};
use crate::written_path::{Behind, warn_of_lost_path, warn_of_pattern};

/// One entry of a rule's `paths`.
#[derive(Clone, Debug)]
pub(crate) struct IngressPath {
    pub(crate) origin: Origin,
    /// As it was written; `/` where nothing is.
    pub(crate) text: Box<str>,
    pub(crate) path: PathMatch,
    pub(crate) backend: IngressBackend,
    /// As `spec.rules[0].http.paths[1]`.
    pub(crate) field: String,
}

/// A Service of the Ingress' own namespace.
#[derive(Clone, Debug)]
pub(crate) struct IngressBackend {
    pub(crate) service: Arc<str>,
    pub(crate) port: BackendPort,
    pub(crate) field: String,
    pub(crate) origin: Origin,
}

/// A port of a Service.
#[derive(Clone, Debug)]
pub(crate) enum BackendPort {
    Number(u16),
    Name(Box<str>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PathType {
    Exact,
    Prefix,
    ImplementationSpecific,
}

static PATH: Schema =
    Schema { what: "a path", served: &["path", "pathType", "backend"], not_yet: &[], skipped: &[] };
static BACKEND: Schema =
    Schema { what: "a backend", served: &["service", "resource"], not_yet: &[], skipped: &[] };
static SERVICE: Schema =
    Schema { what: "a backend's service", served: &["name", "port"], not_yet: &[], skipped: &[] };
static PORT: Schema =
    Schema { what: "a backend's port", served: &["number", "name"], not_yet: &[], skipped: &[] };

const PATH_TYPES: &[(&str, PathType)] = &[
    ("Exact", PathType::Exact),
    ("Prefix", PathType::Prefix),
    ("ImplementationSpecific", PathType::ImplementationSpecific),
];

/// Reads a rule's `paths`.
pub(super) fn read_paths(field: &Cursor<'_>) -> Vec<IngressPath> {
    if field.is_empty_list() {
        field.refuse("a rule without paths takes no request", "write the path `/` for all");
    }
    field.items().filter_map(|item| read_path(&item.fields(&PATH)?)).collect()
}

fn read_path(fields: &Fields<'_>) -> Option<IngressPath> {
    let backend = fields.required("backend").and_then(|field| read_backend(&field));
    let kind = fields.required("pathType").and_then(|field| choice(&field, PATH_TYPES));
    let path = fields.field("path").filter(|field| !field.is_empty_text());
    let text = match (&path, kind?) {
        (Some(field), kind) => read_text(field, kind)?,
        (None, PathType::ImplementationSpecific) => "/",
        (None, _) => {
            fields.missing("path", "write `/` for every path");
            return None;
        }
    };
    Some(IngressPath {
        origin: fields.cursor().origin(),
        text: text.into(),
        path: match kind? {
            PathType::Exact => PathMatch::Exact(text.into()),
            // A slash at the end makes no difference to a prefix of segments.
            _ => PathMatch::Segments(text.strip_suffix('/').unwrap_or(text).into()),
        },
        backend: backend?,
        field: fields.cursor().path(),
    })
}

/// Requests are compared in their canonical form, so a path that is in none could never match.
fn read_text<'c>(field: &Cursor<'c>, kind: PathType) -> Option<&'c str> {
    let text = field.text()?;
    if !text.starts_with('/') {
        field.refuse(format!("`{text}` is no path"), "begin it with `/`");
        return None;
    }
    let help = "write a RegularExpression in an HTTPRoute or `uri.regex` in a VirtualService";
    let looks_like_pattern = text.contains(['*', '(', '[', '|', '^', '$', '\\']);
    if kind == PathType::ImplementationSpecific && looks_like_pattern {
        let message = format!(
            "`{text}` looks like a pattern, but ImplementationSpecific is a prefix of whole segments here"
        );
        field.report(Gravity::Warns, codes::BAD_VALUE, message, help);
    } else if kind != PathType::ImplementationSpecific {
        warn_of_pattern(field, text, help);
    }
    let lower = text.to_ascii_lowercase();
    let odd = ["//", "/./", "/../", "%2f"].iter().any(|part| lower.contains(part))
        || ["/.", "/.."].iter().any(|end| text.ends_with(end))
        || text.contains(['?', '#'])
        || !text.bytes().all(|byte| byte.is_ascii_graphic());
    if odd {
        let help = "write the path without a query, empty or dot segments, and escaped slashes";
        field.refuse(format!("`{text}` is no path that a request can have"), help);
        return None;
    }
    let behind = if kind == PathType::Exact { Behind::Nothing } else { Behind::Anything };
    warn_of_lost_path(field, text, behind);
    Some(text)
}

/// Reads a backend.
pub(super) fn read_backend(field: &Cursor<'_>) -> Option<IngressBackend> {
    let fields = field.fields(&BACKEND)?;
    if let Some(resource) = fields.field("resource") {
        let help = "name a Service; buckets and the like are reached by a ServiceEntry behind a VirtualService";
        resource.not_served(Gravity::Breaks, "a backend that is no Service is not served", help);
        return None;
    }
    let service = fields.required("service")?;
    let service = service.fields(&SERVICE)?;
    let name = service.required("name").and_then(|name| name.text());
    let port = service.required("port")?;
    Some(IngressBackend {
        port: read_port(&port.fields(&PORT)?)?,
        service: name?.into(),
        field: service.cursor().path(),
        origin: service.cursor().origin(),
    })
}

fn read_port(fields: &Fields<'_>) -> Option<BackendPort> {
    if fields.exclusive(&["number", "name"]) {
        return None;
    }
    match (fields.field("number"), fields.field("name")) {
        (Some(number), _) => port(&number).map(BackendPort::Number),
        (None, Some(name)) => Some(BackendPort::Name(name.text()?.into())),
        (None, None) => {
            fields.missing("number", "a port is written by `number` or `name`");
            None
        }
    }
}
