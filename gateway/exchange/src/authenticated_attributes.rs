//! What native authentication verified, by name: `request.auth`, and as Envoy's `jwt_authn` leaves it for other filters.

use bytes::Bytes;

use crate::{AttributeValue, Authenticated, Exchange};

/// Under which name Envoy keeps it.
pub(crate) const JWT_METADATA: &str = "envoy.filters.http.jwt_authn";

/// `request.auth`: `principal`, `audiences`, `presenter`, `claims` (Istio's condition keys).
pub(crate) fn of_identity(exchange: &Exchange, path: &[&str]) -> Option<AttributeValue> {
    let who = exchange.authenticated.as_deref()?;
    match path {
        ["principal"] => who.principal.as_deref().map(|principal| text(principal.to_owned())),
        ["audiences"] => who.claims.shown_at(&["aud"]).map(text),
        ["presenter"] => who.claims.shown_at(&["azp"]).map(text),
        ["claims"] => Some(all(who)),
        ["claims", path @ ..] => who.claims.shown_at(path).map(text),
        _ => None,
    }
}

/// The payload under its issuer's name.
pub(crate) fn of_payload(exchange: &Exchange, path: &[&str]) -> Option<AttributeValue> {
    let who = exchange.authenticated.as_deref()?;
    let (issuer, path) = path.split_first()?;
    let is_its = *issuer == "payload" || who.claims.text("iss") == Some(issuer);
    match path {
        _ if !is_its => None,
        [] => Some(all(who)),
        path => who.claims.shown_at(path).map(text),
    }
}

fn all(who: &Authenticated) -> AttributeValue {
    let shown = |name: &str| Some((name.to_owned().into(), who.claims.shown_at(&[name])?.into()));
    AttributeValue::Map(who.claims.names().filter_map(shown).collect())
}

fn text(text: String) -> AttributeValue {
    AttributeValue::Bytes(Bytes::from(text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_crypto::jose::{KeySet, verify_token};

    use super::*;
    use crate::attribute;

    /// From RFC 7515 appendix A.1.
    fn joe() -> Exchange {
        let keys = r#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let token = verify_token(token, &KeySet::parse(keys.as_bytes()).unwrap()).unwrap();
        let mut exchange = Exchange::for_test();
        let principal = Some("joe/1".into());
        exchange.authenticated = Some(Arc::new(Authenticated { principal, claims: token.claims }));
        exchange
    }

    fn read(exchange: &Exchange, path: &[&str]) -> Option<String> {
        match attribute(exchange, path)? {
            AttributeValue::Bytes(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn what_was_verified_is_read_by_name() {
        let exchange = joe();
        let auth = |name: &str| read(&exchange, &["request", "auth", name]);
        assert_eq!(auth("principal").as_deref(), Some("joe/1"));
        assert_eq!((auth("audiences"), auth("presenter"), auth("x")), (None, None, None));
        let claim = |name: &str| read(&exchange, &["request", "auth", "claims", name]);
        assert_eq!(claim("iss").as_deref(), Some("joe"));
        assert_eq!(claim("http://example.com/is_root").as_deref(), Some("true"));
        let payload = |path: &[&str]| {
            read(&exchange, &[&["metadata", "filter_metadata", JWT_METADATA], path].concat())
        };
        assert_eq!(payload(&["joe", "exp"]).as_deref(), Some("1300819380"));
        assert_eq!(payload(&["payload", "exp"]), payload(&["joe", "exp"]));
        assert_eq!((payload(&["ann", "exp"]), payload(&[])), (None, None));
        assert!(payload(&["joe"]).unwrap().contains("is_root"));
    }

    #[test]
    fn nobody_has_none_of_it() {
        let exchange = Exchange::for_test();
        assert_eq!(attribute(&exchange, &["request", "auth", "principal"]), None);
        assert_eq!(attribute(&exchange, &["metadata", "filter_metadata", JWT_METADATA, "x"]), None);
    }
}
