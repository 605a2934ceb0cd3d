//! Where tokens are found, and which headers go on.

use super::*;

fn outputs() -> Value {
    json!({"outputClaimToHeaders": [
        {"header": "X-User", "claim": "sub"},
        {"header": "x-level", "claim": "level"},
        {"header": "x-city", "claim": "address.city"},
        {"header": "x-roles", "claim": "https://example.com/roles"},
    ]})
}

#[test]
fn no_token_is_refused_without_an_error_code() {
    let plugin = start(&settings(json!({})));
    for headers in [&[][..], &[("authorization", "Basic YTpi")], &[("x-token", "abc")]] {
        let reply = plugin.request(headers.iter().copied()).send().outcome().reply();
        let challenge = reply.headers().find(|(name, _)| *name == "www-authenticate").unwrap().1;
        assert_eq!(challenge, b"Bearer realm=\"jwt-auth\"");
        assert_eq!(reply.body_bytes(), b"Unauthorized: no token was sent.\n");
    }
}

#[test]
fn no_token_can_be_allowed_but_a_bad_one_never() {
    let mut settings = settings(outputs());
    settings["missingToken"] = json!("allow");
    let plugin = start(&settings);
    let exchange = plugin.request([("x-user", "root"), ("accept", "*/*")]).send();
    assert!(exchange.outcome().is_continued());
    assert!(exchange.request_header("x-user").is_empty());
    assert_eq!(exchange.request_header("accept"), ["*/*"]);
    for value in ["Bearer", "Bearer x", "bearer ", "BEARER a.b.c"] {
        drop(plugin.request([("authorization", value)]).send().outcome().reply());
    }
}

#[test]
fn claims_become_headers_and_the_token_goes() {
    let plugin = start(&settings(outputs()));
    let claims = json!({"iss": "tests", "sub": "ada", "level": 3, "address": {"city": "Bern"},
        "https://example.com/roles": ["a", "b"]});
    let authorization = format!("Bearer {}", sign(claims));
    for _ in 0..2 {
        let exchange = plugin
            .request([("authorization", &*authorization), ("x-user", "root"), ("x-user", "2")])
            .send();
        assert!(exchange.outcome().is_continued());
        assert_eq!(exchange.request_header("x-user"), ["ada"]);
        assert_eq!(exchange.request_header("x-level"), ["3"]);
        assert_eq!(exchange.request_header("x-city"), ["Bern"]);
        assert_eq!(exchange.request_header("x-roles"), [r#"["a","b"]"#]);
        assert!(exchange.request_header("authorization").is_empty());
    }
}

#[test]
fn a_claim_that_is_absent_or_no_header_value_leaves_none() {
    let plugin = start(&settings(outputs()));
    for sub in [json!(null), json!("a\r\nx-admin: yes"), json!("nul\u{0}")] {
        let authorization = format!("Bearer {}", sign(json!({"iss": "tests", "sub": sub})));
        let exchange = plugin
            .request([("authorization", &*authorization), ("x-user", "root"), ("x-level", "9")])
            .send();
        assert!(exchange.outcome().is_continued());
        assert!(exchange.request_header("x-user").is_empty(), "{sub}");
        assert!(exchange.request_header("x-level").is_empty());
    }
}

#[test]
fn a_forwarded_token_travels_alone() {
    let plugin = start(&settings(json!({"forwardOriginalToken": true})));
    let good = format!("Bearer {}", sign(json!({"iss": "tests"})));
    let exchange = plugin.request([("authorization", &*good)]).send();
    assert!(exchange.outcome().is_continued());
    assert_eq!(exchange.request_header("authorization"), [good.as_str()]);
    drop(exchange);
    // Remembered now: what stands beside it was not verified.
    let exchange =
        plugin.request([("authorization", &*good), ("authorization", "Bearer a.b.c")]).send();
    assert!(exchange.outcome().is_continued());
    assert_eq!(exchange.request_header("authorization"), [good.as_str()]);
}

#[test]
fn one_bad_token_among_several_is_refused() {
    let plugin = start(&settings(json!({"fromHeaders": [
        {"name": "authorization", "prefix": "Bearer "}, {"name": "x-token"}]})));
    let good = sign(json!({"iss": "tests"}));
    let bearer = format!("Bearer {good}");
    assert!(plugin.request([("x-token", &*good)]).send().outcome().is_continued());
    assert!(
        plugin
            .request([("authorization", &*bearer), ("x-token", &*good)])
            .send()
            .outcome()
            .is_continued()
    );
    for headers in [
        [("authorization", bearer.as_str()), ("x-token", "bad")],
        [("authorization", "Bearer bad"), ("x-token", good.as_str())],
        [("authorization", "Bearer bad"), ("authorization", bearer.as_str())],
        [("authorization", "Basic eDp5"), ("authorization", "Bearer bad")],
    ] {
        drop(plugin.request(headers).send().outcome().reply());
    }
}

#[test]
fn each_rule_has_its_own_places_and_keys() {
    let second = json!({"issuer": "second", "fromHeaders": [{"name": "x-second"}],
        "jwks": {"keys": [{"kty": "oct", "k": base64(SECRET)}]}});
    let mut settings = settings(json!({}));
    settings["jwtRules"].as_array_mut().unwrap().push(second);
    let plugin = start(&settings);
    let token = sign_raw(r#"{"alg":"HS256"}"#, r#"{"iss":"second"}"#);
    assert!(plugin.request([("x-second", &*token)]).send().outcome().is_continued());
    // Also once it is remembered, a token counts only where its rule looks for it.
    assert_eq!(reason(send(&plugin, &token)), "the token's issuer is not known");
}

#[test]
fn the_payload_can_be_handed_on() {
    let plugin = start(&settings(json!({"outputPayloadToHeader": "x-payload"})));
    let token = sign(json!({"iss": "tests", "sub": "ada"}));
    let exchange = plugin
        .request([("authorization", &*format!("Bearer {token}")), ("x-payload", "forged")])
        .send();
    assert!(exchange.outcome().is_continued());
    assert_eq!(exchange.request_header("x-payload"), [token.split('.').nth(1).unwrap()]);
}
