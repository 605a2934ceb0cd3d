//! Where the keys of a JWT rule are: `jwks`, `jwksUri`, or where its issuer says.

use std::time::Duration;

use http::Uri;
use portcullis_crypto::jose::KeySet;
use portcullis_filters::{KeyLocation, KeyUrl, RemoteLocation};

use crate::codes;
use crate::reader::{Cursor, Fields};
use crate::report::Gravity;

/// Where issuers say where their keys are (OpenID Connect Discovery 1.0 section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Reads where the keys of an issuer are.
pub(super) fn read_keys(rule: &Fields<'_>, issuer: &str, timeout: Duration) -> Option<KeyLocation> {
    if rule.exclusive(&["jwks", "jwksUri", "jwks_uri"]) {
        return None;
    }
    if let Some(field) = rule.field("jwks") {
        return read_inline(&field);
    }
    let field = rule.field("jwksUri").or_else(|| deprecated(rule));
    let url = match &field {
        Some(field) => KeyUrl::Keys(read_url(field, field.text()?)?),
        None => discovery(rule, issuer)?,
    };
    Some(KeyLocation::Remote(RemoteLocation { url, timeout }))
}

fn deprecated<'s>(rule: &'s Fields<'_>) -> Option<Cursor<'s>> {
    let field = rule.field("jwks_uri")?;
    field.report(
        Gravity::Warns,
        codes::DEPRECATED,
        "`jwks_uri` is the field's old name",
        "write `jwksUri`",
    );
    Some(field)
}

fn read_inline(field: &Cursor<'_>) -> Option<KeyLocation> {
    let text = field.text()?;
    let set = match KeySet::parse(text.as_bytes()) {
        Ok(set) if !set.is_empty() => set,
        Ok(set) => {
            let why = set.left_out().first().map_or("it is empty", |key| key.reason);
            let message = format!("no key of the set verifies tokens: {why}");
            let help = "write a key of the kind RSA (2048 bits or more), EC, OKP (Ed25519) or oct, with `use` left out or `sig`";
            field.report(Gravity::Breaks, codes::KEY_SET, message, help);
            return None;
        }
        Err(error) => {
            let help = "write the key set as its issuer gives it out: `{\"keys\": [...]}`";
            field.report(Gravity::Breaks, codes::KEY_SET, error.to_string(), help);
            return None;
        }
    };
    for key in set.left_out() {
        let message = format!("keys[{}] verifies nothing here: {}", key.index, key.reason);
        let help = "leave it out if that is meant; the other keys serve";
        field.report(Gravity::Warns, codes::KEY_LEFT_OUT, message, help);
    }
    Some(KeyLocation::Inline(text.into()))
}

/// As Istio does: where no keys are written, the issuer says where they are.
fn discovery(rule: &Fields<'_>, issuer: &str) -> Option<KeyUrl> {
    if !issuer.starts_with("https://") && !issuer.starts_with("http://") {
        let help = "write `jwks` or `jwksUri`; only where the issuer is a URL it can be asked for its keys";
        rule.missing("jwksUri", help);
        return None;
    }
    let field = rule.field("issuer")?;
    let document = format!("{}{DISCOVERY}", issuer.trim_end_matches('/'));
    let document = read_url(&field, &document)?;
    Some(KeyUrl::Discovery { document, issuer: issuer.into() })
}

fn read_url(field: &Cursor<'_>, text: &str) -> Option<Box<str>> {
    let url: Option<Uri> = text.parse().ok();
    let is_good = |url: &Uri| {
        matches!(url.scheme_str(), Some("https" | "http"))
            && url.host().is_some_and(|host| !host.is_empty())
            && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    };
    if !url.as_ref().is_some_and(is_good) || text.contains('#') {
        let message = format!("`{text}` is no URL from which keys can be fetched");
        field.refuse(message, "write `https://HOST/PATH`");
        return None;
    }
    if url.as_ref().and_then(Uri::scheme_str) == Some("http") {
        field.report(
            Gravity::Warns,
            codes::KEYS_IN_PLAIN_TEXT,
            "the keys come in plain text: whoever is on their way can put their own in their place",
            "write an https URL; certificates of your own authority are believed with --jwks-ca",
        );
    }
    Some(text.into())
}
