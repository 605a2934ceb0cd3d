//! An entry of `jwtRules`: an issuer, its keys, where its tokens stand, and what the upstream hears of them.

use std::time::Duration;

use http::header::HeaderName;
use portcullis_filters::{ClaimHeader, JwtRule, OriginalToken, TokenPlace};

use super::jwt_keys::read_keys;
use crate::reader::{Cursor, Fields, Schema};
use crate::scalars::{header_name, interval};

static RULE: Schema = Schema {
    what: "a JWT rule",
    served: &[
        "issuer",
        "audiences",
        "jwksUri",
        "jwks_uri",
        "jwks",
        "fromHeaders",
        "fromParams",
        "fromCookies",
        "outputPayloadToHeader",
        "outputClaimToHeaders",
        "forwardOriginalToken",
        "spaceDelimitedClaims",
        "timeout",
    ],
    not_yet: &[],
    skipped: &[],
};
static FROM_HEADER: Schema =
    Schema { what: "a header of tokens", served: &["name", "prefix"], not_yet: &[], skipped: &[] };
static CLAIM_HEADER: Schema = Schema {
    what: "a header of a claim",
    served: &["header", "claim"],
    not_yet: &[],
    skipped: &[],
};

/// How long keys may take that are fetched (Istio's default).
const TIMEOUT: Duration = Duration::from_secs(5);
/// Nobody waits for them longer.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Header fields that say how a message is framed or where it goes, or that come from the client's connection.
const NOT_OURS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-client-cert",
    "x-forwarded-for",
];

/// Reads a rule; `None` where it is not to be used, which is reported.
pub(super) fn read_jwt_rule(item: &Cursor<'_>) -> Option<JwtRule> {
    let rule = item.fields(&RULE)?;
    let issuer = rule.required("issuer").and_then(|field| not_empty(&field));
    let timeout = match rule.field("timeout") {
        Some(field) => read_timeout(&field),
        None => Some(TIMEOUT),
    };
    let keys = issuer.and_then(|issuer| read_keys(&rule, issuer, timeout.unwrap_or(TIMEOUT)));
    let audiences = texts(&rule, "audiences");
    let places = read_places(&rule);
    let payload_header =
        rule.field("outputPayloadToHeader").and_then(|field| output_header(&field));
    let claim_headers = rule
        .field("outputClaimToHeaders")
        .map(|field| field.items().filter_map(|item| read_claim_header(&item)).collect::<Vec<_>>());
    let original = match rule.field("forwardOriginalToken").and_then(|field| field.boolean()) {
        Some(true) => OriginalToken::Kept,
        _ => OriginalToken::Removed,
    };
    let word_claims = texts(&rule, "spaceDelimitedClaims");
    Some(JwtRule {
        issuer: issuer?.into(),
        audiences,
        keys: keys?,
        places,
        payload_header,
        claim_headers: claim_headers.unwrap_or_default(),
        original,
        word_claims,
    })
}

fn read_timeout(field: &Cursor<'_>) -> Option<Duration> {
    let timeout = interval(field)?;
    if timeout > LONGEST_TIMEOUT {
        field.refuse(
            "keys that take longer than a minute are not waited for",
            "write `60s` or less",
        );
        return None;
    }
    Some(timeout)
}

fn read_places(rule: &Fields<'_>) -> Vec<TokenPlace> {
    let mut places = Vec::new();
    if let Some(field) = rule.field("fromHeaders") {
        places.extend(field.items().filter_map(|item| read_from_header(&item)));
    }
    places.extend(texts(rule, "fromParams").into_iter().map(TokenPlace::Param));
    places.extend(texts(rule, "fromCookies").into_iter().map(TokenPlace::Cookie));
    if places.is_empty() { TokenPlace::usual() } else { places }
}

fn read_from_header(item: &Cursor<'_>) -> Option<TokenPlace> {
    let fields = item.fields(&FROM_HEADER)?;
    let field = fields.required("name")?;
    let name = header_name(&field, not_empty(&field)?)?;
    let prefix = match fields.field("prefix") {
        Some(field) => field.text()?.trim().into(),
        None => Box::default(),
    };
    Some(TokenPlace::Header { name, prefix })
}

fn read_claim_header(item: &Cursor<'_>) -> Option<ClaimHeader> {
    let fields = item.fields(&CLAIM_HEADER)?;
    let header = fields.required("header").and_then(|field| output_header(&field));
    let claim = fields.required("claim").and_then(|field| not_empty(&field).map(Into::into));
    Some(ClaimHeader { header: header?, claim: claim? })
}

/// A header that the gateway sets, and that it removes from what clients send.
fn output_header(field: &Cursor<'_>) -> Option<HeaderName> {
    let name = header_name(field, not_empty(field)?)?;
    if NOT_OURS.contains(&name.as_str()) {
        let message =
            format!("`{name}` says how the request is sent, and is removed from what clients send");
        field.refuse(message, "write a name of your own, as `x-jwt-payload`");
        return None;
    }
    Some(name)
}

/// The texts of a list, none of them empty.
fn texts(rule: &Fields<'_>, name: &str) -> Vec<Box<str>> {
    let Some(field) = rule.field(name) else { return Vec::new() };
    field.items().filter_map(|item| not_empty(&item).map(Into::into)).collect()
}

fn not_empty<'c>(field: &Cursor<'c>) -> Option<&'c str> {
    let text = field.text()?;
    if text.trim().is_empty() {
        field.refuse("this may not be empty", "write a value, or leave the field out");
        return None;
    }
    Some(text)
}
