//! `requestHeaderModifier` and `responseHeaderModifier`.

use http::header::{HeaderName, HeaderValue};
use portcullis_filters::{FieldOperations, HeaderOperations};

use crate::kinds::header_operations::read_name;
use crate::reader::{Cursor, Schema};
use crate::scalars::header_value;

static MODIFIER: Schema = Schema {
    what: "a header modifier",
    served: &["set", "add", "remove"],
    not_yet: &[],
    skipped: &[],
};
static HEADER: Schema =
    Schema { what: "a header", served: &["name", "value"], not_yet: &[], skipped: &[] };

/// Reads a modifier.
pub(super) fn read_header_modifier(field: &Cursor<'_>) -> HeaderOperations {
    let mut operations = FieldOperations::default();
    let Some(fields) = field.fields(&MODIFIER) else { return operations.into() };
    if let Some(field) = fields.field("set") {
        operations.set = read_headers(&field);
    }
    if let Some(field) = fields.field("add") {
        operations.add = read_headers(&field);
    }
    if let Some(field) = fields.field("remove") {
        operations.remove =
            field.items().filter_map(|item| read_name(item.text()?, &item)).collect();
    }
    operations.into()
}

/// The first of several with one name counts, as the API has it; who writes two has made a mistake.
fn read_headers(field: &Cursor<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for item in field.items() {
        let Some(fields) = item.fields(&HEADER) else { continue };
        let name = fields.required("name");
        let name = name.as_ref().and_then(|field| read_name(field.text()?, field));
        let value = fields.required("value").and_then(|field| header_value(&field));
        let (Some(name), Some(value)) = (name, value) else { continue };
        if headers.iter().any(|(known, _)| *known == name) {
            item.refuse(format!("`{name}` is written twice"), "keep one of them");
            continue;
        }
        headers.push((name, value));
    }
    headers
}
