//! `matches` of a GRPCRoute's rule: a method is the path `/service/method`.

use portcullis_filters::Pattern;
use portcullis_model::{PathMatch, RequestMatch};

use super::http_match::read_header_matches;
use super::object_ref::filled;
use crate::reader::{Cursor, Fields, Schema};
use crate::scalars::{self, choice};

static MATCH: Schema =
    Schema { what: "a match", served: &["method", "headers"], not_yet: &[], skipped: &[] };
static METHOD: Schema = Schema {
    what: "a method match",
    served: &["type", "service", "method"],
    not_yet: &[],
    skipped: &[],
};

#[derive(Clone, Copy, PartialEq)]
enum MethodType {
    Exact,
    Expression,
}

const TYPES: [(&str, MethodType); 2] =
    [("Exact", MethodType::Exact), ("RegularExpression", MethodType::Expression)];
/// One segment of a path, where nothing is said of it.
const ANY: &str = "[^/]+";
const LONGEST: usize = 1024;

/// A match with how specific it is, by the API's precedence: characters of the service, of the method, number of
/// headers.
pub(super) type RankedMatch = (RequestMatch, [usize; 5]);

/// The match of a rule that names none.
pub(super) fn any_method() -> RankedMatch {
    let path = Some(PathMatch::Prefix("/".into()));
    (RequestMatch { path, ..RequestMatch::default() }, [0; 5])
}

/// Reads a match.
pub(super) fn read_grpc_match(item: &Cursor<'_>) -> Option<RankedMatch> {
    let fields = item.fields(&MATCH)?;
    let headers = fields.field("headers").map(|field| read_header_matches(&field));
    let headers = headers.unwrap_or_default();
    let (mut found, [service, method, ..]) = match fields.field("method") {
        Some(field) => read_method(&field)?,
        None => any_method(),
    };
    let rank = [service, method, headers.len(), 0, 0];
    found.origin = Some(item.origin());
    found.headers = headers;
    Some((found, rank))
}

fn read_method(field: &Cursor<'_>) -> Option<RankedMatch> {
    let fields = field.fields(&METHOD)?;
    let kind = match fields.field("type") {
        Some(field) => choice(&field, &TYPES)?,
        None => MethodType::Exact,
    };
    let service = read_part(&fields, "service", kind);
    let method = read_part(&fields, "method", kind);
    let (service, method) = (service?, method?);
    let path = match (kind, &*service, &*method) {
        (_, "", "") => {
            field.refuse("the condition says nothing", "write `service`, `method` or both");
            return None;
        }
        (MethodType::Exact, service, "") => PathMatch::Prefix(format!("/{service}/").into()),
        (MethodType::Exact, "", method) => pattern(field, ANY, &escaped(method))?,
        (MethodType::Exact, service, method) => {
            PathMatch::Exact(format!("/{service}/{method}").into())
        }
        (MethodType::Expression, service, "") => pattern(field, service, ANY)?,
        (MethodType::Expression, "", method) => pattern(field, ANY, method)?,
        (MethodType::Expression, service, method) => pattern(field, service, method)?,
    };
    let rank = [service.len(), method.len(), 0, 0, 0];
    Some((RequestMatch { path: Some(path), ..RequestMatch::default() }, rank))
}

/// A part that may be left out; empty then.
fn read_part(fields: &Fields<'_>, name: &str, kind: MethodType) -> Option<Box<str>> {
    let Some(field) = fields.field(name) else { return Some("".into()) };
    let text = filled(&field)?;
    let is_name = |text: &str| {
        let rest = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts_well =
            text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        starts_well && text.bytes().all(rest)
    };
    if kind == MethodType::Expression {
        // Each is an expression by itself: a bracket of one must not end in the other.
        scalars::pattern(&field)?;
    }
    let is_right = match (kind, name) {
        (MethodType::Expression, _) => true,
        (MethodType::Exact, "service") => text.split('.').all(is_name),
        (MethodType::Exact, _) => is_name(text),
    };
    if !is_right {
        field.refuse(
            format!("`{text}` is no name of a {name}"),
            "write it as in the .proto file: `package.Service`, `Method`",
        );
        return None;
    }
    if text.len() > LONGEST {
        field.refuse(format!("the name of the {name} is longer than 1024 bytes"), "");
        return None;
    }
    Some(text.into())
}

/// A name has no character that means something in an expression.
fn escaped(name: &str) -> String {
    name.replace('.', "\\.")
}

fn pattern(field: &Cursor<'_>, service: &str, method: &str) -> Option<PathMatch> {
    let text = format!("/(?:{service})/(?:{method})");
    match scalars::expression(field, || Pattern::parse(&text), Pattern::bytes) {
        Ok(pattern) => Some(PathMatch::Pattern(pattern)),
        Err(error) => {
            let refuse = |error| {
                field.refuse(format!("the expression cannot be used: {error}"), "shorten it");
            };
            error.into_iter().for_each(refuse);
            None
        }
    }
}
