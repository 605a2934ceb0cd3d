//! GRPCRoutes: methods as paths, their order, and who has a host.

use portcullis_model::{Action, PathMatch};

use super::{convert, only_problem, problems};

/// A Gateway of Gateway API with a listener of each protocol that takes routes of every namespace.
pub(super) const API_GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec:
  gatewayClassName: portcullis
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - {name: tcp, port: 9000, protocol: TCP, allowedRoutes: {namespaces: {from: All}}}
  - name: tls
    port: 8443
    protocol: TLS
    hostname: '*.a.test'
    tls: {mode: Passthrough}
    allowedRoutes: {namespaces: {from: All}}
---
";

/// The Service `web` of the namespace `shop` with an endpoint.
pub(super) const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80, name: http}, {port: 443, name: https}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: https, port: 8443}]
endpoints: [{addresses: [10.0.0.1]}]
---
";

/// A route of a kind on `edge/gw` with this `spec` beside its parents.
pub(super) fn api_route(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  parentRefs: [{{name: gw, namespace: edge}}]\n{spec}\n---\n"
    )
}

const TO_WEB: &str = "backendRefs: [{name: web, port: 80}]";

fn rule(matches: &str) -> String {
    format!("  - matches: {matches}\n    {TO_WEB}\n")
}

#[test]
fn methods_are_paths_and_the_longer_name_comes_first() {
    let rules = [
        rule("[{}]"),
        rule("[{method: {method: Get}}]"),
        rule("[{method: {service: shop.Cart}}]"),
        rule("[{method: {service: shop.Cart, method: Get}, headers: [{name: x-a, value: b}]}]"),
        rule("[{method: {service: shop.Cart, method: Get}}]"),
        rule(
            "[{method: {type: RegularExpression, service: 'shop\\.(Cart|Wish)+', method: 'G.*'}}]",
        ),
    ];
    let text = api_route("GRPCRoute", "r", &format!("  rules:\n{}", rules.concat()));
    let conversion = convert(&[("gw.yaml", API_GATEWAY), ("a.yaml", &(WEB.to_owned() + &text))]);
    assert_eq!(problems(&conversion), [""; 0]);
    let rules = &conversion.model.listeners[0].virtual_hosts[0].rules;
    let seen: Vec<_> = rules
        .iter()
        .map(|rule| match rule.matches[0].path.as_ref().unwrap() {
            PathMatch::Exact(path) => (&*rule.id, format!("={path}")),
            PathMatch::Prefix(path) => (&*rule.id, format!("{path}*")),
            PathMatch::Segments(path) => (&*rule.id, format!("{path}/*")),
            PathMatch::Pattern(pattern) => (&*rule.id, format!("~{pattern}")),
        })
        .collect();
    let of =
        |index: usize, path: &str| (format!("GRPCRoute/shop/r/rules[{index}]"), path.to_owned());
    let wanted = [
        of(5, "~/(?:shop\\.(Cart|Wish)+)/(?:G.*)"),
        of(3, "=/shop.Cart/Get"),
        of(4, "=/shop.Cart/Get"),
        of(2, "/shop.Cart/*"),
        of(1, "~/(?:[^/]+)/(?:Get)"),
        of(0, "/*"),
    ];
    let wanted: Vec<_> = wanted.iter().map(|(id, path)| (&**id, path.clone())).collect();
    assert_eq!(seen, wanted);
    let Action::Forward { destinations, .. } = &rules[0].action else { panic!() };
    assert_eq!(destinations[0].cluster.to_string(), "outbound|80||web.shop.svc.cluster.local");
}

#[test]
fn named_rules_filters_and_missing_backends() {
    let spec = "  rules:
  - name: main
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: b}]}}]
    backendRefs: [{name: web, port: 80, weight: 3}, {name: gone, port: 80}]";
    let text = WEB.to_owned() + &api_route("GRPCRoute", "r", spec);
    let conversion = convert(&[("gw.yaml", API_GATEWAY), ("a.yaml", &text)]);
    let problem = only_problem(&conversion);
    assert!(problem.contains("error[PC0304] GRPCRoute/shop/r spec.rules[0].backendRefs[1].name: there is no Service/shop/gone"), "{problem}");
    let rule = &conversion.model.listeners[0].virtual_hosts[0].rules[0];
    assert_eq!(&*rule.id, "GRPCRoute/shop/r/rules[main]");
    assert_eq!(rule.request_headers.set.len(), 1);
    let Action::Forward { destinations, .. } = &rule.action else { panic!() };
    assert_eq!((destinations[0].weight, destinations[1].cluster.port), (3, 0));
}

#[test]
fn of_an_http_and_a_grpc_route_on_one_host_the_older_stays() {
    let spec = "  hostnames: [x.test]\n  rules:\n  - backendRefs: [{name: web, port: 80}]";
    let other = spec.replace("x.test", "'*.test'");
    let apart = spec.replace("x.test", "y.example");
    let routes = WEB.to_owned()
        + &api_route("HTTPRoute", "old", spec)
        + &api_route("GRPCRoute", "new", &other)
        + &api_route("GRPCRoute", "apart", &apart);
    let conversion = convert(&[("gw.yaml", API_GATEWAY), ("a.yaml", &routes)]);
    let problem = only_problem(&conversion);
    assert!(problem.contains("error[PC0342] GRPCRoute/shop/new spec.parentRefs[0].name: HTTPRoute/shop/old has the host `x.test`"), "{problem}");
    let hosts: Vec<_> = conversion.model.listeners[0]
        .virtual_hosts
        .iter()
        .map(|host| (host.host.to_string(), host.rules[0].id.to_string()))
        .collect();
    assert_eq!(
        hosts,
        [
            ("x.test".to_owned(), "HTTPRoute/shop/old/rules[0]".to_owned()),
            ("y.example".to_owned(), "GRPCRoute/shop/apart/rules[0]".to_owned()),
        ]
    );
}

#[test]
fn every_wrong_grpc_route_is_said_at_its_place() {
    let of_method =
        |method: &str| format!("  rules:\n  - matches: [{{method: {method}}}]\n    {TO_WEB}");
    let place = "GRPCRoute/shop/r spec.rules[0]";
    for (spec, wanted) in [
        (
            "  hostnames: [a.test]".to_owned(),
            "PC0209] GRPCRoute/shop/r spec.rules: a GRPCRoute has no `rules`".to_owned(),
        ),
        (of_method("{}"), format!("PC0210] {place}.matches[0].method: the condition says nothing")),
        (
            of_method("{service: ''}"),
            format!("PC0210] {place}.matches[0].method.service: this must not be empty"),
        ),
        (
            of_method("{service: a/b}"),
            format!("PC0210] {place}.matches[0].method.service: `a/b` is no name of a service"),
        ),
        (
            of_method("{service: a..b}"),
            format!("PC0210] {place}.matches[0].method.service: `a..b` is no name"),
        ),
        (
            of_method("{service: a, method: 'x.y'}"),
            format!("PC0210] {place}.matches[0].method.method: `x.y` is no name of a method"),
        ),
        (
            of_method("{type: Prefix, service: a}"),
            format!("PC0210] {place}.matches[0].method.type: `Prefix` is not known here"),
        ),
        (
            of_method("{type: RegularExpression, service: 'a('}"),
            format!("PC0218] {place}.matches[0].method.service:"),
        ),
        (
            of_method("{type: RegularExpression, service: 'a)(b'}"),
            format!("PC0218] {place}.matches[0].method.service:"),
        ),
        (
            of_method("{services: a}"),
            format!("PC0206] {place}.matches[0].method.services: a method match has no field"),
        ),
        (
            format!(
                "  rules:\n  - matches: [{{headers: [{{name: 'a b', value: c}}]}}]\n    {TO_WEB}"
            ),
            format!("PC0210] {place}.matches[0].headers[0]"),
        ),
        (
            format!(
                "  rules:\n  - filters: [{{type: URLRewrite, urlRewrite: {{hostname: a.test}}}}]\n    {TO_WEB}"
            ),
            format!("PC0211] {place}.filters[0]: filters of type URLRewrite"),
        ),
        (
            format!("  rules:\n  - timeouts: {{request: 1s}}\n    {TO_WEB}"),
            format!("PC0206] {place}.timeouts: a rule has no field"),
        ),
        (
            format!("  rules:\n  - {{name: a, {TO_WEB}}}\n  - {{name: a, {TO_WEB}}}"),
            "PC0210] GRPCRoute/shop/r spec: two rules have the name `a`".to_owned(),
        ),
        (
            "  rules:\n  - backendRefs: [{name: web}]".to_owned(),
            format!("PC0306] {place}.backendRefs[0].port: the port of a Service has to be named"),
        ),
        (
            "  rules:\n  - backendRefs: [{name: web, port: 81}]".to_owned(),
            format!("PC0306] {place}.backendRefs[0].port: Service/shop/web has no port 81"),
        ),
        (
            "  rules:\n  - backendRefs: [{name: web, port: 80, namespace: other}]".to_owned(),
            format!("PC0345] {place}.backendRefs[0]: no ReferenceGrant"),
        ),
        (
            "  rules:\n  - backendRefs: [{name: web, port: 80, kind: Bucket}]".to_owned(),
            format!("PC0211] {place}.backendRefs[0].kind: a `Bucket` is no backend"),
        ),
    ] {
        let text = WEB.to_owned() + &api_route("GRPCRoute", "r", &spec);
        let found = problems(&convert(&[("gw.yaml", API_GATEWAY), ("a.yaml", &text)]));
        assert!(
            found.iter().any(|problem| problem.contains(&wanted)),
            "{spec}\nwanted {wanted}\n{found:#?}"
        );
    }
}
