//! Tokens of requests: whose are taken, from where, what the upstream hears of them, and what a client hears whose token
//! is bad. Where the keys are fetched from, and what servers of keys may do wrong: `keys`.

mod keys;

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_testkit::manifests::{edge_policy, join, request_authentication};
use portcullis_testkit::{
    Call, Client, Reply, Signer, TOKEN_AUDIENCE, TOKEN_ISSUER, TokenCorpus, TokenFault,
};

use crate::explain::Explainer;
use crate::gateway::Gateway;
use crate::shop::{HOST, Shop, TO_BLUE};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A rule for the usual issuer with these keys; `more` is further fields, each on a line and indented by two.
fn rule(jwks: &str, more: &str) -> String {
    format!("- issuer: {TOKEN_ISSUER}\n  audiences: [{TOKEN_AUDIENCE}]\n  jwks: '{jwks}'\n{more}")
}

/// A shop whose requests are held against these rules.
async fn open(rules: &str, jwt_rules: &str, arguments: &[&str]) -> Shop {
    let mut shop = Shop::open_with(rules, arguments).await;
    apply(&mut shop, rules, jwt_rules).await;
    shop
}

async fn apply(shop: &mut Shop, rules: &str, jwt_rules: &str) {
    let policy = request_authentication("tokens", jwt_rules);
    let manifests = join(&[shop.manifests(rules), policy]);
    shop.gateway.apply(&manifests).await;
}

fn claims(more: &str) -> String {
    let end = now() + 3600;
    format!(r#"{{"iss":"{TOKEN_ISSUER}","aud":"{TOKEN_AUDIENCE}","sub":"ann","exp":{end}{more}}}"#)
}

fn bearer(token: &str) -> Call {
    Call::get(HOST, "/").header("authorization", &format!("Bearer {token}"))
}

/// What the upstream saw of a header field.
fn seen(reply: &Reply, name: &str) -> Option<String> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["headers"][name].as_str().map(String::from)
}

#[tokio::test]
async fn the_corpus_gets_its_verdicts_from_outside() {
    let corpus = TokenCorpus::generate(now());
    let mut shop = Shop::open_with(TO_BLUE, &["--workers", "1"]).await;
    // Or the longest would be refused for their size as fields.
    let longer = edge_policy("longer", "{limits: {fieldBytes: 32Ki}}");
    let policy = request_authentication("tokens", &rule(&corpus.jwks, ""));
    let manifests = join(&[shop.manifests(TO_BLUE), policy, longer]);
    shop.gateway.apply(&manifests).await;
    shop.client = shop.connect().await;
    let mut wrong = Vec::new();
    for vector in &corpus.vectors {
        let reply = shop.client.try_call(bearer(&vector.token)).await;
        let Ok(reply) = reply else {
            wrong.push(format!("{}: {reply:?}", vector.name));
            shop.client = shop.connect().await;
            continue;
        };
        let wanted = vector.fault.map_or((200, None), |fault| (401, Some(fault.said())));
        let got = (reply.status.as_u16(), vector.fault.map(|_| reply.text()));
        if got != wanted {
            wrong.push(format!("{}: {got:?} instead of {wanted:?}", vector.name));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let good = corpus.vectors.iter().filter(|vector| vector.fault.is_none()).count();
    assert_eq!(shop.blue.seen().requests, good, "nothing else came through");
}

#[tokio::test]
async fn a_bad_token_is_401_with_a_challenge_and_no_token_passes() {
    let signer = Signer::ecdsa_p256("one");
    let mut shop = open(TO_BLUE, &rule(&signer.key_set(), ""), &["--access-log", "text"]).await;
    assert_eq!(shop.get("/").await.status, 200);
    assert_eq!(shop.get_with("/", "authorization", "Basic YTpi").await.status, 200);
    for (value, fault) in [
        ("Bearer", TokenFault::Malformed),
        ("bearer ", TokenFault::Malformed),
        ("BEARER x.y.z", TokenFault::Malformed),
    ] {
        let reply = shop.get_with("/a?b=c", "authorization", value).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (401, fault.said()), "{value}");
        let challenge = "Bearer realm=\"http://shop.example/a\", error=\"invalid_token\"";
        assert_eq!(reply.header("www-authenticate"), challenge);
    }
    let expired = signer.token(&claims("").replace(&format!("{}", now() + 3600), "1"));
    let reply = shop.client.call(bearer(&expired)).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (401, TokenFault::Expired.said()));
    let line = shop.gateway.access_line_with(" 401 ").await;
    assert!(line.contains("jwt_authn_access_denied{"), "{line}");
    let preflight = Call::new("OPTIONS", HOST, "/")
        .header("origin", "https://a.example")
        .header("access-control-request-method", "PUT")
        .header("authorization", "Bearer bad");
    assert_eq!(shop.client.call(preflight).await.status, 200);
}

#[tokio::test]
async fn grpc_clients_hear_it_in_their_own_words() {
    let signer = Signer::ecdsa_p256("one");
    let shop = open(TO_BLUE, &rule(&signer.key_set(), ""), &[]).await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let call = Call::new("POST", HOST, "/a.B/C")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", "Bearer bad");
    let reply = client.call(call).await;
    assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, "16"));
    assert!(reply.header("grpc-message").starts_with("Jwt"), "{:?}", reply.headers);
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn tokens_are_taken_from_every_place_and_go_no_further() {
    let signer = Signer::ed25519("one");
    let places = "  fromHeaders: [{name: x-jwt}, {name: x-api, prefix: 'Token '}]\n  \
                  fromParams: [jwt]\n  fromCookies: [session]\n  \
                  outputClaimToHeaders: [{header: x-sub, claim: sub}]\n";
    let mut shop = open(TO_BLUE, &rule(&signer.key_set(), places), &[]).await;
    let token = signer.token(&claims(""));
    let at = |path: &str| Call::get(HOST, path);
    for call in [
        at("/").header("x-jwt", &token),
        at("/").header("x-api", &format!("token {token}")),
        at(&format!("/?a=b&jwt={token}&c=d")),
        at("/").header("cookie", &format!("a=b; session={token}; c=d")),
    ] {
        let reply = shop.client.call(call).await;
        assert_eq!(seen(&reply, "x-sub").as_deref(), Some("ann"));
        assert!(!reply.text().contains(&token), "{}", reply.text());
    }
    for call in [
        at("/").header("x-jwt", "bad"),
        at("/").header("x-api", "Token bad"),
        at("/?jwt=bad"),
        at("/?j%77t=bad"),
        at("/").header("cookie", "session=bad"),
        at(&format!("/?jwt={token}")).header("x-jwt", "bad"),
        at("/").header("x-jwt", &token).header("x-jwt", "bad"),
    ] {
        assert_eq!(shop.client.call(call).await.status, 401);
    }
    // The usual places are not looked at where others are named.
    assert_eq!(shop.client.call(bearer("bad")).await.status, 200);
    let kept = format!("{places}  forwardOriginalToken: true\n");
    apply(&mut shop, TO_BLUE, &rule(&signer.key_set(), &kept)).await;
    let reply = shop.client.call(at("/").header("x-jwt", &token)).await;
    assert_eq!(seen(&reply, "x-jwt"), Some(token));
}

#[tokio::test]
async fn output_headers_are_the_gateways_alone() {
    let signer = Signer::ecdsa_p256("one");
    let outputs = "  outputPayloadToHeader: x-payload\n  outputClaimToHeaders:\n  \
                   - {header: x-sub, claim: sub}\n  - {header: x-team, claim: org.team}\n";
    let mut shop = open(TO_BLUE, &rule(&signer.key_set(), outputs), &[]).await;
    let forge = |call: Call| {
        call.header("x-sub", "root").header("x-payload", "root").header("x-team", "root")
    };
    let reply = shop.client.call(forge(Call::get(HOST, "/"))).await;
    for name in ["x-sub", "x-payload", "x-team"] {
        assert_eq!(seen(&reply, name), None, "{name} without a token");
    }
    let token = signer.token(&claims(r#","org":{"team":7}"#));
    let reply = shop.client.call(forge(bearer(&token))).await;
    assert_eq!(seen(&reply, "x-sub").as_deref(), Some("ann"));
    assert_eq!(seen(&reply, "x-team").as_deref(), Some("7"));
    assert_eq!(seen(&reply, "x-payload").as_deref(), token.split('.').nth(1));
    assert_eq!(seen(&reply, "authorization"), None);
}

#[tokio::test]
async fn rules_route_by_what_a_token_says() {
    let rules = "- match:\n  - headers: {'@request.auth.claims.group': {exact: beta}}\n  \
                 route:\n  - destination: {host: green.example}\n- route:\n  \
                 - destination: {host: blue.example}\n";
    let signer = Signer::ecdsa_p256("one");
    let mut shop = open(rules, &rule(&signer.key_set(), ""), &[]).await;
    let beta = signer.token(&claims(r#","group":["alpha","beta"]"#));
    for _ in 0..2 {
        assert_eq!(shop.client.call(bearer(&beta)).await.upstream(), "green");
    }
    let other = signer.token(&claims(r#","group":"gamma""#));
    assert_eq!(shop.client.call(bearer(&other)).await.upstream(), "blue");
    assert_eq!(shop.get("/").await.upstream(), "blue");
}

#[tokio::test]
async fn a_foreign_audience_is_forbidden_under_compat() {
    let signer = Signer::ecdsa_p256("one");
    let foreign = signer.token(&claims("").replace(TOKEN_AUDIENCE, "other"));
    for (arguments, status) in [(&[][..], 401), (&["--compat", "istio"], 403)] {
        let mut shop = open(TO_BLUE, &rule(&signer.key_set(), ""), arguments).await;
        let reply = shop.client.call(bearer(&foreign)).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (status, TokenFault::Audience.said()));
    }
}

#[tokio::test]
async fn a_broken_policy_refuses_what_it_covers_unless_it_once_was_good() {
    let signer = Signer::ecdsa_p256("one");
    let broken = request_authentication("tokens", "- issuer: ''\n  jwks: '{}'\n");
    let shop = Shop::open(TO_BLUE).await;
    let manifests = join(&[shop.manifests(TO_BLUE), broken]);
    let mut gateway = Gateway::start(&manifests).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/").await.status, 503);
    gateway.logged("PC0210").await;
    let mut shop = open(TO_BLUE, &rule(&signer.key_set(), ""), &[]).await;
    let broken = request_authentication("tokens", "- issuer: x\n  jwks: '{}'\n");
    let manifests = join(&[shop.manifests(TO_BLUE), broken]);
    shop.gateway.apply(&manifests).await;
    assert_eq!(shop.client.call(bearer(&signer.token(&claims("")))).await.status, 200);
    assert_eq!(shop.client.call(bearer("bad")).await.status, 401);
}

#[tokio::test]
async fn several_rules_each_verify_their_own_issuers_tokens() {
    let (one, two) = (Signer::ecdsa_p256("one"), Signer::ed25519("two"));
    let second = format!("- issuer: https://two.example\n  jwks: '{}'\n", two.key_set());
    let rules = format!("{}{second}", rule(&one.key_set(), ""));
    let mut shop = open(TO_BLUE, &rules, &[]).await;
    let of_two = claims("").replace(TOKEN_ISSUER, "https://two.example");
    assert_eq!(shop.client.call(bearer(&one.token(&claims("")))).await.status, 200);
    assert_eq!(shop.client.call(bearer(&two.token(&of_two))).await.status, 200);
    for token in [one.token(&of_two), two.token(&claims(""))] {
        let reply = shop.client.call(bearer(&token)).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (401, TokenFault::NoKey.said()));
    }
    // A reload to other keys counts for open connections too, and for tokens that were good before.
    let token = one.token(&claims(""));
    assert_eq!(shop.client.call(bearer(&token)).await.status, 200);
    apply(&mut shop, TO_BLUE, &rule(&two.key_set(), "")).await;
    assert_eq!(shop.client.call(bearer(&token)).await.status, 401);
    let manifests = shop.manifests(TO_BLUE);
    shop.gateway.apply(&manifests).await;
    assert_eq!(shop.client.call(bearer(&token)).await.status, 200);
}

#[tokio::test]
async fn explain_looks_at_the_token_as_the_gateway_does() {
    let rules = "- match:\n  - headers: {'@request.auth.claims.group': {exact: beta}}\n  \
                 route:\n  - destination: {host: green.example}\n- route:\n  \
                 - destination: {host: blue.example}\n";
    let signer = Signer::ecdsa_p256("one");
    let mut shop = open(rules, &rule(&signer.key_set(), ""), &[]).await;
    let mut explainer = Explainer::of(&shop.gateway).await;
    let url = format!("http://{HOST}/");
    let token = signer.token(&claims(r#","group":"beta""#));
    for (token, route, status) in [(token.as_str(), 0, 200), ("bad", 1, 401)] {
        let field = format!("authorization: Bearer {token}");
        let told = explainer.json(&[("url", &url), ("header", &field)]).await;
        assert_eq!(told["route"], format!("VirtualService/default/shop/http[{route}]"));
        assert_eq!(told["outcome"], if status == 200 { "forward" } else { "refused" });
        let filters = told["filters"].as_array().unwrap();
        assert!(filters.contains(&"authentication".into()), "{filters:?}");
        assert_eq!(shop.client.call(bearer(token)).await.status, status);
    }
}
