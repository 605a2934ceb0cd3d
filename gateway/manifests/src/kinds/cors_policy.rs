//! Istio's `CorsPolicy`: `corsPolicy` of a rule.

use std::time::Duration;

use http::Method;
use portcullis_filters::{CorsPolicy, OriginMatch, UnmatchedPreflights};
use portcullis_model::StringMatch;

use super::string_match::read_string_match;
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::{choice, duration, header_name};

static CORS: Schema = Schema {
    what: "a CORS policy",
    served: &[
        "allowOrigins",
        "allowOrigin",
        "allowMethods",
        "allowHeaders",
        "exposeHeaders",
        "maxAge",
        "allowCredentials",
        "unmatchedPreflights",
    ],
    not_yet: &[],
    skipped: &[],
};

/// Reads `corsPolicy`.
pub(super) fn read_cors(field: &Cursor<'_>) -> Option<CorsPolicy> {
    let fields = field.fields(&CORS)?;
    let preflights = fields.field("unmatchedPreflights");
    let preflights = preflights.and_then(|field| choice(&field, &PREFLIGHTS));
    let credentials = fields.field("allowCredentials").and_then(|field| field.boolean());
    Some(CorsPolicy {
        allow_origins: read_origins(&fields),
        allow_methods: read_list(&fields, "allowMethods", is_method),
        allow_headers: read_list(&fields, "allowHeaders", is_header),
        expose_headers: read_list(&fields, "exposeHeaders", is_header),
        max_age: fields.field("maxAge").and_then(|field| read_age(&field)),
        allow_credentials: credentials,
        unmatched_preflights: preflights.unwrap_or_default(),
    })
}

/// The header field carries whole seconds.
fn read_age(field: &Cursor<'_>) -> Option<Duration> {
    let age = duration(field)?;
    if age.subsec_nanos() != 0 {
        field.refuse("an age is whole seconds", "");
        return None;
    }
    Some(age)
}

const PREFLIGHTS: [(&str, UnmatchedPreflights); 3] = [
    ("UNSPECIFIED", UnmatchedPreflights::Forward),
    ("FORWARD", UnmatchedPreflights::Forward),
    ("IGNORE", UnmatchedPreflights::Answer),
];

fn read_origins(fields: &Fields<'_>) -> Vec<OriginMatch> {
    if fields.exclusive(&["allowOrigins", "allowOrigin"]) {
        return Vec::new();
    }
    if let Some(field) = fields.field("allowOrigin") {
        let help = "write `allowOrigins` with `exact`";
        field.report(Gravity::Warns, codes::DEPRECATED, "the field is deprecated", help);
        let exact = |item: Cursor<'_>| Some(StringMatch::Exact(item.text()?.into()));
        return field.items().filter_map(exact).map(origin).collect();
    }
    let field = fields.field("allowOrigins");
    let read = |item: Cursor<'_>| read_string_match(&item).map(origin);
    let origins: Vec<_> = field.iter().flat_map(|field| field.items()).filter_map(read).collect();
    if field.is_none_or(|field| field.is_empty_list()) {
        fields.cursor().report(
            Gravity::Warns,
            codes::NO_EFFECT,
            "no origin is allowed, so the policy allows nothing",
            "write `allowOrigins`, `exact: '*'` for every one",
        );
    }
    origins
}

/// As in Envoy, what would match the text `*` allows every origin.
fn origin(condition: StringMatch) -> OriginMatch {
    if condition.matches("*") {
        return OriginMatch::Any;
    }
    match condition {
        StringMatch::Exact(text) => OriginMatch::Exact(text),
        StringMatch::Prefix(text) => OriginMatch::Prefix(text),
        StringMatch::Pattern(pattern) => OriginMatch::Pattern(pattern),
    }
}

/// A list as a header field carries it; `None` where it is empty.
fn read_list(
    fields: &Fields<'_>,
    name: &str,
    check: impl Fn(&Cursor<'_>, &str) -> bool,
) -> Option<Box<str>> {
    let field = fields.field(name)?;
    let item = |item: Cursor<'_>| {
        let text = item.text()?;
        (text == "*" || check(&item, text)).then(|| text.to_owned())
    };
    let items: Vec<String> = field.items().filter_map(item).collect();
    (!items.is_empty()).then(|| items.join(",").into())
}

fn is_method(item: &Cursor<'_>, text: &str) -> bool {
    let is_method = Method::from_bytes(text.as_bytes()).is_ok();
    if !is_method {
        item.refuse(format!("`{text}` is no method"), "");
    }
    is_method
}

fn is_header(item: &Cursor<'_>, text: &str) -> bool {
    header_name(item, text).is_some()
}
