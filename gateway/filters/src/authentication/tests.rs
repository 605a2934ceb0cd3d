//! Requests with tokens signed here, before rules.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue, Method};
use portcullis_crypto::jose::TokenError;
use portcullis_exchange::Exchange;

use super::*;

const A: &[u8] = b"a secret of at least thirty-two bytes: a";
const B: &[u8] = b"a secret of at least thirty-two bytes: b";
const NOW: u64 = 1_000_000;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn jwks(secret: &[u8], kid: &str) -> String {
    format!(r#"{{"keys":[{{"kty":"oct","kid":"{kid}","k":"{}"}}]}}"#, encode(secret))
}

fn token_of(secret: &[u8], kid: &str, claims: &str) -> String {
    let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

fn token(claims: &str) -> String {
    token_of(A, "a", claims)
}

fn good() -> String {
    token(r#"{"iss":"https://a","sub":"ann","scope":"read write","n":7,"o":{"x":true}}"#)
}

fn inline(jwks: &str) -> KeySource {
    KeySource::Inline(Arc::new(NumberedKeys::parse(jwks.as_bytes()).unwrap()))
}

fn rule_a() -> JwtRule {
    JwtRule::for_test("https://a", &jwks(A, "a"))
}

fn rules(rules: &[JwtRule]) -> RequestAuthentication {
    let with_keys = |rule: &JwtRule| {
        let KeyLocation::Inline(text) = &rule.keys else { panic!("inline") };
        (rule.clone(), inline(std::str::from_utf8(text.as_bytes()).unwrap()))
    };
    RequestAuthentication::new(rules.iter().map(with_keys).collect())
}

fn asked(path: &str, headers: &[(&str, &str)]) -> Exchange {
    let mut exchange = Exchange::for_test();
    exchange.timings.started_at = UNIX_EPOCH + Duration::from_secs(NOW);
    exchange.request.path = path.parse().unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        exchange.request.headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    exchange
}

fn bearer(token: &str) -> Exchange {
    asked("/", &[("authorization", &format!("Bearer {token}"))])
}

fn verdict(filter: &RequestAuthentication, exchange: &mut Exchange) -> Result<(), TokenRefusal> {
    filter.authenticate(exchange, &mut TokenCache::default())
}

fn refused(error: TokenError) -> Result<(), TokenRefusal> {
    Err(TokenRefusal::Token(error))
}

#[test]
fn a_request_without_a_token_passes_and_is_nobody() {
    let mut exchange = asked("/?x=y", &[("authorization", "Basic YTpi")]);
    assert_eq!(verdict(&rules(&[rule_a()]), &mut exchange), Ok(()));
    assert!(exchange.authenticated.is_none() && !exchange.is_head_changed());
}

#[test]
fn a_good_token_tells_who_it_is_and_stays_behind() {
    let mut exchange = bearer(&good());
    assert_eq!(verdict(&rules(&[rule_a()]), &mut exchange), Ok(()));
    let who = exchange.authenticated.clone().unwrap();
    assert_eq!(who.principal.as_deref(), Some("https://a/ann"));
    assert!(who.claims.fulfil(&["scope".into()], |word| word == "write"));
    assert!(exchange.is_head_changed());
    assert!(!exchange.request.headers.contains_key("authorization"));
    let kept = JwtRule { original: OriginalToken::Kept, ..rule_a() };
    let mut exchange = bearer(&good());
    assert_eq!(verdict(&rules(&[kept]), &mut exchange), Ok(()));
    assert!(exchange.request.headers.contains_key("authorization"));
}

#[test]
fn every_place_is_looked_at_and_one_bad_token_is_enough() {
    let places = vec![
        TokenPlace::Header { name: HeaderName::from_static("x-jwt"), prefix: "".into() },
        TokenPlace::Param("jwt".into()),
        TokenPlace::Cookie("jwt".into()),
    ];
    let filter = rules(&[JwtRule { places, ..rule_a() }]);
    let good = good();
    let mut all = asked(
        &format!("/p?jwt={good}&x=y"),
        &[("x-jwt", &good), ("cookie", &format!("jwt={good}; a=b"))],
    );
    assert_eq!(verdict(&filter, &mut all), Ok(()));
    assert_eq!(all.request.path, "/p?x=y");
    assert_eq!(all.request.headers.get("cookie").unwrap(), "a=b");
    assert!(!all.request.headers.contains_key("x-jwt"));
    for (path, headers) in [
        ("/?jwt=bad", vec![("x-jwt", good.as_str())]),
        ("/", vec![("x-jwt", "bad"), ("x-jwt", good.as_str())]),
        ("/", vec![("x-jwt", good.as_str()), ("cookie", "jwt=bad")]),
        ("/?jwt=", vec![]),
    ] {
        assert_eq!(
            verdict(&filter, &mut asked(path, &headers)),
            refused(TokenError::Malformed),
            "{path}"
        );
    }
    // The usual places are not looked at where others are named.
    assert_eq!(verdict(&filter, &mut bearer("bad")), Ok(()));
}

#[test]
fn a_token_is_held_against_the_rules_of_its_issuer() {
    let b = JwtRule::for_test("https://b", &jwks(B, "b"));
    let filter = rules(&[rule_a(), b.clone()]);
    let of_b = |claims: &str| bearer(&token_of(B, "b", claims));
    assert_eq!(verdict(&filter, &mut of_b(r#"{"iss":"https://b"}"#)), Ok(()));
    assert_eq!(verdict(&filter, &mut of_b(r#"{"iss":"https://a"}"#)), refused(TokenError::NoKey));
    for claims in [r#"{"iss":"https://c"}"#, "{}", r#"{"iss":1}"#, r#"{"iss":["https://b"]}"#] {
        assert_eq!(verdict(&filter, &mut of_b(claims)), refused(TokenError::Issuer), "{claims}");
    }
    // Of several rules for one issuer any will do.
    let other = JwtRule { audiences: vec!["other".into()], ..rule_a() };
    assert_eq!(verdict(&rules(&[other.clone(), rule_a()]), &mut bearer(&good())), Ok(()));
    assert_eq!(verdict(&rules(&[other]), &mut bearer(&good())), refused(TokenError::Audience));
}

#[test]
fn times_have_a_minute_of_leeway() {
    let filter = rules(&[rule_a()]);
    for (claims, wanted) in [
        (format!(r#"{{"iss":"https://a","exp":{}}}"#, NOW - 59), Ok(())),
        (format!(r#"{{"iss":"https://a","exp":{}}}"#, NOW - 60), refused(TokenError::Expired)),
        (format!(r#"{{"iss":"https://a","nbf":{}}}"#, NOW + 60), Ok(())),
        (format!(r#"{{"iss":"https://a","nbf":{}}}"#, NOW + 61), refused(TokenError::NotYet)),
        (r#"{"iss":"https://a","exp":"9999999999"}"#.to_owned(), refused(TokenError::Claim)),
    ] {
        assert_eq!(verdict(&filter, &mut bearer(&token(&claims))), wanted, "{claims}");
    }
}

#[test]
fn output_headers_are_the_gateways_alone() {
    let header = |name: &'static str, claim: &str| ClaimHeader {
        header: HeaderName::from_static(name),
        claim: claim.into(),
    };
    let claim_headers = vec![
        header("x-sub", "sub"),
        header("x-n", "n"),
        header("x-o", "o.x"),
        header("x-scope", "scope"),
        header("x-none", "none"),
        header("x-object", "o"),
    ];
    let payload_header = Some(HeaderName::from_static("x-payload"));
    let filter = rules(&[JwtRule { claim_headers, payload_header, ..rule_a() }]);
    let forged = [("x-sub", "root"), ("x-none", "root"), ("x-payload", "root"), ("x-sub", "two")];
    let mut nobody = asked("/", &forged);
    assert_eq!(verdict(&filter, &mut nobody), Ok(()));
    assert!(nobody.request.headers.is_empty() && nobody.is_head_changed());
    let mut ann = bearer(&good());
    for (name, value) in forged {
        ann.request.headers.append(name, HeaderValue::from_static(value));
    }
    assert_eq!(verdict(&filter, &mut ann), Ok(()));
    let value = |name: &str| ann.request.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(
        (value("x-sub"), value("x-n"), value("x-o"), value("x-scope")),
        (Some("ann"), Some("7"), Some("true"), Some("read write"))
    );
    assert_eq!((value("x-none"), value("x-object")), (None, None));
    assert_eq!(value("x-payload"), good().split('.').nth(1));
}

#[test]
fn a_preflight_passes_unasked_and_is_nobody() {
    let filter = rules(&[rule_a()]);
    let headers = [
        ("origin", "https://x"),
        ("access-control-request-method", "PUT"),
        ("authorization", "Bearer bad"),
    ];
    let mut preflight = asked("/", &headers);
    preflight.request.method = Method::OPTIONS;
    assert_eq!(verdict(&filter, &mut preflight), Ok(()));
    assert!(preflight.authenticated.is_none());
    let mut options = asked("/", &headers[2..]);
    options.request.method = Method::OPTIONS;
    assert!(verdict(&filter, &mut options).is_err());
}

fn remote() -> (RequestAuthentication, Arc<RemoteKeys>) {
    let url = KeyUrl::Keys("https://a/keys".into());
    let location = RemoteLocation { url, timeout: Duration::from_secs(5) };
    let keys = Arc::new(RemoteKeys::new(location.clone()));
    let rule = JwtRule { keys: KeyLocation::Remote(location), ..rule_a() };
    (RequestAuthentication::new(vec![(rule, KeySource::Remote(keys.clone()))]), keys)
}

#[test]
fn until_there_are_keys_tokens_are_refused_and_others_pass() {
    let (filter, keys) = remote();
    assert_eq!(verdict(&filter, &mut bearer(&good())), Err(TokenRefusal::NoKeys));
    assert_eq!(verdict(&filter, &mut asked("/", &[])), Ok(()));
    keys.replace(NumberedKeys::parse(jwks(A, "a").as_bytes()).unwrap());
    assert_eq!(verdict(&filter, &mut bearer(&good())), Ok(()));
}

#[test]
fn a_cached_token_expires_and_goes_with_its_keys() {
    let (filter, keys) = remote();
    keys.replace(NumberedKeys::parse(jwks(A, "a").as_bytes()).unwrap());
    let mut cache = TokenCache::default();
    let token = token(&format!(r#"{{"iss":"https://a","exp":{}}}"#, NOW + 10));
    let mut at = |seconds: u64| {
        let mut exchange = bearer(&token);
        exchange.timings.started_at = UNIX_EPOCH + Duration::from_secs(seconds);
        filter.authenticate(&mut exchange, &mut cache)
    };
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(at(NOW + 69), Ok(()));
    assert_eq!(at(NOW + 70), refused(TokenError::Expired));
    assert!(!keys.take_wanted());
    // Rotated: the key is no longer there.
    keys.replace(NumberedKeys::parse(jwks(B, "b").as_bytes()).unwrap());
    assert_eq!(at(NOW), refused(TokenError::NoKey));
    assert!(keys.take_wanted() && !keys.take_wanted());
}

#[test]
fn a_cached_token_fits_no_other_rule() {
    let mut cache = TokenCache::default();
    assert_eq!(rules(&[rule_a()]).authenticate(&mut bearer(&good()), &mut cache), Ok(()));
    let stricter = JwtRule { audiences: vec!["shop".into()], ..rule_a() };
    let verdict = rules(&[stricter]).authenticate(&mut bearer(&good()), &mut cache);
    assert_eq!(verdict, refused(TokenError::Audience));
}

#[test]
fn of_several_tokens_one_says_who_it_is_and_what_the_upstream_hears() {
    let told = |issuer: &str, secret: &[u8], kid: &str| {
        let mut rule = JwtRule::for_test(issuer, &jwks(secret, kid));
        let outputs = [("x-user", "sub"), ("x-role", "role")];
        let output = |(header, claim): (&'static str, &str)| ClaimHeader {
            header: HeaderName::from_static(header),
            claim: claim.into(),
        };
        rule.claim_headers = outputs.map(output).into();
        rule.places
            .push(TokenPlace::Header { name: "x-token".parse().unwrap(), prefix: "".into() });
        rule
    };
    let filter = rules(&[told("https://a", A, "a"), told("https://b", B, "b")]);
    let ann = token(r#"{"iss":"https://a","sub":"ann"}"#);
    let forged = token_of(B, "b", r#"{"iss":"https://b","sub":"root","role":"admin"}"#);
    let second = token(r#"{"iss":"https://a","sub":"bob","role":"admin"}"#);
    for other in [forged, second] {
        let values = [("authorization", format!("Bearer {ann}")), ("x-token", other)];
        let values = values.each_ref().map(|(name, value)| (*name, &**value));
        let mut exchange = asked("/", &values);
        assert_eq!(verdict(&filter, &mut exchange), Ok(()));
        let who = exchange.authenticated.as_deref().unwrap();
        assert_eq!(who.principal.as_deref(), Some("https://a/ann"));
        assert_eq!(exchange.request.headers["x-user"], "ann");
        assert!(!exchange.request.headers.contains_key("x-role"));
    }
}

#[test]
fn a_token_that_names_no_key_is_tried_with_few() {
    let key = |secret: &[u8]| format!(r#"{{"kty":"oct","k":"{}"}}"#, encode(secret));
    let others = |many: u8| (0..many).map(|n| key(&[n; 32]));
    let set = |many| {
        let keys: Vec<String> = others(many).chain([key(A)]).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    };
    let of = |many| rules(&[JwtRule::for_test("https://a", &set(many))]);
    assert_eq!(verdict(&of(7), &mut bearer(&good())), Ok(()));
    assert_eq!(verdict(&of(8), &mut bearer(&good())), refused(TokenError::Attempts));
    // All tokens of a request have those attempts together.
    let places = ["x-a", "x-b"]
        .map(|name| TokenPlace::Header { name: HeaderName::from_static(name), prefix: "".into() });
    let rule = JwtRule { places: places.to_vec(), ..JwtRule::for_test("https://a", &set(5)) };
    let second = token(r#"{"iss":"https://a","sub":"bob"}"#);
    let mut both = asked("/", &[("x-a", &good()), ("x-b", &second)]);
    assert_eq!(verdict(&rules(&[rule]), &mut both), refused(TokenError::Attempts));
}

#[test]
fn rules_with_the_same_keys_check_a_signature_once() {
    let keys = inline(&jwks(A, "a"));
    let rule = |audience: u32| {
        let audiences = vec![audience.to_string().into()];
        (JwtRule { audiences, ..rule_a() }, keys.clone())
    };
    let filter = RequestAuthentication::new((0..100).map(rule).collect());
    let of =
        |audience: u32| bearer(&token(&format!(r#"{{"iss":"https://a","aud":"{audience}"}}"#)));
    assert_eq!(verdict(&filter, &mut of(99)), Ok(()));
    assert_eq!(verdict(&filter, &mut of(100)), refused(TokenError::Audience));
}

#[test]
fn only_so_many_tokens_are_read() {
    let filter = rules(&[rule_a()]);
    let good = good();
    let query = |many: usize| format!("/?{}", vec![format!("access_token={good}"); many].join("&"));
    assert_eq!(verdict(&filter, &mut asked(&query(16), &[])), Ok(()));
    assert_eq!(verdict(&filter, &mut asked(&query(17), &[])), Err(TokenRefusal::TooManyTokens));
}

#[test]
fn who_watches_is_told_of_a_missing_key_once() {
    let (filter, keys) = remote();
    keys.replace(NumberedKeys::parse(jwks(B, "b").as_bytes()).unwrap());
    let told = Arc::<std::sync::atomic::AtomicUsize>::default();
    let count = told.clone();
    keys.watch(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    });
    let miss = || {
        assert_eq!(verdict(&filter, &mut bearer(&good())), refused(TokenError::NoKey));
        told.load(std::sync::atomic::Ordering::SeqCst)
    };
    assert_eq!([miss(), miss()], [1, 1]);
    assert!(keys.take_wanted());
    assert_eq!(miss(), 2);
}
