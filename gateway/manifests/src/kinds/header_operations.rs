//! Istio's `Headers`: operations on a request's and a response's head.

use http::header::{HeaderName, HeaderValue};
use portcullis_filters::{FieldOperations, HeaderOperations};

use crate::reader::{Cursor, Schema};
use crate::report::Gravity;
use crate::scalars::{self, header_name, header_value};

/// Operations on both heads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Headers {
    pub(crate) request: HeaderOperations,
    pub(crate) response: HeaderOperations,
    /// `request.set` of `Host` or `:authority`, which rewrites the authority.
    pub(crate) authority: Option<Box<str>>,
}

static HEADERS: Schema =
    Schema { what: "headers", served: &["request", "response"], not_yet: &[], skipped: &[] };
static OPERATIONS: Schema = Schema {
    what: "header operations",
    served: &["set", "add", "remove"],
    not_yet: &[],
    skipped: &[],
};

/// Fields that frame a message or name its connection: changing them would break it.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads `headers`.
pub(crate) fn read_headers(cursor: &Cursor<'_>) -> Headers {
    let mut headers = Headers::default();
    let Some(fields) = cursor.fields(&HEADERS) else { return headers };
    if let Some(field) = fields.field("request") {
        let mut authority = None;
        headers.request = read_operations(&field, &mut authority);
        headers.authority = authority;
    }
    if let Some(field) = fields.field("response") {
        headers.response = read_operations(&field, &mut None);
    }
    headers
}

fn read_operations(cursor: &Cursor<'_>, authority: &mut Option<Box<str>>) -> HeaderOperations {
    let mut operations = FieldOperations::default();
    let Some(fields) = cursor.fields(&OPERATIONS) else { return operations.into() };
    if let Some(field) = fields.field("set") {
        for (name, value) in field.entries() {
            match is_authority(name) {
                true => *authority = scalars::authority(&value),
                false => operations.set.extend(read_field(name, &value)),
            }
        }
    }
    if let Some(field) = fields.field("add") {
        let added = field.entries().filter_map(|(name, value)| read_field(name, &value));
        operations.add.extend(added);
    }
    if let Some(field) = fields.field("remove") {
        let removed = field.items().filter_map(|item| read_name(item.text()?, &item));
        operations.remove.extend(removed);
    }
    operations.into()
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name == ":authority"
}

fn read_field(name: &str, value: &Cursor<'_>) -> Option<(HeaderName, HeaderValue)> {
    let field = (read_name(name, value)?, header_value(value)?);
    let text = value.text()?;
    let names_variable = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_uppercase() || b"_():-.".contains(&byte))
    };
    if text.split('%').skip(1).step_by(2).any(names_variable) {
        value.not_served(
            Gravity::Warns,
            "variables between `%` are known, but not served yet",
            "the value is sent as it is written",
        );
    }
    Some(field)
}

pub(super) fn read_name(text: &str, cursor: &Cursor<'_>) -> Option<HeaderName> {
    let name = header_name(cursor, text)?;
    if FRAMING.contains(&name.as_str()) || name == "host" {
        let message = format!("the field `{name}` belongs to the connection and cannot be changed");
        cursor.refuse(message, "remove it; the gateway frames messages itself");
        return None;
    }
    Some(name)
}
