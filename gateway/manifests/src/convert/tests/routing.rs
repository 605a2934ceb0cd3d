//! VirtualServices to rules, and their order.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use portcullis_filters::{PathRewrite, RedirectPath};
use portcullis_model::{Action, StringMatch};

use super::{GATEWAY, REVIEWS, convert, only_problem, problems, rendered, route};

const TO_REVIEWS: &str = "route: [{destination: {host: reviews.example.com}}]";

#[test]
fn every_served_field_reaches_the_model() {
    let text = "
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [Shop.Example.com]
  gateways: [edge/gw]
  http:
  - name: canary
    match:
    - uri: {prefix: /api/}
      method: {exact: POST}
      authority: {exact: Shop.example.com}
      headers: {x-user: {prefix: a}, x-any: {}}
    route:
    - destination: {host: reviews.example.com, port: {number: 80}}
      weight: 90
      headers: {response: {add: {x-from: stable}}}
    - destination: {host: reviews.example.com}
      weight: 10
    rewrite: {uri: /v2/, authority: reviews.internal}
    headers:
      request: {set: {x-a: '1'}, remove: [x-b]}
    timeout: 1.5s
  - match: [{uri: {exact: /old}}]
    redirect: {uri: /new, authority: new.example.com, scheme: https, redirectCode: 308}
  - directResponse: {status: 503, body: {string: closed}}
";
    let conversion = convert(&[("gw.yaml", GATEWAY), ("a.yaml", REVIEWS), ("b.yaml", text)]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(
        rendered(&conversion.model),
        "edge/gw http 80 HTTP
  shop.example.com
    VirtualService/shop/shop/http[canary] /api/*
      90% outbound|80||reviews.example.com
      10% outbound|80||reviews.example.com
    VirtualService/shop/shop/http[1] =/old
    VirtualService/shop/shop/http[2]
"
    );
    let rules = &conversion.model.listeners[0].virtual_hosts[0].rules;
    let condition = &rules[0].matches[0];
    assert_eq!(condition.method, Some(StringMatch::Exact("POST".into())));
    assert_eq!(condition.authority, Some(StringMatch::Exact("shop.example.com".into())));
    assert_eq!(condition.headers[0].value, Some(StringMatch::Prefix("a".into())));
    assert_eq!(condition.headers[1].value, None);
    assert_eq!(condition.origin.as_ref().unwrap().line, 11);
    assert_eq!(rules[0].origin.line, 9);
    assert_eq!(rules[0].timeout, Some(Duration::from_millis(1500)));
    let Action::Forward { destinations, path_rewrite, authority_rewrite } = &rules[0].action else {
        panic!("{:?}", rules[0].action)
    };
    assert_eq!(rules[0].request_headers.set[0].1, HeaderValue::from_static("1"));
    assert_eq!(destinations[0].response_headers.add[0].1, HeaderValue::from_static("stable"));
    assert_eq!(path_rewrite.as_ref(), Some(&PathRewrite::Matched("/v2/".into())));
    assert_eq!(authority_rewrite.as_deref(), Some("reviews.internal"));
    let Action::Redirect(redirect) = &rules[1].action else { panic!("{:?}", rules[1].action) };
    assert_eq!(redirect.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(redirect.path, RedirectPath::Replace("/new".into()));
    let Action::DirectResponse(response) = &rules[2].action else { panic!() };
    assert_eq!((response.status.as_u16(), &response.body[..]), (503, &b"closed"[..]));
}

#[test]
fn virtual_services_on_one_host_are_joined_with_what_takes_everything_last() {
    let later = route(
        "later",
        "a.example.com",
        &format!("[{{match: [{{uri: {{prefix: /b}}}}], {TO_REVIEWS}}}]"),
    );
    let earlier = route(
        "earlier",
        "a.example.com",
        &format!("[{{match: [{{uri: {{exact: /a}}}}, {{uri: {{prefix: /}}}}], {TO_REVIEWS}}}]"),
    )
    .replace("namespace: shop}", "namespace: shop, creationTimestamp: '2024-01-01T00:00:00Z'}");
    let conversion = convert(&[
        ("a.yaml", &later),
        ("b.yaml", &earlier),
        ("gw.yaml", GATEWAY),
        ("r.yaml", REVIEWS),
    ]);
    assert_eq!(problems(&conversion), [""; 0]);
    let rules = &conversion.model.listeners[0].virtual_hosts[0].rules;
    let order: Vec<String> =
        rules.iter().map(|rule| format!("{}{}", rule.id, super::paths(rule))).collect();
    assert_eq!(
        order,
        [
            "VirtualService/shop/earlier/http[0] =/a",
            "VirtualService/shop/later/http[0] /b*",
            "VirtualService/shop/earlier/http[0] /*",
        ]
    );
}

#[test]
fn a_rule_that_loses_names_its_winner() {
    let rule = |matches: &str| format!("[{{match: [{matches}], directResponse: {{status: 200}}}}]");
    let first = route("first", "a.example.com", &rule("{uri: {prefix: /api}}"));
    let second =
        route("second", "a.example.com", &rule("{uri: {exact: /other}}, {uri: {prefix: /api/v1}}"));
    let conversion = convert(&[("1.yaml", &first), ("2.yaml", &second), ("gw.yaml", GATEWAY)]);
    assert_eq!(
        only_problem(&conversion),
        "2.yaml:7:43: warning[PC0309] VirtualService/shop/second spec.http[0].match[1]: this never matches: the requests go to VirtualService/shop/first spec.http[0] at 1.yaml:7:10, which comes before it on the same host; remove one of the two; VirtualServices on one host are tried in creation order"
    );
}

#[test]
fn two_that_take_everything_on_one_host_are_reported() {
    let all = "[{directResponse: {status: 200}}]";
    let files = [
        ("1.yaml", route("first", "a.example.com", all)),
        ("2.yaml", route("second", "a.example.com", all)),
    ];
    let conversion =
        convert(&[("1.yaml", &files[0].1), ("2.yaml", &files[1].1), ("gw.yaml", GATEWAY)]);
    assert!(
        only_problem(&conversion)
            .starts_with("2.yaml:7:10: warning[PC0309] VirtualService/shop/second spec.http[0]:")
    );
    // The same conditions with other fields are no reason to worry.
    let by_method = |method| {
        format!("[{{match: [{{method: {{exact: {method}}}}}], directResponse: {{status: 200}}}}]")
    };
    let (first, second) = (by_method("GET"), by_method("PUT"));
    let (first, second) = (route("one", "a.b", &first), route("two", "a.b", &second));
    let conversion = convert(&[("1.yaml", &first), ("2.yaml", &second), ("gw.yaml", GATEWAY)]);
    assert_eq!(problems(&conversion), [""; 0]);
}

#[test]
fn rules_behind_one_that_takes_everything_are_reported_and_left_out() {
    let text = route(
        "a",
        "a.example.com",
        "\n  - directResponse: {status: 200}\n  - match: [{uri: {exact: /x}}]\n    directResponse: {status: 201}",
    );
    let conversion = convert(&[("a.yaml", &text), ("gw.yaml", GATEWAY)]);
    assert_eq!(
        only_problem(&conversion),
        "a.yaml:9:5: warning[PC0214] VirtualService/shop/a spec.http[1]: this rule is never reached: spec.http[0] takes every request; move the rule that takes everything to the end, or give it a match"
    );
    assert_eq!(conversion.model.listeners[0].virtual_hosts[0].rules.len(), 1);
}

#[test]
fn hosts_of_servers_and_routes_meet_in_both_directions() {
    let gateway = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec:
  servers:
  - port: {number: 80, name: wide, protocol: http}
    hosts: ['*.example.com', 'shop/only.example.org', './own.example.net']
";
    let all = "[{directResponse: {status: 200}}]";
    let any = route("any", "*", all);
    let name = route("name", "a.example.com", all);
    let outside = route("outside", "example.com", all);
    let conversion =
        convert(&[("1.yaml", &any), ("2.yaml", &name), ("3.yaml", &outside), ("gw.yaml", gateway)]);
    let hosts = conversion.model.listeners[0].virtual_hosts.iter();
    let hosts: Vec<String> = hosts.map(|host| host.host.to_string()).collect();
    assert_eq!(hosts, ["a.example.com", "only.example.org", "*.example.com"]);
    assert!(only_problem(&conversion).contains("PC0310"), "{:?}", conversion.problems);
}

#[test]
fn listeners_share_their_rules() {
    let gateway = GATEWAY.replace("HTTP}\n    hosts: ['*']", "HTTP}\n    hosts: ['*']\n  - port: {number: 8080, name: other, protocol: HTTP}\n    hosts: ['*.example.com']");
    let routes: Vec<String> = (0..200)
        .map(|number| {
            route(
                &format!("r{number}"),
                &format!("h{number}.example.com"),
                &format!("[{{{TO_REVIEWS}}}]"),
            )
        })
        .collect();
    let conversion =
        convert(&[("gw.yaml", &gateway), ("r.yaml", REVIEWS), ("v.yaml", &routes.join("---\n"))]);
    assert_eq!(problems(&conversion), [""; 0]);
    let [first, second] = conversion.model.listeners.as_slice() else { panic!() };
    assert_eq!((first.virtual_hosts.len(), second.virtual_hosts.len()), (200, 200));
    for (a, b) in first.virtual_hosts.iter().zip(&second.virtual_hosts) {
        assert!(std::sync::Arc::ptr_eq(&a.rules[0], &b.rules[0]));
    }
}
