//! Gateways and ListenerSets to listeners.

use super::*;

const FINE: &str =
    "Accepted(Accepted) !Conflicted(NoConflicts) ResolvedRefs(ResolvedRefs) Programmed(Programmed)";
const CONFLICTED: &str = "!Accepted(Invalid) Conflicted(HostnameConflict) ResolvedRefs(ResolvedRefs) !Programmed(Invalid)";
const OTHER_PROTOCOL: &str = "!Accepted(Invalid) Conflicted(ProtocolConflict) ResolvedRefs(ResolvedRefs) !Programmed(Invalid)";

#[test]
fn each_listener_is_a_listener() {
    let conversion = converted(&[gateway(&[
        "name: a, port: 80, protocol: HTTP",
        "name: b, port: 80, protocol: HTTP, hostname: '*.example.com'",
        "name: c, port: 8080, protocol: HTTP, hostname: Shop.example.com",
        "name: d, port: 9000, protocol: TCP",
        "name: e, port: 8443, protocol: TLS, hostname: db.example.com, tls: {mode: Passthrough}",
    ])]);
    assert_eq!(problems(&conversion), [""; 0]);
    let listeners = &conversion.model.listeners;
    let shown: Vec<_> = listeners
        .iter()
        .map(|each| {
            let hosts: Vec<_> = each.hosts.iter().map(ToString::to_string).collect();
            let protocol = each.protocol.as_str();
            format!("{} {} {} {protocol} {}", each.gateway, each.server, each.port, hosts.join(","))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "edge/gw a 80 HTTP *",
            "edge/gw b 80 HTTP *.example.com",
            "edge/gw c 8080 HTTP shop.example.com",
            "edge/gw d 9000 TCP *",
            "edge/gw e 8443 TLS db.example.com",
        ]
    );
    for listener in ["a", "b", "c", "d", "e"] {
        assert_eq!(listener_conditions(&conversion, "Gateway/edge/gw", listener), FINE);
    }
}

#[test]
fn a_class_of_another_controller_leaves_its_gateways_alone() {
    let class = |controller: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: portcullis}}\nspec: {{controllerName: {controller}}}\n"
        )
    };
    let route = http_route("r", "", "[{backendRefs: [{name: v1, port: 8080}]}]");
    let conversion = converted(&[class("example.com/other"), gateway(&[OPEN]), route.clone()]);
    assert!(conversion.model.listeners.is_empty());
    assert!(conversion.status.is_empty(), "{:?}", conversion.status);
    let left = problems(&conversion).join("\n");
    assert!(left.contains("warning[PC0340] GatewayClass/default/portcullis spec.controllerName: Gateway/edge/gw is left to the controller `example.com/other`"), "{left}");
    let conversion =
        converted(&[class("portcullis.dev/gateway-controller"), gateway(&[OPEN]), route]);
    assert_eq!(conversion.model.listeners.len(), 1);
    let class = status(&conversion, "GatewayClass/default/portcullis");
    assert_eq!(shown(&class.conditions), "Accepted(Accepted)");
}

#[test]
fn a_gateway_of_istio_and_one_of_this_api_can_have_one_name() {
    let istio = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: edge}\nspec:\n  servers: [{port: {number: 81, name: istio, protocol: HTTP}, hosts: ['*']}]\n";
    let virtual_service = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs, namespace: shop}\nspec: {hosts: [a.example.com], gateways: [edge/gw], http: [{directResponse: {status: 200}}]}\n";
    let policy = |group: &str, size: &str| {
        format!(
            "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {{name: {group}, namespace: edge}}\nspec:\n  targetRefs: [{{group: {group}, kind: Gateway, name: gw}}]\n  limits: {{requestBody: {size}}}\n"
        )
    };
    let route = http_route("r", "b.example.com", "[{backendRefs: [{name: v1, port: 8080}]}]");
    let conversion = converted(&[
        istio.to_owned(),
        gateway(&[OPEN]),
        virtual_service.to_owned(),
        route,
        policy("networking.istio.io", "1Ki"),
        policy("gateway.networking.k8s.io", "2Ki"),
    ]);
    assert_eq!(problems(&conversion), [""; 0]);
    let limits: Vec<_> = conversion
        .model
        .listeners
        .iter()
        .map(|listener| (listener.port, listener.requests.max_body, listener.virtual_hosts.len()))
        .collect();
    assert_eq!(limits, [(81, Some(1024), 1), (80, Some(2048), 1)]);
    assert!(rendered(&conversion.model).contains("VirtualService/shop/vs"));
}

#[test]
fn listeners_of_one_gateway_that_cannot_be_told_apart_are_not_served() {
    let conversion = converted(&[gateway(&[
        "name: a, port: 80, protocol: HTTP, hostname: x.example.com",
        "name: b, port: 80, protocol: HTTP, hostname: x.example.com",
        "name: c, port: 80, protocol: HTTP, hostname: y.example.com",
        "name: d, port: 90, protocol: HTTP",
        "name: e, port: 90, protocol: TCP",
        "name: f, port: 443, protocol: TLS, hostname: z.example.com, tls: {mode: Passthrough}",
    ])]);
    let of = |name| listener_conditions(&conversion, "Gateway/edge/gw", name);
    assert_eq!((of("a"), of("b")), (CONFLICTED.to_owned(), CONFLICTED.to_owned()));
    assert_eq!((of("d"), of("e")), (OTHER_PROTOCOL.to_owned(), OTHER_PROTOCOL.to_owned()));
    assert_eq!((of("c"), of("f")), (FINE.to_owned(), FINE.to_owned()));
    let servers: Vec<_> = conversion.model.listeners.iter().map(|each| &*each.server).collect();
    assert_eq!(servers, ["c", "f"]);
    let gateway = status(&conversion, "Gateway/edge/gw");
    assert_eq!(
        shown(&gateway.conditions),
        "Accepted(ListenersNotValid) Programmed(Programmed) ResolvedRefs(ResolvedRefs)"
    );
    assert_eq!(
        problems(&conversion)[0],
        "a.yaml:7:5: error[PC0308] Gateway/edge/gw spec.listeners[0].hostname: the listener `b` at a.yaml:8:5 takes `x.example.com` on port 80 too; give them different ports or hostnames; until then nothing listens for this listener"
    );
}

#[test]
fn tls_listeners_share_a_port_by_name() {
    let of = |hosts: [&str; 2]| {
        converted(&[gateway(&[
            &format!(
                "name: a, port: 443, protocol: TLS, hostname: {}, tls: {{mode: Passthrough}}",
                hosts[0]
            ),
            &format!(
                "name: b, port: 443, protocol: HTTPS, hostname: {}, tls: {{certificateRefs: [{{name: none}}]}}",
                hosts[1]
            ),
        ])])
    };
    let apart = of(["a.example.com", "b.example.com"]);
    assert_eq!(apart.model.listeners.len(), 2);
    let same = of(["a.example.com", "a.example.com"]);
    assert!(same.model.listeners.is_empty());
    assert_eq!(
        shown(&status(&same, "Gateway/edge/gw").conditions),
        "!Accepted(ListenersNotValid) !Programmed(Invalid) !ResolvedRefs(ListenersNotResolved)"
    );
}

#[test]
fn another_gateway_keeps_its_socket() {
    let istio = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: older, namespace: edge}\nspec:\n  servers: [{port: {number: 80, name: raw, protocol: TCP}, hosts: ['*']}]\n";
    let conversion =
        converted(&[istio.to_owned(), gateway(&[OPEN, "name: other, port: 81, protocol: HTTP"])]);
    assert_eq!(listener_conditions(&conversion, "Gateway/edge/gw", "http"), OTHER_PROTOCOL);
    assert_eq!(listener_conditions(&conversion, "Gateway/edge/gw", "other"), FINE);
    assert_eq!(
        problems(&conversion),
        [
            "a.yaml:13:5: error[PC0308] Gateway/edge/gw spec.listeners[0].protocol: port 80 cannot speak HTTP here: Gateway/edge/older spec.servers[0] at a.yaml:5:13 speaks TCP on it; use another port or bind address, or the same protocol; until then nothing new listens for this server"
        ]
    );
}

#[test]
fn a_protocol_that_is_not_served_takes_nothing_from_the_others() {
    let conversion = converted(&[gateway(&["name: a, port: 53, protocol: UDP", OPEN])]);
    assert_eq!(
        listener_conditions(&conversion, "Gateway/edge/gw", "a"),
        "!Accepted(UnsupportedProtocol) !Conflicted(NoConflicts) ResolvedRefs(ResolvedRefs) !Programmed(Invalid)"
    );
    assert_eq!(listener_conditions(&conversion, "Gateway/edge/gw", "http"), FINE);
    assert_eq!(conversion.model.listeners.len(), 1);
}

/// A ListenerSet of a namespace with a listener of this port.
fn listener_set(name: &str, namespace: &str, port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  parentRef: {{name: gw, namespace: edge}}\n  listeners: [{{name: more, port: {port}, protocol: HTTP, allowedRoutes: {{namespaces: {{from: All}}}}}}]\n"
    )
}

#[test]
fn listener_sets_add_listeners_where_the_gateway_lets_them() {
    let allowing = |from: &str| {
        gateway_with(&format!("  allowedListeners: {{namespaces: {from}}}\n"), &[OPEN])
    };
    let team = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team, labels: {edge: open}}\n";
    let count = |from: &str| {
        let set = listener_set("set", "team", 81);
        converted(&[allowing(from), set, team.to_owned()]).model.listeners.len()
    };
    assert_eq!(count("{from: All}"), 2);
    assert_eq!(count("{from: Same}"), 1);
    assert_eq!(count("{from: None}"), 1);
    assert_eq!(count("{from: Selector, selector: {matchLabels: {edge: open}}}"), 2);
    assert_eq!(count("{from: Selector, selector: {matchLabels: {edge: shut}}}"), 1);
    assert_eq!(
        count("{from: Selector, selector: {matchExpressions: [{key: edge, operator: Exists}]}}"),
        2
    );
    let without = converted(&[gateway(&[OPEN]), listener_set("set", "edge", 81)]);
    assert_eq!(
        shown(&status(&without, "ListenerSet/edge/set").conditions),
        "!Accepted(NotAllowed) !Programmed(Invalid)"
    );
    assert!(problems(&without)[0].contains("error[PC0346] ListenerSet/edge/set spec.parentRef:"));
}

#[test]
fn routes_attach_to_a_listener_set_or_to_its_gateway() {
    let gateway = gateway_with("  allowedListeners: {namespaces: {from: All}}\n", &[OPEN]);
    let rules = "[{backendRefs: [{name: v1, port: 8080}]}]";
    let to_set = attached(
        "s",
        "[{kind: ListenerSet, name: set, namespace: team, sectionName: more}]",
        "",
        rules,
    );
    let to_gateway = http_route("g", "", rules);
    let conversion = converted(&[gateway, listener_set("set", "team", 81), to_set, to_gateway]);
    assert_eq!(problems(&conversion), [""; 0]);
    assert_eq!(
        rendered(&conversion.model),
        "edge/gw http 80 HTTP
  *
    HTTPRoute/shop/g/rules[0] /*
      1% outbound|8080||v1.shop.svc.cluster.local
edge/gw team/set/more 81 HTTP
  *
    HTTPRoute/shop/s/rules[0] /*
      1% outbound|8080||v1.shop.svc.cluster.local
"
    );
    let of_gateway = status(&conversion, "Gateway/edge/gw");
    assert_eq!(of_gateway.attached_listener_sets, Some(1));
    let of_set = status(&conversion, "ListenerSet/team/set");
    assert_eq!(shown(&of_set.conditions), "Accepted(Accepted) Programmed(Programmed)");
    assert_eq!(of_set.listeners[0].attached_routes, 1);
}

#[test]
fn the_older_listener_set_keeps_what_two_want() {
    let gateway = gateway_with("  allowedListeners: {namespaces: {from: All}}\n", &[OPEN]);
    let conversion = converted(&[
        gateway,
        listener_set("first", "team", 81),
        listener_set("second", "team", 81),
        listener_set("third", "team", 80),
    ]);
    let servers: Vec<_> = conversion.model.listeners.iter().map(|each| &*each.server).collect();
    assert_eq!(servers, ["http", "team/first/more"]);
    for (set, conditions) in [("second", CONFLICTED), ("third", CONFLICTED), ("first", FINE)] {
        let set = format!("ListenerSet/team/{set}");
        assert_eq!(listener_conditions(&conversion, &set, "more"), conditions, "{set}");
    }
}

#[test]
fn a_listener_set_without_its_gateway_serves_nothing() {
    let conversion = converted(&[listener_set("set", "team", 81)]);
    assert!(conversion.model.listeners.is_empty());
    assert!(problems(&conversion)[0].contains(
        "error[PC0303] ListenerSet/team/set spec.parentRef: there is no Gateway/edge/gw"
    ));
    assert_eq!(
        shown(&status(&conversion, "ListenerSet/team/set").conditions),
        "!Accepted(ParentNotAccepted) !Programmed(Invalid)"
    );
}

#[test]
fn edge_policies_reach_a_listener_set_or_one_of_its_listeners() {
    let gateway = gateway_with("  allowedListeners: {namespaces: {from: All}}\n", &[OPEN]);
    let policy = |name: &str, namespace: &str, target: &str, idle: &str| {
        format!(
            "apiVersion: portcullis.dev/v1\nkind: EdgePolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{targetRefs: [{{{target}}}], timeouts: {{streamIdle: {idle}}}}}\n"
        )
    };
    let of_gateway = policy("a", "edge", "kind: Gateway, name: gw", "1m");
    let of_set = policy("b", "team", "kind: ListenerSet, name: set", "2m");
    let of_listener = policy("c", "team", "kind: ListenerSet, name: set, sectionName: more", "3m");
    let missing = policy("d", "team", "kind: ListenerSet, name: set, sectionName: less", "4m");
    let elsewhere = policy("e", "edge", "kind: ListenerSet, name: set", "5m");
    let base = [gateway, listener_set("set", "team", 81), of_gateway];
    let idle = |more: &[&String]| {
        let more = more.iter().map(|text| (*text).clone());
        let conversion = converted(&base.iter().cloned().chain(more).collect::<Vec<_>>());
        let listeners = &conversion.model.listeners;
        let idle = |at: usize| listeners[at].requests.stream_idle.map(|idle| idle.as_secs());
        ([idle(0), idle(1)], problems(&conversion))
    };
    assert_eq!(idle(&[]).0, [Some(60), Some(60)]);
    assert_eq!(idle(&[&of_set]), ([Some(60), Some(120)], vec![]));
    assert_eq!(idle(&[&of_set, &of_listener]), ([Some(60), Some(180)], vec![]));
    for (policy, place) in [(&missing, "sectionName"), (&elsewhere, "name")] {
        let (seconds, said) = idle(&[policy]);
        assert_eq!(seconds, [Some(60), Some(60)]);
        assert!(said[0].contains(&format!("spec.targetRefs[0].{place}")), "{said:?}");
    }
}
