//! A VirtualService's `HTTPMatchRequest`.

use portcullis_model::{HeaderMatch, PathMatch, RequestMatch, StringMatch};

use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::header_name;

static MATCH: Schema = Schema {
    what: "a match",
    served: &["name", "uri", "method", "authority", "headers", "ignoreUriCase"],
    not_yet: &[
        "scheme",
        "port",
        "sourceLabels",
        "gateways",
        "queryParams",
        "withoutHeaders",
        "sourceNamespace",
    ],
    skipped: &["statPrefix"],
};
static STRING_MATCH: Schema = Schema {
    what: "a string match",
    served: &["exact", "prefix", "regex"],
    not_yet: &[],
    skipped: &[],
};

/// A string match, as far as it is served.
enum Condition {
    Served(StringMatch),
    NotYet,
}

/// Reads `match`: a rule applies where one of its items does.
pub(crate) fn read_matches(cursor: &Cursor<'_>) -> Vec<RequestMatch> {
    cursor
        .items()
        .filter_map(|item| item.fields(&MATCH).map(|fields| read_match(&fields)))
        .collect()
}

/// A match with a condition that is not served yet never applies: serving the rest of it would take
/// requests that it was not written for.
fn read_match(fields: &Fields<'_>) -> RequestMatch {
    let mut found = RequestMatch {
        origin: Some(fields.cursor().origin()),
        never: fields.has_unserved(),
        ..RequestMatch::default()
    };
    if let Some(field) = fields.field("uri") {
        match read_condition(&field) {
            Some(Condition::Served(StringMatch::Exact(path))) => {
                check_path(&field, &path);
                found.path = Some(PathMatch::Exact(path));
            }
            Some(Condition::Served(StringMatch::Prefix(prefix))) => {
                check_path(&field, &prefix);
                found.path = Some(PathMatch::Prefix(prefix));
            }
            Some(Condition::Served(StringMatch::Pattern(pattern))) => {
                found.path = Some(PathMatch::Pattern(pattern));
            }
            Some(Condition::NotYet) => found.never = true,
            None => {}
        }
    }
    if let Some(field) = fields.field("ignoreUriCase")
        && field.boolean() == Some(true)
    {
        warn(&field, "`ignoreUriCase`");
        found.never = true;
    }
    found.method = read_text(fields, "method", &mut found.never);
    found.authority = read_text(fields, "authority", &mut found.never).map(lower_case);
    if let Some(field) = fields.field("headers") {
        for (name, value) in field.entries() {
            found.headers.extend(read_header(name, &value, &mut found.never));
        }
    }
    if found.never {
        fields.cursor().report(
            Gravity::Warns,
            codes::FIELD_NOT_SERVED,
            "this match has a condition that is not served yet, so it never applies",
            "its requests go to the rules that follow; remove the condition if that is wrong",
        );
    }
    found
}

fn check_path(field: &Cursor<'_>, path: &str) {
    if !path.starts_with('/') {
        field.report(
            Gravity::Warns,
            codes::BAD_VALUE,
            format!("`{path}` never matches: every path begins with `/`"),
            "begin it with `/`",
        );
    }
}

fn read_text(fields: &Fields<'_>, name: &str, unserved: &mut bool) -> Option<StringMatch> {
    match read_condition(&fields.field(name)?)? {
        Condition::Served(condition) => Some(condition),
        Condition::NotYet => {
            *unserved = true;
            None
        }
    }
}

/// Hosts are compared in lower case.
fn lower_case(condition: StringMatch) -> StringMatch {
    match condition {
        StringMatch::Exact(text) => StringMatch::Exact(text.to_ascii_lowercase().into()),
        StringMatch::Prefix(text) => StringMatch::Prefix(text.to_ascii_lowercase().into()),
        pattern @ StringMatch::Pattern(_) => pattern,
    }
}

fn read_header(name: &str, value: &Cursor<'_>, unserved: &mut bool) -> Option<HeaderMatch> {
    if name.starts_with('@') {
        warn(value, "a condition on a token's claims");
        *unserved = true;
        return None;
    }
    if ["uri", "scheme", "method", "authority"].contains(&name) {
        value.report(
            Gravity::Warns,
            codes::FIELD_NOT_SERVED,
            format!("the header `{name}` is ignored in a match"),
            format!("write the field `{name}` of the match instead"),
        );
        return None;
    }
    let name = header_name(value, name)?;
    if value.is_empty_mapping() || value.is_null() {
        return Some(HeaderMatch { name, value: None });
    }
    match read_condition(value)? {
        Condition::Served(condition) => Some(HeaderMatch { name, value: Some(condition) }),
        Condition::NotYet => {
            *unserved = true;
            None
        }
    }
}

fn read_condition(cursor: &Cursor<'_>) -> Option<Condition> {
    let fields = cursor.fields(&STRING_MATCH)?;
    if fields.exclusive(&["exact", "prefix", "regex"]) {
        return None;
    }
    if let Some(field) = fields.field("exact") {
        return Some(Condition::Served(StringMatch::Exact(field.text()?.into())));
    }
    if let Some(field) = fields.field("prefix") {
        return Some(Condition::Served(StringMatch::Prefix(field.text()?.into())));
    }
    if let Some(field) = fields.field("regex") {
        field.text()?;
        warn(&field, "a regular expression");
        return Some(Condition::NotYet);
    }
    cursor.refuse("the condition says nothing", "write `exact`, `prefix` or `regex`");
    None
}

fn warn(cursor: &Cursor<'_>, what: &str) {
    cursor.not_served(Gravity::Warns, format!("{what} is known, but not served yet"), "");
}
