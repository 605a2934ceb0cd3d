//! TLSRoutes and TCPRoutes: where bytes go.

use super::grpc_routes::{API_GATEWAY, WEB, api_route};
use super::{Conversion, convert, only_problem, problems};

/// Listener, server names and clusters of each rule for connections.
fn rules(conversion: &Conversion) -> Vec<String> {
    let listeners = conversion.model.listeners.iter();
    listeners
        .flat_map(|listener| listener.tcp_routes.iter().map(move |route| (listener, route)))
        .map(|(listener, route)| {
            let names: Vec<_> = route.server_names.iter().map(ToString::to_string).collect();
            let to = route.rule.destinations.iter();
            let to: Vec<_> = to.map(|to| format!("{}% {}", to.weight, to.cluster)).collect();
            format!("{} {} [{}] {}", listener.server, route.rule.id, names.join(" "), to.join(", "))
        })
        .collect()
}

fn converted(text: &str) -> Conversion {
    convert(&[("gw.yaml", API_GATEWAY), ("a.yaml", &(WEB.to_owned() + text))])
}

#[test]
fn a_tls_route_takes_its_names_and_a_tcp_route_everything() {
    let tls = "  hostnames: [x.a.test, b.test]\n  rules:\n  - backendRefs: [{name: web, port: 443, weight: 9}, {name: web, port: 80}]";
    let tcp = "  rules:\n  - {name: main, backendRefs: [{name: web, port: 80}]}";
    let text = api_route("TLSRoute", "t", tls) + &api_route("TCPRoute", "c", tcp);
    let conversion = converted(&text);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(
        rules(&conversion),
        [
            "tcp TCPRoute/shop/c/rules[main] [] 1% outbound|80||web.shop.svc.cluster.local",
            "tls TLSRoute/shop/t/rules[0] [x.a.test] 9% outbound|443||web.shop.svc.cluster.local, 1% outbound|80||web.shop.svc.cluster.local",
        ]
    );
}

#[test]
fn without_hostnames_a_tls_route_takes_those_of_the_listener() {
    let conversion = converted(&api_route(
        "TLSRoute",
        "t",
        "  rules: [{backendRefs: [{name: web, port: 443}]}]",
    ));
    assert_eq!(
        rules(&conversion),
        ["tls TLSRoute/shop/t/rules[0] [*.a.test] 1% outbound|443||web.shop.svc.cluster.local"]
    );
}

#[test]
fn of_two_tcp_routes_the_older_comes_first() {
    let spec = "  rules: [{backendRefs: [{name: web, port: 80}]}]";
    let dated = |name: &str, year: &str| {
        api_route("TCPRoute", name, spec).replace(
            "namespace: shop}",
            &format!("namespace: shop, creationTimestamp: '{year}-01-01T00:00:00Z'}}"),
        )
    };
    let conversion = converted(&(dated("new", "2026") + &dated("old", "2025")));
    let ids: Vec<_> =
        conversion.model.listeners[1].tcp_routes.iter().map(|route| &*route.rule.id).collect();
    assert_eq!(ids, ["TCPRoute/shop/old/rules[0]", "TCPRoute/shop/new/rules[0]"]);
}

#[test]
fn a_backend_that_must_not_be_used_takes_its_share_nowhere() {
    let spec = "  rules: [{backendRefs: [{name: web, port: 80}, {name: web, namespace: other, port: 80}]}]";
    let conversion = converted(&api_route("TCPRoute", "c", spec));
    assert!(only_problem(&conversion).contains("error[PC0345] TCPRoute/shop/c spec.rules[0].backendRefs[1]: no ReferenceGrant of the namespace `other`"));
    assert_eq!(
        rules(&conversion),
        [
            "tcp TCPRoute/shop/c/rules[0] [] 1% outbound|80||web.shop.svc.cluster.local, 1% outbound|0||web.other.svc.cluster.local"
        ]
    );
}

#[test]
fn every_wrong_route_of_connections_is_said_at_its_place() {
    let backend = "backendRefs: [{name: web, port: 80}]";
    for (kind, spec, wanted) in [
        (
            "TLSRoute",
            format!("  useDefaultGateways: All\n  rules: [{{{backend}}}]"),
            "PC0207] TLSRoute/shop/r spec.useDefaultGateways",
        ),
        (
            "TCPRoute",
            format!("  useDefaultGateways: All\n  rules: [{{{backend}}}]"),
            "PC0207] TCPRoute/shop/r spec.useDefaultGateways",
        ),
        (
            "TCPRoute",
            "  hostnames: [a.test]".to_owned(),
            "PC0206] TCPRoute/shop/r spec.hostnames: a TCPRoute has no field",
        ),
        (
            "TCPRoute",
            "  x: 1".to_owned(),
            "PC0209] TCPRoute/shop/r spec.rules: a TCPRoute has no `rules`",
        ),
        (
            "TCPRoute",
            "  rules: []".to_owned(),
            "PC0210] TCPRoute/shop/r spec.rules: a route without rules",
        ),
        (
            "TCPRoute",
            "  rules: [{}]".to_owned(),
            "PC0209] TCPRoute/shop/r spec.rules[0].backendRefs: a rule has no `backendRefs`",
        ),
        (
            "TCPRoute",
            format!("  rules: [{{{backend}}}, {{{backend}}}]"),
            "PC0214] TCPRoute/shop/r spec.rules[1]: this rule is never reached",
        ),
        (
            "TCPRoute",
            "  rules: [{backendRefs: [{name: web, port: 80, weight: 0}]}]".to_owned(),
            "PC0217] TCPRoute/shop/r spec.rules[0].backendRefs: no backend of the TCPRoute has a weight",
        ),
        (
            "TCPRoute",
            "  rules: [{backendRefs: [{name: web, port: 80, weight: -1}]}]".to_owned(),
            "PC0210] TCPRoute/shop/r spec.rules[0].backendRefs[0].weight: -1 is not from 0",
        ),
        (
            "TCPRoute",
            "  rules: [{backendRefs: [{name: web, port: 0}]}]".to_owned(),
            "PC0210] TCPRoute/shop/r spec.rules[0].backendRefs[0].port: 0 is not from 1",
        ),
        (
            "TLSRoute",
            format!("  hostnames: ['*']\n  rules: [{{{backend}}}]"),
            "PC0210] TLSRoute/shop/r spec.hostnames[0]: `*` is no hostname here",
        ),
        (
            "TLSRoute",
            format!("  hostnames: [z.test]\n  rules: [{{{backend}}}]"),
            "PC0310] TLSRoute/shop/r spec.hostnames: no listener of Gateway/edge/gw has any",
        ),
        (
            "TLSRoute",
            format!("  rules: [{{matches: [], {backend}}}]"),
            "PC0206] TLSRoute/shop/r spec.rules[0].matches: a rule has no field",
        ),
    ] {
        let found = problems(&converted(&api_route(kind, "r", &spec)));
        assert!(
            found.iter().any(|problem| problem.contains(wanted)),
            "{spec}\nwanted {wanted}\n{found:#?}"
        );
    }
}
