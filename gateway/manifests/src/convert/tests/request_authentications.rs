//! `RequestAuthentication`: every field, every wrong value.

use std::time::Duration;

use portcullis_filters::{JwtRule, KeyLocation, KeyUrl, OriginalToken, RemoteLocation, TokenPlace};
use portcullis_model::Authentication;

use super::{Conversion, GATEWAY, convert, convert_after, problems};

/// Of RFC 7515 appendix A.1.
const JWKS: &str = r#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: {name}, namespace: edge}}\nspec: {spec}\n"
    )
}

fn with_rule(rule: &str) -> Conversion {
    let text = policy("p", &format!("{{jwtRules: [{rule}]}}"));
    convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)])
}

fn authentication(conversion: &Conversion) -> Option<&Authentication> {
    conversion.model.listeners[0].authentication.as_deref()
}

fn only_rule(rule: &str) -> JwtRule {
    let conversion = with_rule(rule);
    assert_eq!(problems(&conversion), [""; 0], "{rule}");
    let authentication = authentication(&conversion).unwrap();
    assert_eq!(authentication.rules.len(), 1);
    authentication.rules[0].clone()
}

#[test]
fn every_field_is_read() {
    let rule = only_rule(&format!(
        "{{issuer: a, audiences: [x, z], jwks: '{JWKS}', fromHeaders: [{{name: X-Jwt, prefix: 'Token '}}, {{name: z}}], \
         fromParams: [p], fromCookies: [c], outputPayloadToHeader: x-payload, \
         outputClaimToHeaders: [{{header: X-Sub, claim: sub}}], forwardOriginalToken: true, \
         spaceDelimitedClaims: [roles], timeout: 2s}}"
    ));
    let header = |name: &'static str, prefix: &str| TokenPlace::Header {
        name: http::HeaderName::from_static(name),
        prefix: prefix.into(),
    };
    assert_eq!((&*rule.issuer, rule.audiences), ("a", vec!["x".into(), "z".into()]));
    assert_eq!(rule.keys, KeyLocation::Inline(JWKS.into()));
    let places = [header("x-jwt", "Token"), header("z", "")];
    let others = [TokenPlace::Param("p".into()), TokenPlace::Cookie("c".into())];
    assert_eq!(rule.places, [places, others].concat());
    assert_eq!(rule.payload_header.unwrap(), "x-payload");
    assert_eq!(rule.claim_headers[0].header, "x-sub");
    assert_eq!(&*rule.claim_headers[0].claim, "sub");
    assert_eq!((rule.original, rule.word_claims), (OriginalToken::Kept, vec!["roles".into()]));
    let usual = only_rule("{issuer: a, jwksUri: 'https://a.example/keys'}");
    assert_eq!((usual.places, usual.original), (TokenPlace::usual(), OriginalToken::Removed));
}

#[test]
fn keys_are_inline_at_a_url_or_where_the_issuer_says() {
    let at = |url: KeyUrl, seconds: u64| {
        KeyLocation::Remote(RemoteLocation { url, timeout: Duration::from_secs(seconds) })
    };
    let keys = |rule: &str| only_rule(rule).keys;
    let url = || KeyUrl::Keys("https://a.example/keys".into());
    assert_eq!(keys("{issuer: a, jwksUri: 'https://a.example/keys'}"), at(url(), 5));
    assert_eq!(keys("{issuer: a, jwksUri: 'https://a.example/keys', timeout: 9s}"), at(url(), 9));
    for issuer in ["https://a.example", "https://a.example/"] {
        let document = "https://a.example/.well-known/openid-configuration".into();
        let url = KeyUrl::Discovery { document, issuer: issuer.into() };
        assert_eq!(keys(&format!("{{issuer: '{issuer}'}}")), at(url, 5));
    }
}

#[test]
fn what_is_odd_is_said_and_served() {
    let enc = JWKS.replace("]}", r#",{"kty":"oct","use":"enc","k":"AA"}]}"#);
    for (rule, code) in [
        ("{issuer: a, jwksUri: 'http://a.example/keys'}".to_owned(), "PC0232"),
        ("{issuer: 'http://a.example'}".to_owned(), "PC0232"),
        ("{issuer: a, jwks_uri: 'https://a.example/keys'}".to_owned(), "PC0216"),
        (format!("{{issuer: a, jwks: '{enc}'}}"), "PC0231"),
    ] {
        let conversion = with_rule(&rule);
        let lines = problems(&conversion);
        assert!(lines.len() == 1 && lines[0].contains(&format!("warning[{code}]")), "{lines:?}");
        assert!(authentication(&conversion).is_some(), "{rule}");
    }
}

#[test]
fn every_wrong_value_has_its_code_and_refuses_what_it_covers() {
    let good = "issuer: a, jwksUri: 'https://a.example/keys'";
    let cases = [
        ("{jwksUri: 'https://a.example/keys'}", "PC0209", "issuer"),
        ("{issuer: '', jwksUri: 'https://a.example/keys'}", "PC0210", "issuer"),
        ("{issuer: 1, jwksUri: 'https://a.example/keys'}", "PC0208", "issuer"),
        ("{issuer: a}", "PC0209", "jwksUri"),
        ("{issuer: a, jwks: x, jwksUri: 'https://a.example/keys'}", "PC0212", ""),
        ("{issuer: a, jwks: 'x'}", "PC0230", "jwks"),
        ("{issuer: a, jwks: '{}'}", "PC0230", "jwks"),
        (r#"{issuer: a, jwks: '{"keys":[]}'}"#, "PC0230", "jwks"),
        (r#"{issuer: a, jwks: '{"keys":[{"kty":"oct","k":"AA"}]}'}"#, "PC0230", "jwks"),
        (r#"{issuer: a, jwks: '{"keys":[],"keys":[]}'}"#, "PC0230", "jwks"),
        ("{issuer: a, jwksUri: ''}", "PC0210", "jwksUri"),
        ("{issuer: a, jwksUri: 'ftp://a.example/keys'}", "PC0210", "jwksUri"),
        ("{issuer: a, jwksUri: 'file:///etc/passwd'}", "PC0210", "jwksUri"),
        ("{issuer: a, jwksUri: '/keys'}", "PC0210", "jwksUri"),
        ("{issuer: a, jwksUri: 'https://u:p@a.example/keys'}", "PC0210", "jwksUri"),
        ("{issuer: a, jwksUri: 'https://a.example/keys#x'}", "PC0210", "jwksUri"),
        ("{issuer: a, jwksUri: 'https:///keys'}", "PC0210", "jwksUri"),
        ("{issuer: 'https://'}", "PC0210", "issuer"),
        ("{GOOD, audiences: x}", "PC0208", "audiences"),
        ("{GOOD, audiences: ['']}", "PC0210", "audiences[0]"),
        ("{GOOD, fromHeaders: [{}]}", "PC0209", "fromHeaders[0].name"),
        ("{GOOD, fromHeaders: [{name: ''}]}", "PC0210", "fromHeaders[0].name"),
        ("{GOOD, fromHeaders: [{name: 'a b'}]}", "PC0210", "fromHeaders[0].name"),
        ("{GOOD, fromHeaders: [{name: a, prefix: 1}]}", "PC0208", "fromHeaders[0].prefix"),
        ("{GOOD, fromHeaders: [{name: a, sufix: x}]}", "PC0206", "fromHeaders[0].sufix"),
        ("{GOOD, fromParams: ['']}", "PC0210", "fromParams[0]"),
        ("{GOOD, fromCookies: [1]}", "PC0208", "fromCookies[0]"),
        ("{GOOD, outputPayloadToHeader: 'a b'}", "PC0210", "outputPayloadToHeader"),
        ("{GOOD, outputPayloadToHeader: Host}", "PC0210", "outputPayloadToHeader"),
        ("{GOOD, outputPayloadToHeader: content-length}", "PC0210", "outputPayloadToHeader"),
        ("{GOOD, outputClaimToHeaders: [{claim: x}]}", "PC0209", "outputClaimToHeaders[0].header"),
        ("{GOOD, outputClaimToHeaders: [{header: x}]}", "PC0209", "outputClaimToHeaders[0].claim"),
        (
            "{GOOD, outputClaimToHeaders: [{header: upgrade, claim: x}]}",
            "PC0210",
            "outputClaimToHeaders[0].header",
        ),
        ("{GOOD, forwardOriginalToken: maybe}", "PC0208", "forwardOriginalToken"),
        ("{GOOD, spaceDelimitedClaims: ['']}", "PC0210", "spaceDelimitedClaims[0]"),
        ("{GOOD, timeout: 0s}", "PC0210", "timeout"),
        ("{GOOD, timeout: soon}", "PC0210", "timeout"),
        ("{GOOD, timeout: 2m}", "PC0210", "timeout"),
        ("{GOOD, isuer: x}", "PC0206", "isuer"),
        ("x", "PC0208", ""),
    ];
    for (rule, code, field) in cases {
        let conversion = with_rule(&rule.replace("GOOD", good));
        let dot = if field.is_empty() { "" } else { "." };
        let wanted =
            format!("error[{code}] RequestAuthentication/edge/p spec.jwtRules[0]{dot}{field}:");
        let lines = problems(&conversion);
        assert!(lines.iter().any(|line| line.contains(&wanted)), "{rule}: {lines:#?}");
        let refused = conversion.model.listeners[0].plugins.iter().any(|id| &*id.name == "p");
        assert!(refused && authentication(&conversion).is_none(), "{rule}");
    }
}

#[test]
fn a_broken_one_is_replaced_by_its_last_good_version() {
    let good = policy("p", &format!("{{jwtRules: [{{issuer: a, jwks: '{JWKS}'}}]}}"));
    let first = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &good)]);
    let broken = policy("p", "{jwtRules: [{issuer: a, jwks: x}]}");
    let second = convert_after(&[("gw.yaml", GATEWAY), ("p.yaml", &broken)], &first.memory);
    assert_eq!(authentication(&second), authentication(&first));
    assert!(authentication(&second).is_some() && second.model.listeners[0].plugins.is_empty());
    assert!(problems(&second)[0].contains("its last good version serves on"));
}

#[test]
fn all_that_cover_a_listener_count_and_without_rules_none_do() {
    let one = policy("a", &format!("{{jwtRules: [{{issuer: a, jwks: '{JWKS}'}}]}}"));
    let two = policy("b", &format!("{{jwtRules: [{{issuer: b, jwks: '{JWKS}'}}]}}"));
    let other = policy(
        "c",
        &format!(
            "{{selector: {{matchLabels: {{app: x}}}}, jwtRules: [{{issuer: c, jwks: '{JWKS}'}}]}}"
        ),
    );
    let texts = [("a.yaml", &*one), ("b.yaml", &two), ("c.yaml", &other), ("gw.yaml", GATEWAY)];
    let conversion = convert(&texts);
    let rules = &authentication(&conversion).unwrap().rules;
    let issuers: Vec<&str> = rules.iter().map(|rule| &*rule.issuer).collect();
    assert_eq!(issuers, ["a", "b"]);
    let lines = problems(&conversion);
    assert!(lines.len() == 1 && lines[0].contains("warning[PC0350]"), "{lines:?}");
    for spec in ["{}", "{jwtRules: []}"] {
        let text = policy("p", spec);
        let conversion = convert(&[("gw.yaml", GATEWAY), ("p.yaml", &text)]);
        assert!(problems(&conversion)[0].contains("warning[PC0217]"), "{spec}");
        assert!(authentication(&conversion).is_none());
    }
}
