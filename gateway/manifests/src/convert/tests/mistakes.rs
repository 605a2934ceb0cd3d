//! Mistakes that people make, each with the answer that names it.

use super::{GATEWAY, REVIEWS, convert, only_problem, problems, route};

/// A Gateway with these servers, each in flow style.
fn gateway(servers: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: edge}}\nspec:\n  selector: {{istio: ingressgateway}}\n  servers: [{servers}]\n"
    )
}

fn answered(path: &str) -> String {
    route(
        "shop",
        "a.test",
        &format!("[{{match: [{{uri: {path}}}], directResponse: {{status: 200}}}}]"),
    )
}

fn said(files: &[&str]) -> Vec<String> {
    let named: Vec<(String, &str)> =
        files.iter().enumerate().map(|(number, text)| (format!("{number}.yaml"), *text)).collect();
    let files: Vec<(&str, &str)> = named.iter().map(|(name, text)| (&**name, *text)).collect();
    problems(&convert(&files))
}

#[test]
fn a_path_that_looks_like_an_expression_or_fits_nothing_is_said() {
    let one =
        |path: &str| only_problem(&convert(&[("g.yaml", GATEWAY), ("v.yaml", &answered(path))]));
    for path in ["{prefix: '/static/.*'}", "{exact: '/users/{id}'}", "{prefix: /login*}"] {
        let problem = one(path);
        assert!(
            problem
                .contains("warning[PC0210] VirtualService/shop/shop spec.http[0].match[0].uri: "),
            "{problem}"
        );
        assert!(problem.contains("looks like an expression"), "{problem}");
    }
    for path in ["{exact: '/a?b=c'}", "{prefix: /a/../b}", "{prefix: /café}", "{exact: /%7Ea}"] {
        let problem = one(path);
        assert!(
            problem
                .contains("warning[PC0222] VirtualService/shop/shop spec.http[0].match[0].uri: "),
            "{problem}"
        );
    }
    for path in
        ["{prefix: /$metadata}", "{exact: '/caf%C3%A9'}", "{regex: '/a.*'}", "{prefix: /a/.}"]
    {
        assert_eq!(said(&[GATEWAY, &answered(path)]), [""; 0]);
    }
}

#[test]
fn the_routes_of_a_broken_gateway_are_not_said_to_have_none() {
    let broken = gateway("{port: {number: 80, name: http, protocol: http1}, hosts: ['*']}");
    let connections = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: tls, namespace: shop}\nspec: {hosts: [b.test], gateways: [edge/gw], tls: [{match: [{sniHosts: [b.test]}], route: [{destination: {host: reviews.example.com}}]}]}\n";
    let found = said(&[&broken, &answered("{prefix: /}"), connections, REVIEWS]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("error[PC0210] Gateway/edge/gw"), "{found:#?}");
    let found = said(&[&answered("{prefix: /}"), connections, REVIEWS]);
    assert!(found[0].contains("error[PC0303]"), "{found:#?}");
}

#[test]
fn two_servers_of_one_name_are_said() {
    let server = |host: &str| {
        format!("{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [{host}]}}")
    };
    let problem = only_problem(&convert(&[(
        "g.yaml",
        &gateway(&[server("a.test"), server("b.test")].join(", ")),
    )]));
    assert!(
        problem.contains(
            "warning[PC0210] Gateway/edge/gw spec.servers[1]: spec.servers[0] is called `http` too"
        ),
        "{problem}"
    );
}

#[test]
fn a_policy_on_requests_says_what_it_does_to_connections() {
    let mixed = gateway(
        "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}, {port: {number: 443, name: pass, protocol: TLS}, hosts: [b.test], tls: {mode: PASSTHROUGH}}",
    );
    let policy = |spec: &str| {
        let text = format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: edge}}\nspec: {spec}\n"
        );
        said(&[&mixed, &text])
    };
    let found = policy("{action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]}");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("warning[PC0236] AuthorizationPolicy/edge/p spec.rules: server `pass` of edge/gw passes bytes on and knows no requests, so its conditions on them count as fulfilled there"), "{found:#?}");
    let found = policy("{rules: [{to: [{operation: {methods: [GET]}}]}]}");
    assert!(found[0].contains("so its rules on them match nothing there"), "{found:#?}");
    for quiet in [
        "{action: AUDIT, rules: [{to: [{operation: {paths: [/admin*]}}]}]}",
        "{action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]}",
        "{action: DENY, targetRefs: [{group: networking.istio.io, kind: Gateway, name: gw, sectionName: http}], rules: [{to: [{operation: {paths: [/admin*]}}]}]}",
    ] {
        assert_eq!(policy(quiet), [""; 0], "{quiet}");
    }
}

#[test]
fn what_was_probably_meant_is_named() {
    let to = |host: &str| {
        route("shop", "a.test", &format!("[{{route: [{{destination: {{host: {host}}}}}]}}]"))
    };
    let found = said(&[GATEWAY, REVIEWS, &to("review.example.com")]);
    assert!(found[0].contains("did you mean `reviews.example.com`?"), "{found:#?}");
    let root = route("shop", "a.test", "[{delegate: {name: cart}}]");
    let leaf = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: cart, namespace: team}\nspec: {http: [{directResponse: {status: 200}}]}\n";
    let found = said(&[GATEWAY, &root, leaf]);
    assert!(
        found[0].contains("error[PC0323]") && found[0].contains("did you mean `namespace: team`?"),
        "{found:#?}"
    );
    let late = route(
        "shop",
        "a.test",
        "[{timeout: 10, route: [{destination: {host: reviews.example.com}}]}]",
    );
    let found = said(&[GATEWAY, REVIEWS, &late]);
    assert!(found[0].contains("error[PC0208]") && found[0].contains("as `10s`"), "{found:#?}");
    let old = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: i, namespace: shop}\nspec: {}\n";
    let found = said(&[GATEWAY, old]);
    assert!(
        found[0].contains("warning[PC0203]") && found[0].contains("write `networking.k8s.io/v1`"),
        "{found:#?}"
    );
}
