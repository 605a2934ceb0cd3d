//! Which listeners a route is attached to.

use super::*;

const RULES: &str = "[{backendRefs: [{name: v1, port: 8080}]}]";

/// The listeners with a route, each with its hosts.
fn bound(conversion: &Conversion) -> String {
    let listeners = conversion.model.listeners.iter();
    let with_routes = listeners.filter(|each| !each.virtual_hosts.is_empty());
    let shown = with_routes.map(|each| {
        let hosts: Vec<_> = each.virtual_hosts.iter().map(|host| host.host.to_string()).collect();
        format!("{}: {}", each.server, hosts.join(", "))
    });
    shown.collect::<Vec<_>>().join("; ")
}

fn open(name: &str, port: u16, hostname: &str) -> String {
    let hostname = match hostname {
        "" => String::new(),
        hostname => format!(", hostname: '{hostname}'"),
    };
    format!(
        "name: {name}, port: {port}, protocol: HTTP{hostname}, allowedRoutes: {{namespaces: {{from: All}}}}"
    )
}

#[test]
fn hostnames_of_listener_and_route_intersect() {
    let (every, wild, exact) = (
        open("every", 80, ""),
        open("wild", 81, "*.example.com"),
        open("exact", 82, "shop.example.com"),
    );
    let listeners = [every.as_str(), wild.as_str(), exact.as_str()];
    let hosts = |hostnames: &str| {
        let route = http_route("r", hostnames, RULES);
        bound(&converted(&[gateway(&listeners), route]))
    };
    assert_eq!(hosts(""), "every: *; wild: *.example.com; exact: shop.example.com");
    assert_eq!(
        hosts("shop.example.com"),
        "every: shop.example.com; wild: shop.example.com; exact: shop.example.com"
    );
    assert_eq!(
        hosts("'*.example.com'"),
        "every: *.example.com; wild: *.example.com; exact: shop.example.com"
    );
    assert_eq!(
        hosts("'*.deep.example.com', other.org"),
        "every: other.org, *.deep.example.com; wild: *.deep.example.com"
    );
    // A wildcard takes any number of labels, but not none.
    assert_eq!(hosts("a.b.example.com"), "every: a.b.example.com; wild: a.b.example.com");
    assert_eq!(hosts("example.com"), "every: example.com");
}

#[test]
fn a_route_whose_hosts_no_listener_has_is_not_accepted() {
    let wild = open("wild", 80, "*.example.com");
    let conversion = converted(&[gateway(&[&wild]), http_route("r", "other.org", RULES)]);
    assert_eq!(
        route_conditions(&conversion, "HTTPRoute/shop/r"),
        "!Accepted(NoMatchingListenerHostname) ResolvedRefs(ResolvedRefs)"
    );
    assert_eq!(
        problems(&conversion),
        [
            "a.yaml:14:14: warning[PC0310] HTTPRoute/shop/r spec.hostnames: no listener of Gateway/edge/gw has any of the route's hostnames; add the hostname to a listener, or correct it; `*.x` does not take `x` itself"
        ]
    );
    assert_eq!(status(&conversion, "Gateway/edge/gw").listeners[0].attached_routes, 0);
}

#[test]
fn a_parent_names_a_section_or_a_port() {
    let (a, b) = (open("a", 80, ""), open("b", 81, ""));
    let of = |parents: &str| {
        let route = attached("r", parents, "x.example.com", RULES);
        converted(&[gateway(&[&a, &b]), route])
    };
    let parent = |more: &str| format!("[{{name: gw, namespace: edge{more}}}]");
    assert_eq!(bound(&of(&parent(""))), "a: x.example.com; b: x.example.com");
    assert_eq!(bound(&of(&parent(", sectionName: b"))), "b: x.example.com");
    assert_eq!(bound(&of(&parent(", port: 80"))), "a: x.example.com");
    assert_eq!(bound(&of(&parent(", sectionName: a, port: 80"))), "a: x.example.com");
    // Two entries for one listener are one attachment.
    let twice =
        of("[{name: gw, namespace: edge, sectionName: a}, {name: gw, namespace: edge, port: 80}]");
    assert_eq!(bound(&twice), "a: x.example.com");
    assert_eq!(twice.model.listeners[0].virtual_hosts[0].rules.len(), 1);
    assert_eq!(status(&twice, "Gateway/edge/gw").listeners[0].attached_routes, 1);
    for more in [", sectionName: c", ", port: 82", ", sectionName: a, port: 81"] {
        let none = of(&parent(more));
        assert_eq!(bound(&none), "");
        assert_eq!(
            route_conditions(&none, "HTTPRoute/shop/r"),
            "!Accepted(NoMatchingParent) ResolvedRefs(ResolvedRefs)"
        );
        assert!(problems(&none)[0].contains("error[PC0317]"), "{:?}", problems(&none));
    }
}

#[test]
fn a_listener_takes_routes_of_the_namespaces_and_kinds_that_it_says() {
    let namespace =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}\n";
    let of = |allowed: &str| {
        let listener = format!("name: http, port: 80, protocol: HTTP{allowed}");
        converted(&[gateway(&[&listener]), http_route("r", "", RULES), namespace.to_owned()])
    };
    let takes = |allowed: &str| !bound(&of(allowed)).is_empty();
    assert!(!takes(""));
    assert!(!takes(", allowedRoutes: {namespaces: {from: Same}}"));
    assert!(takes(", allowedRoutes: {namespaces: {from: All}}"));
    assert!(takes(
        ", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}"
    ));
    assert!(takes(
        ", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: shop}}}}"
    ));
    assert!(!takes(
        ", allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: NotIn, values: [shop]}]}}}"
    ));
    assert!(takes(", allowedRoutes: {namespaces: {from: All}, kinds: [{kind: HTTPRoute}]}"));
    assert!(!takes(", allowedRoutes: {namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}"));
    let refused = of("");
    assert_eq!(
        route_conditions(&refused, "HTTPRoute/shop/r"),
        "!Accepted(NotAllowedByListeners) ResolvedRefs(ResolvedRefs)"
    );
    assert!(
        problems(&refused)[0].contains("error[PC0346] HTTPRoute/shop/r spec.parentRefs[0].name")
    );
}

#[test]
fn kinds_that_a_listener_cannot_take_are_left_out_of_those_it_supports() {
    let of = |kinds: &str| {
        let listener = format!(
            "name: http, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {{from: All}}, kinds: [{kinds}]}}"
        );
        converted(&[gateway(&[&listener]), http_route("r", "", RULES)])
    };
    let kinds = |conversion: &Conversion| -> Vec<&str> {
        let listeners = &status(conversion, "Gateway/edge/gw").listeners;
        listeners[0].supported_kinds.iter().map(|kind| kind.kind).collect()
    };
    let some = of("{kind: TCPRoute}, {kind: HTTPRoute}");
    assert_eq!(kinds(&some), ["HTTPRoute"]);
    assert_eq!(
        listener_conditions(&some, "Gateway/edge/gw", "http"),
        "Accepted(Accepted) !Conflicted(NoConflicts) !ResolvedRefs(InvalidRouteKinds) Programmed(Programmed)"
    );
    assert_eq!(bound(&some), "http: *");
    let none = of("{group: example.com, kind: HTTPRoute}");
    assert_eq!(kinds(&none), [""; 0]);
    assert_eq!(bound(&none), "");
    assert_eq!(kinds(&converted(&[gateway(&[OPEN])])), ["HTTPRoute", "GRPCRoute"]);
}

#[test]
fn what_is_no_gateway_of_ours_has_no_say() {
    let of = |parents: &str| converted(&[gateway(&[OPEN]), attached("r", parents, "", RULES)]);
    let missing = of("[{name: nope}]");
    assert_eq!(
        problems(&missing),
        [
            "a.yaml:13:16: error[PC0303] HTTPRoute/shop/r spec.parentRefs[0].name: there is no Gateway/shop/nope; write it, or correct the name; a name without namespace is looked for in the route's own"
        ]
    );
    let mesh = of("[{group: '', kind: Service, name: v1}]");
    assert!(problems(&mesh)[0].contains("warning[PC0311]"), "{:?}", problems(&mesh));
    for conversion in [missing, mesh] {
        assert!(conversion.status.iter().all(|status| !status.object.starts_with("HTTPRoute")));
    }
    // One parent of two is enough to be served there.
    let both = of("[{name: nope}, {name: gw, namespace: edge}]");
    assert_eq!(bound(&both), "http: *");
    assert_eq!(status(&both, "HTTPRoute/shop/r").parents.len(), 1);
}

#[test]
fn a_broken_gateway_is_not_called_missing() {
    let broken = gateway(&["name: http, port: 80, protocol: HTTP, nope: 1"]);
    let conversion = converted(&[broken, http_route("r", "", RULES)]);
    assert_eq!(problems(&conversion).len(), 1, "{:?}", problems(&conversion));
    assert!(problems(&conversion)[0].contains("PC0206"));
}
