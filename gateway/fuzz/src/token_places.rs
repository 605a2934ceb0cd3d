//! Where requests bring tokens: a path with its query, then lines of `Authorization` and `Cookie`.

use std::sync::Arc;

use http::HeaderValue;
use portcullis_exchange::Exchange;
use portcullis_filters::{
    JwtRule, KeySource, NumberedKeys, RequestAuthentication, TokenCache, TokenPlace,
};

/// Of RFC 7515 appendix A.1.
const JWKS: &str = r#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;

/// Whatever a request brings is refused or leaves nothing behind where tokens stand; a second look finds no more.
pub(crate) fn run(input: &[u8]) {
    let Ok(keys) = NumberedKeys::parse(JWKS.as_bytes()) else { return };
    let mut places = TokenPlace::usual();
    places.push(TokenPlace::Cookie("session".into()));
    let rule = JwtRule { places, ..JwtRule::for_test("joe", JWKS) };
    let filter = RequestAuthentication::new(vec![(rule, KeySource::Inline(Arc::new(keys)))]);
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut exchange = Exchange::for_test();
    let Some(Ok(path)) = lines.next().map(http::uri::PathAndQuery::try_from) else { return };
    exchange.request.path = path;
    for (index, line) in lines.take(64).enumerate() {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        let name = if index % 2 == 0 { "authorization" } else { "cookie" };
        exchange.request.headers.append(name, value);
    }
    let mut cache = TokenCache::default();
    if filter.authenticate(&mut exchange, &mut cache).is_ok() && exchange.authenticated.is_some() {
        exchange.authenticated = None;
        let again = filter.authenticate(&mut exchange, &mut cache);
        assert!(again.is_ok() && exchange.authenticated.is_none(), "a token stayed behind");
    }
}
