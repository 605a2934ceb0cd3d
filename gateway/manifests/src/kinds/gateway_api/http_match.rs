//! `matches` of an HTTPRoute's rule.

use http::Method;
use portcullis_filters::Pattern;
use portcullis_model::{HeaderMatch, PathMatch, QueryMatch, RequestMatch, StringMatch};

use crate::reader::{Cursor, Schema};
use crate::scalars::{choice, header_name, pattern};
use crate::written_path::{Behind, warn_of_lost_path, warn_of_pattern};

static MATCH: Schema = Schema {
    what: "a match",
    served: &["path", "headers", "queryParams", "method"],
    not_yet: &[],
    skipped: &[],
};
static PATH: Schema =
    Schema { what: "a path match", served: &["type", "value"], not_yet: &[], skipped: &[] };
static NAMED: Schema =
    Schema { what: "a condition", served: &["type", "name", "value"], not_yet: &[], skipped: &[] };

#[derive(Clone, Copy, PartialEq)]
enum PathType {
    Exact,
    Prefix,
    Expression,
}

const PATH_TYPES: [(&str, PathType); 3] = [
    ("Exact", PathType::Exact),
    ("PathPrefix", PathType::Prefix),
    ("RegularExpression", PathType::Expression),
];
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
const LONGEST_PATH: usize = 1024;

/// Reads a match.
pub(super) fn read_http_match(item: &Cursor<'_>) -> Option<RequestMatch> {
    let fields = item.fields(&MATCH)?;
    let path = match fields.field("path") {
        Some(field) => read_path(&field)?,
        None => PathMatch::Segments("".into()),
    };
    let method = match fields.field("method") {
        Some(field) => Some(read_method(&field)?),
        None => None,
    };
    let headers = fields.field("headers").map(|field| read_header_matches(&field));
    let query = fields.field("queryParams").map(|field| read_query(&field));
    Some(RequestMatch {
        origin: Some(item.origin()),
        path: Some(path),
        method,
        headers: headers.unwrap_or_default(),
        query: query.unwrap_or_default(),
        ..RequestMatch::default()
    })
}

fn read_path(field: &Cursor<'_>) -> Option<PathMatch> {
    let fields = field.fields(&PATH)?;
    let kind = match fields.field("type") {
        Some(field) => choice(&field, &PATH_TYPES)?,
        None => PathType::Prefix,
    };
    let Some(value) = fields.field("value") else {
        return match kind {
            PathType::Expression => {
                fields.missing("value", "");
                None
            }
            PathType::Exact => Some(PathMatch::Exact("/".into())),
            PathType::Prefix => Some(PathMatch::Segments("".into())),
        };
    };
    if kind == PathType::Expression {
        return pattern(&value).map(PathMatch::Pattern);
    }
    let text = value.text()?;
    if let Some(wrong) = fault_of(text) {
        value.refuse(wrong, "write a path as requests have it once it is canonical: `/a/b`");
        return None;
    }
    warn_of_pattern(&value, text, "where an expression is meant, write `type: RegularExpression`");
    let behind = if kind == PathType::Exact { Behind::Nothing } else { Behind::Anything };
    warn_of_lost_path(&value, text, behind);
    Some(match kind {
        PathType::Exact => PathMatch::Exact(text.into()),
        // `/a/` and `/a` are the same prefix.
        _ => PathMatch::Segments(text.trim_end_matches('/').into()),
    })
}

/// What the API's own rules hold against a path.
fn fault_of(text: &str) -> Option<&'static str> {
    let never = ["//", "/./", "/../", "%2f", "%2F", "#"];
    if !text.starts_with('/') {
        Some("a path begins with `/`")
    } else if text.len() > LONGEST_PATH {
        Some("the path is longer than 1024 bytes")
    } else if never.iter().any(|part| text.contains(part)) {
        Some("the path has `//`, `/./`, `/../`, `%2f` or `#`, which no request has here")
    } else if text.ends_with("/..") || text.ends_with("/.") {
        Some("the path ends with a dot segment, which no request has here")
    } else {
        None
    }
}

fn read_method(field: &Cursor<'_>) -> Option<StringMatch> {
    let text = field.text()?;
    if !METHODS.contains(&text) {
        field.refuse(
            format!("`{text}` is no method"),
            format!("write one of: {}", METHODS.join(", ")),
        );
        return None;
    }
    let method = Method::from_bytes(text.as_bytes()).ok()?;
    Some(StringMatch::Exact(method.as_str().into()))
}

/// Reads conditions on header fields. The first of several with one name counts, as the API has it.
pub(super) fn read_header_matches(field: &Cursor<'_>) -> Vec<HeaderMatch> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    for item in field.items() {
        let Some((name_field, value)) = read_condition(&item) else { continue };
        let Some(name) = header_name(&item, &name_field) else { continue };
        if headers.iter().any(|known| known.name == name) {
            item.refuse(format!("`{name}` is written twice"), "keep one of them");
            continue;
        }
        headers.push(HeaderMatch { name, value: Some(value) });
    }
    headers
}

fn read_query(field: &Cursor<'_>) -> Vec<QueryMatch> {
    let mut query: Vec<QueryMatch> = Vec::new();
    for item in field.items() {
        let Some((name, value)) = read_condition(&item) else { continue };
        if query.iter().any(|known| *known.name == *name) {
            item.refuse(format!("`{name}` is written twice"), "keep one of them");
            continue;
        }
        query.push(QueryMatch { name: name.into(), value: Some(value) });
    }
    query
}

fn read_condition(item: &Cursor<'_>) -> Option<(String, StringMatch)> {
    let fields = item.fields(&NAMED)?;
    let types = [("Exact", PathType::Exact), ("RegularExpression", PathType::Expression)];
    let kind = match fields.field("type") {
        Some(field) => choice(&field, &types)?,
        None => PathType::Exact,
    };
    let name = fields.required("name").and_then(|field| super::object_ref::filled(&field));
    let value = fields.required("value")?;
    let value = match kind {
        PathType::Expression => StringMatch::Pattern(pattern(&value)?),
        _ => StringMatch::Exact(value.text()?.into()),
    };
    Some((name?.to_owned(), value))
}

/// How specific a match is, by the API's precedence: the kind of its path (exact, expression, prefix), the path's
/// length, whether it names a method, how many headers and how many parameters.
pub(super) fn specificity(condition: &RequestMatch) -> [usize; 5] {
    let (kind, length) = match &condition.path {
        Some(PathMatch::Exact(path)) => (3, path.len()),
        Some(PathMatch::Pattern(expression)) => (2, Pattern::as_str(expression).len()),
        Some(PathMatch::Segments(path) | PathMatch::Prefix(path)) => (1, path.len()),
        None => (0, 0),
    };
    let method = usize::from(condition.method.is_some());
    [kind, length, method, condition.headers.len(), condition.query.len()]
}
