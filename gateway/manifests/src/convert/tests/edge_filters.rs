//! `rateLimit` and `errorBodies` of EdgePolicies: what they may say, and on which rules they end up.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use portcullis_filters::{ErrorBody, RateLimit};
use portcullis_model::RuleFilters;

use super::{Conversion, GATEWAY, convert, only_problem, problems, route};

const RULES: &str = "[{name: one, match: [{uri: {prefix: /one}}], directResponse: {status: 200}}, {name: two, directResponse: {status: 200}}]";

fn policy(name: &str, namespace: &str, target: &str, rest: &str) -> String {
    format!(
        "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{targetRefs: [{{{target}}}], {rest}}}\n"
    )
}

fn for_service(rest: &str) -> String {
    policy("p", "shop", "kind: VirtualService, name: a", rest)
}

fn with(policies: &[String]) -> Conversion {
    let text = policies.join("---\n");
    convert(&[
        ("gw.yaml", GATEWAY),
        ("r.yaml", &route("a", "a.example.com", RULES)),
        ("p.yaml", &text),
    ])
}

/// What runs on the two rules, and on the listener.
fn filters(conversion: &Conversion) -> [Option<RuleFilters>; 3] {
    let listener = &conversion.model.listeners[0];
    let rules = &listener.virtual_hosts[0].rules;
    let all = [&rules[0].filters, &rules[1].filters, &listener.filters];
    all.map(|filters| filters.as_deref().cloned())
}

fn limited(bucket: &str, requests: u32) -> Option<RuleFilters> {
    let rate_limit = Some(Some(RateLimit {
        bucket: bucket.into(),
        requests,
        interval: Duration::from_secs(1),
        burst: requests,
        status: StatusCode::TOO_MANY_REQUESTS,
    }));
    Some(RuleFilters { rate_limit, ..RuleFilters::default() })
}

#[test]
fn every_field_reaches_its_rules() {
    let rest = "rateLimit: {requests: 100, interval: 1m, burst: 20, status: 503}, errorBodies: [{status: 503, contentType: application/json, body: '{}'}, {status: 5xx, bodyBase64: AAEC}, {status: 400-404, body: ''}]";
    let conversion = with(&[for_service(rest)]);
    assert_eq!(problems(&conversion), [""; 0]);
    let [one, two, listener] = filters(&conversion);
    assert_eq!((&one, listener), (&two, None));
    let RuleFilters { rate_limit, error_bodies, .. } = one.unwrap();
    let expected = RateLimit {
        bucket: "EdgePolicy/shop/p VirtualService/shop/a".into(),
        requests: 100,
        interval: Duration::from_secs(60),
        burst: 20,
        status: StatusCode::SERVICE_UNAVAILABLE,
    };
    assert_eq!(rate_limit, Some(Some(expected)));
    let body = |from, to, content_type, body: &'static [u8]| ErrorBody {
        from,
        to,
        content_type: HeaderValue::from_static(content_type),
        body: Bytes::from_static(body),
    };
    let expected = [
        body(503, 503, "application/json", b"{}"),
        body(500, 599, "text/html", &[0, 1, 2]),
        body(400, 404, "text/html", b""),
    ];
    assert_eq!(error_bodies.unwrap(), expected);
}

#[test]
fn what_a_policy_is_for_shares_one_bucket_and_the_most_specific_wins() {
    let service = for_service("rateLimit: {requests: 2}");
    let rule = policy(
        "r",
        "shop",
        "kind: VirtualService, name: a, sectionName: one",
        "rateLimit: {requests: 3}",
    );
    let gateway = policy("g", "edge", "kind: Gateway, name: gw", "rateLimit: {requests: 4}");
    let conversion = with(&[service.clone(), rule, gateway]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(
        filters(&conversion),
        [
            limited("EdgePolicy/shop/r VirtualService/shop/a/one", 3),
            limited("EdgePolicy/shop/p VirtualService/shop/a", 2),
            limited("EdgePolicy/edge/g Gateway/edge/gw", 4),
        ]
    );
    let server = "kind: Gateway, name: gw, sectionName: http";
    let of_server = policy("g", "edge", server, "rateLimit: {requests: 5}");
    let off = "kind: VirtualService, name: a, sectionName: one";
    for written in ["off", "'off'", "false"] {
        let off = policy("r", "shop", off, &format!("rateLimit: {written}"));
        let conversion = with(&[service.clone(), off, of_server.clone()]);
        assert_eq!(problems(&conversion), [""; 0], "{written}");
        let [one, two, listener] = filters(&conversion);
        let none = RuleFilters { rate_limit: Some(None), ..RuleFilters::default() };
        assert_eq!(one, Some(none), "written off, not left open");
        assert_eq!(two, limited("EdgePolicy/shop/p VirtualService/shop/a", 2));
        assert_eq!(listener, limited("EdgePolicy/edge/g Gateway/edge/gw/http", 5));
    }
}

#[test]
fn without_a_target_each_gateway_has_a_bucket_of_its_own() {
    let second = GATEWAY
        .replace("name: gw", "name: second")
        .replace("hosts: ['*']", "hosts: [b.example.com]");
    let policy = "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {name: m, namespace: istio-system}\nspec: {rateLimit: {requests: 1}}\n";
    let conversion = convert(&[("a.yaml", GATEWAY), ("b.yaml", &second), ("p.yaml", policy)]);
    assert_eq!(problems(&conversion), [""; 0]);
    let filters = |listener: &portcullis_model::Listener| listener.filters.as_deref().cloned();
    let all: Vec<_> = conversion.model.listeners.iter().map(filters).collect();
    let bucket =
        |gateway: &str| limited(&format!("EdgePolicy/istio-system/m Gateway/edge/{gateway}"), 1);
    assert_eq!(all, [bucket("gw"), bucket("second")]);
}

#[test]
fn each_bad_value_says_what_to_write() {
    let many = format!("errorBodies: [{}]", "{status: 500, body: x}, ".repeat(33));
    let large = format!("errorBodies: [{{status: 500, body: {}}}]", "x".repeat((64 << 10) + 1));
    for (rest, expected) in [
        ("rateLimit: {requests: 0}", "spec.rateLimit.requests: 0 is not from 1 to 1000000"),
        ("rateLimit: {requests: 1000001}", "1000001 is not from 1 to 1000000"),
        ("rateLimit: {interval: 1s}", "error[PC0209] EdgePolicy/shop/p spec.rateLimit.requests"),
        (
            "rateLimit: {requests: 1, interval: 0s}",
            "spec.rateLimit.interval: 0ns is not from 1ms to 24h",
        ),
        ("rateLimit: {requests: 1, interval: 25h}", "90000s is not from 1ms to 24h"),
        ("rateLimit: {requests: 1, interval: soon}", "`soon` is no duration"),
        ("rateLimit: {requests: 1, burst: 0}", "spec.rateLimit.burst: 0 is not from 1 to 1000000"),
        (
            "rateLimit: {requests: 1, status: 200}",
            "spec.rateLimit.status: 200 is not from 400 to 599",
        ),
        (
            "rateLimit: {request: 1}",
            "a rate limit has no field `request`; did you mean `requests`?",
        ),
        (
            "rateLimit: 5",
            "error[PC0208] EdgePolicy/shop/p spec.rateLimit: this has to be a mapping",
        ),
        ("errorBodies: {}", "spec.errorBodies: this has to be a list"),
        ("errorBodies: [{body: x}]", "error[PC0209] EdgePolicy/shop/p spec.errorBodies[0].status"),
        (
            "errorBodies: [{status: 500}]",
            "spec.errorBodies[0].body: an error body has no `body`; write `body` as text, or `bodyBase64`",
        ),
        ("errorBodies: [{status: 302, body: x}]", "302 is not from 400 to 599"),
        (
            "errorBodies: [{status: 3xx, body: x}]",
            "`3xx` is no status of an error; write a status as 503, `4xx` or `5xx`, or a range as `500-504`",
        ),
        ("errorBodies: [{status: 504-500, body: x}]", "`504-500` is no status of an error"),
        ("errorBodies: [{status: 500-600, body: x}]", "`500-600` is no status of an error"),
        ("errorBodies: [{status: 500, body: x, bodyBase64: AA==}]", "error[PC0212]"),
        (
            "errorBodies: [{status: 500, bodyBase64: '?'}]",
            "spec.errorBodies[0].bodyBase64: this is not base64",
        ),
        (
            "errorBodies: [{status: 500, body: 1}]",
            "spec.errorBodies[0].body: this has to be a string",
        ),
        (
            "errorBodies: [{status: 500, contentType: \"a\\nb\", body: x}]",
            "the value has characters that no header field can carry",
        ),
        ("errorBodies: [{status: 500, html: x}]", "an error body has no field `html`"),
        (&large, "the body has 65537 bytes, more than 64Ki"),
    ] {
        let conversion = with(&[for_service(rest)]);
        let said = problems(&conversion).join("\n");
        assert!(said.contains(expected), "{rest:.80}: {said}");
        if rest.starts_with("rateLimit") {
            assert!(said.contains("the requests that it limits are refused with 503"), "{said}");
            let [limit, ..] = filters(&conversion);
            assert_eq!(limit.unwrap().rate_limit.flatten().unwrap().burst, 0);
            continue;
        }
        assert!(said.contains("until then the object is left out"), "{said}");
        assert_eq!(filters(&conversion), [None, None, None]);
    }
    let said = problems(&with(&[for_service(&many)])).join("\n");
    assert!(said.contains("there are more than 32 error bodies"), "{said}");
}

#[test]
fn a_body_that_is_never_shown_is_a_warning() {
    let rest = "errorBodies: [{status: 5xx, body: a}, {status: 503, body: b}]";
    let conversion = with(&[for_service(rest)]);
    assert!(
        only_problem(&conversion).contains(
            "warning[PC0217] EdgePolicy/shop/p spec.errorBodies[1]: `errorBodies[0]` comes first for all of these statuses; put what is for fewer statuses in front"
        ),
        "{:?}",
        problems(&conversion)
    );
    let [one, ..] = filters(&conversion);
    assert_eq!(one.unwrap().error_bodies.unwrap().len(), 2);
}
