//! The filter `CORS`.

use std::time::Duration;

use http::Method;
use portcullis_filters::{CorsPolicy, OriginMatch, UnmatchedPreflights};

use crate::reader::{Cursor, Fields, Schema};
use crate::scalars::header_name;

static CORS: Schema = Schema {
    what: "a CORS filter",
    served: &[
        "allowOrigins",
        "allowCredentials",
        "allowMethods",
        "allowHeaders",
        "exposeHeaders",
        "maxAge",
    ],
    not_yet: &[],
    skipped: &[],
};

/// What the API says where `maxAge` is not written.
const MAX_AGE: Duration = Duration::from_secs(5);

/// Reads the filter.
pub(super) fn read_cors_filter(field: &Cursor<'_>) -> Option<CorsPolicy> {
    let fields = field.fields(&CORS)?;
    let origins = fields.field("allowOrigins");
    let allow_origins =
        origins.iter().flat_map(|field| field.items()).filter_map(|item| read_origin(&item));
    let max_age = match fields.field("maxAge") {
        Some(field) => field.integer(1, i32::MAX.into())?,
        None => MAX_AGE.as_secs().try_into().ok()?,
    };
    let is_method = |item: &Cursor<'_>, text: &str| {
        let is = Method::from_bytes(text.as_bytes()).is_ok();
        if !is {
            item.refuse(format!("`{text}` is no method"), "");
        }
        is
    };
    let is_header = |item: &Cursor<'_>, text: &str| header_name(item, text).is_some();
    Some(CorsPolicy {
        allow_origins: allow_origins.collect(),
        allow_methods: read_list(&fields, "allowMethods", is_method),
        allow_headers: read_list(&fields, "allowHeaders", is_header),
        expose_headers: read_list(&fields, "exposeHeaders", is_header),
        max_age: u64::try_from(max_age).ok().map(Duration::from_secs),
        allow_credentials: fields.field("allowCredentials").and_then(|field| field.boolean()),
        unmatched_preflights: UnmatchedPreflights::Answer,
    })
}

fn read_list(
    fields: &Fields<'_>,
    name: &str,
    is_one: impl Fn(&Cursor<'_>, &str) -> bool,
) -> Option<Box<str>> {
    let field = fields.field(name)?;
    let mut texts = Vec::new();
    for item in field.items() {
        let Some(text) = item.text() else { continue };
        if text == "*" || is_one(&item, text) {
            texts.push(text);
        }
    }
    if texts.len() > 1 && texts.contains(&"*") {
        field.refuse("`*` stands alone, as it is all of them", "remove the others");
    }
    (!texts.is_empty()).then(|| texts.join(", ").into())
}

/// `*`, or a scheme and a host, whose first label may be `*`, and perhaps a port.
fn read_origin(item: &Cursor<'_>) -> Option<OriginMatch> {
    let text = item.text()?;
    if text == "*" {
        return Some(OriginMatch::Any);
    }
    let parts = text.split_once("://").and_then(|(scheme, rest)| {
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => {
                (host, format!(":{port}"))
            }
            _ => (rest, String::new()),
        };
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let pattern = portcullis_message::HostPattern::parse(host).ok()?;
        is_scheme.then_some((scheme, pattern, port))
    });
    match parts {
        Some((_, portcullis_message::HostPattern::Exact(_), _)) => {
            Some(OriginMatch::Exact(text.into()))
        }
        Some((scheme, portcullis_message::HostPattern::Suffix(suffix), port)) => {
            let scheme = format!("{scheme}://").into();
            Some(OriginMatch::Subdomains { scheme, suffix, port: port.into() })
        }
        _ => {
            let help = "write `https://shop.example.com`, `https://*.example.com` or `*`";
            item.refuse(format!("`{text}` is no origin"), help);
            None
        }
    }
}
