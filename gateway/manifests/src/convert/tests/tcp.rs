//! TLS that is passed on, and TCP: servers, rules, and what is wrong with them.

use portcullis_model::{ListenerProtocol, TcpRoute};

use super::{Conversion, REVIEWS, convert, only_problem, problems};

const REVIEWS_AT: &str = "route: [{destination: {host: reviews.example.com}}]";

/// A Gateway with these servers, in flow style.
fn gateway(servers: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: edge}}\nspec:\n  servers: {servers}\n"
    )
}

/// A VirtualService on `edge/gw`; `rules` is YAML indented by two.
fn service(name: &str, hosts: &str, rules: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  hosts: {hosts}\n  gateways: [edge/gw]\n{rules}"
    )
}

const PASSES_ON: &str = "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['*.a.test', b.test], tls: {mode: PASSTHROUGH}}";
const TCP: &str = "{port: {number: 9000, name: tcp, protocol: tcp}, hosts: ['*']}";

/// The rules of a listener, each with the names that it takes.
fn routes(conversion: &Conversion, listener: usize) -> Vec<String> {
    let line = |route: &TcpRoute| {
        let names: Vec<_> = route.server_names.iter().map(ToString::to_string).collect();
        let to = route.rule.destinations.iter().map(|d| format!("{}% {}", d.weight, d.cluster));
        format!("{} [{}] {}", route.rule.id, names.join(" "), to.collect::<Vec<_>>().join(" "))
    };
    conversion.model.listeners[listener].tcp_routes.iter().map(line).collect()
}

#[test]
fn protocols_and_modes_say_what_becomes_of_connections() {
    let servers = "[
      {port: {number: 1, name: a, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}},
      {port: {number: 2, name: b, protocol: TLS}, hosts: ['*'], tls: {}},
      {port: {number: 3, name: c, protocol: HTTPS}, hosts: ['*'], tls: {mode: PASSTHROUGH}},
      {port: {number: 4, name: d, protocol: Mongo}, hosts: ['*']},
      {port: {number: 5, name: e, protocol: TCP}, hosts: ['*']}]";
    let conversion = convert(&[("gw.yaml", &gateway(servers))]);
    assert_eq!(problems(&conversion), [""; 0]);
    let protocols: Vec<_> = conversion.model.listeners.iter().map(|l| l.protocol).collect();
    use ListenerProtocol::{Tcp, Tls};
    assert_eq!(protocols, [Tls, Tls, Tls, Tcp, Tcp]);
    assert!(conversion.model.listeners.iter().all(|listener| listener.tls.is_none()));
}

#[test]
fn auto_passthrough_and_a_certificate_without_use_are_told() {
    let servers = "[{port: {number: 1, name: a, protocol: TLS}, hosts: ['*'], tls: {mode: AUTO_PASSTHROUGH}}]";
    let conversion = convert(&[("gw.yaml", &gateway(servers))]);
    assert!(only_problem(&conversion).contains("AUTO_PASSTHROUGH is known, but not served"));
    assert!(conversion.model.listeners.is_empty());
    let servers =
        "[{port: {number: 1, name: a, protocol: TLS}, hosts: ['*'], tls: {credentialName: c}}]";
    let conversion = convert(&[("gw.yaml", &gateway(servers))]);
    let problem = only_problem(&conversion);
    assert!(
        problem.contains("error[PC0211]") && problem.contains("an omitted `mode`"),
        "{problem}"
    );
    assert!(conversion.model.listeners[0].tls.is_none());
}

#[test]
fn names_are_what_server_service_and_match_have_in_common() {
    let rules = format!(
        "  tls:\n  - {{match: [{{sniHosts: ['*']}}, {{sniHosts: [c.test], port: 9}}], {REVIEWS_AT}}}\n  - {{match: [{{sniHosts: [x.a.test, b.test], gateways: [edge/gw]}}], {REVIEWS_AT}}}\n"
    );
    let files = [
        ("gw.yaml", gateway(&format!("[{PASSES_ON}]"))),
        ("vs.yaml", service("pass", "['*']", &rules)),
        ("se.yaml", REVIEWS.to_owned()),
    ];
    let conversion = convert(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
    assert_eq!(
        routes(&conversion, 0),
        [
            "VirtualService/shop/pass/tls[0] [b.test *.a.test] 1% outbound|80||reviews.example.com",
            "VirtualService/shop/pass/tls[1] [x.a.test] 1% outbound|80||reviews.example.com",
        ]
    );
    let problem = only_problem(&conversion);
    assert!(problem.contains("warning[PC0309]") && problem.contains("`b.test`"), "{problem}");
    assert!(problem.contains("spec.tls[1]") && problem.contains("spec.tls[0]"), "{problem}");
}

#[test]
fn a_tcp_server_has_the_first_rule_that_fits() {
    let rules = format!(
        "  tcp:\n  - {{match: [{{port: 9001}}], {REVIEWS_AT}}}\n  - {{match: [{{destinationSubnets: [10.0.0.0/8]}}], {REVIEWS_AT}}}\n  - {{match: [{{port: 9000}}], {REVIEWS_AT}}}\n  - {REVIEWS_AT}\n  - {REVIEWS_AT}\n"
    );
    let files = [
        ("gw.yaml", gateway(&format!("[{TCP}]"))),
        ("vs.yaml", service("db", "[db.test]", &rules)),
        ("se.yaml", REVIEWS.to_owned()),
    ];
    let conversion = convert(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
    assert_eq!(
        routes(&conversion, 0),
        [
            "VirtualService/shop/db/tcp[1] [] 1% outbound|80||reviews.example.com",
            "VirtualService/shop/db/tcp[2] [] 1% outbound|80||reviews.example.com"
        ]
    );
    let near = conversion.model.listeners[0].tcp_routes[0].addresses.as_ref().unwrap();
    assert_eq!(near.local, ["10.0.0.0/8".parse().unwrap()]);
    let found = problems(&conversion);
    assert!(found.iter().any(|p| p.contains("PC0214") && p.contains("spec.tcp[4]")), "{found:#?}");
    assert!(found.iter().any(|p| p.contains("PC0309") && p.contains("spec.tcp[3]")), "{found:#?}");
    assert!(found.iter().any(|p| p.contains("PC0318") && p.contains("spec.tcp[0]")), "{found:#?}");
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn matches_of_one_rule_with_other_addresses_stay_apart() {
    let rules = format!(
        "  tls:\n  - {{match: [{{sniHosts: [b.test], destinationSubnets: [10.0.0.7]}}, {{sniHosts: [x.a.test]}}], {REVIEWS_AT}}}\n  - {{match: [{{sniHosts: ['*'], sourceLabels: {{app: gw}}, sourceNamespace: edge}}], {REVIEWS_AT}}}\n  - {{match: [{{sniHosts: ['*'], sourceLabels: {{app: other}}}}], {REVIEWS_AT}}}\n"
    );
    let gateway =
        gateway(&format!("[{PASSES_ON}]")).replace("spec:\n", "spec:\n  selector: {app: gw}\n");
    let files = [
        ("gw.yaml", gateway),
        ("vs.yaml", service("pass", "['*']", &rules)),
        ("se.yaml", REVIEWS.to_owned()),
    ];
    let conversion = convert(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
    assert_eq!(
        routes(&conversion, 0),
        [
            "VirtualService/shop/pass/tls[0] [b.test] 1% outbound|80||reviews.example.com",
            "VirtualService/shop/pass/tls[0] [x.a.test] 1% outbound|80||reviews.example.com",
            "VirtualService/shop/pass/tls[1] [b.test *.a.test] 1% outbound|80||reviews.example.com",
        ]
    );
    let routes = &conversion.model.listeners[0].tcp_routes;
    assert!(routes[0].addresses.is_some() && routes[1].addresses.is_none());
    assert!(only_problem(&conversion).contains("PC0318"), "{:?}", conversion.problems);
}

#[test]
fn rules_of_connections_say_what_they_need() {
    for (rules, wanted) in [
        ("tls: [{ROUTE}]", "spec.tls[0].match: a TLS rule has no `match`"),
        (
            "tls: [{match: [{port: 443}], ROUTE}]",
            "match[0].sniHosts: a TLS match has no `sniHosts`",
        ),
        ("tls: [{match: [{sniHosts: []}], ROUTE}]", "sniHosts: a TLS match without names"),
        (
            "tls: [{match: [{sniHosts: [c.test]}], ROUTE}]",
            "`c.test` is none of the VirtualService's hosts",
        ),
        ("tcp: [{match: [{sniHosts: [a.test]}], ROUTE}]", "a TCP match has no field `sniHosts`"),
        ("tcp: [{route: [{destination: {host: x}, headers: {}}]}]", "no field `headers`"),
        (
            "tcp: [{match: [{destinationSubnets: [10.0.0.0/40]}], ROUTE}]",
            "is no address and no network",
        ),
        ("tcp: [{match: [{sourceSubnet: here}], ROUTE}]", "`here` is no address and no network"),
        ("tcp: [{match: [{sourceLabels: [a]}], ROUTE}]", "sourceLabels: this has to be a mapping"),
        (
            "tcp: [{match: [{sourceNamespace: 7}], ROUTE}]",
            "sourceNamespace: this has to be a string",
        ),
        ("tcp: [{match: [{gateways: gw}], ROUTE}]", "gateways: this has to be a list"),
        ("tcp: [{match: [{port: 0}], ROUTE}]", "match[0].port: 0 is not from 1 to 65535"),
    ] {
        let rules = format!("  {}\n", rules.replace("ROUTE", REVIEWS_AT));
        let text = service("vs", "[b.test]", &rules);
        let files = [("gw.yaml", gateway(&format!("[{PASSES_ON}]"))), ("vs.yaml", text)];
        let conversion = convert(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
        let found = problems(&conversion);
        let is_told = |problem: &String| problem.contains("error[") && problem.contains(wanted);
        assert!(found.iter().any(is_told), "{wanted} in {found:#?}");
        assert!(routes(&conversion, 0).is_empty());
    }
}

#[test]
fn a_missing_destination_closes_its_share() {
    let rules =
        "  tls: [{match: [{sniHosts: [b.test]}], route: [{destination: {host: gone.test}}]}]\n";
    let files = [
        ("gw.yaml", gateway(&format!("[{PASSES_ON}]"))),
        ("vs.yaml", service("vs", "[b.test]", rules)),
    ];
    let conversion = convert(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
    let problem = only_problem(&conversion);
    assert!(
        problem.contains("PC0304") && problem.contains("spec.tls[0].route[0].destination.host")
    );
    assert!(problem.contains("share of the connections is closed"), "{problem}");
    assert_eq!(routes(&conversion, 0).len(), 1);
}

#[test]
fn http_and_tcp_do_not_share_a_port_but_tls_does() {
    let http = "{port: {number: 9000, name: http, protocol: HTTP}, hosts: ['*']}";
    let conversion = convert(&[("gw.yaml", &gateway(&format!("[{http}, {TCP}]")))]);
    let problem = only_problem(&conversion);
    assert!(problem.contains("error[PC0308]") && problem.contains("cannot speak TCP"), "{problem}");
    assert_eq!(conversion.model.listeners.len(), 1);
    let https = "{port: {number: 443, name: h, protocol: HTTPS}, hosts: [HOST], tls: {mode: SIMPLE, credentialName: c}}";
    let shared = https.replace("HOST", "c.test");
    let conversion = convert(&[("gw.yaml", &gateway(&format!("[{PASSES_ON}, {shared}]")))]);
    assert!(only_problem(&conversion).contains("PC0301"), "only the Secret is missing");
    assert_eq!(conversion.model.listeners.len(), 2);
    let contested = https.replace("HOST", "b.test");
    let conversion = convert(&[("gw.yaml", &gateway(&format!("[{PASSES_ON}, {contested}]")))]);
    let problem = only_problem(&conversion);
    assert!(
        problem.contains("error[PC0308]") && problem.contains("spec.servers[1].hosts"),
        "{problem}"
    );
    assert_eq!(conversion.model.listeners.len(), 1);
}

#[test]
fn rules_of_connections_take_no_requests() {
    let servers = "[{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}, {port: {number: 443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}]";
    let both = format!(
        "  http: [{{{REVIEWS_AT}}}]\n  tls: [{{match: [{{sniHosts: [a.test]}}], {REVIEWS_AT}}}]\n"
    );
    let alone = format!("  tls: [{{match: [{{sniHosts: [b.test]}}], {REVIEWS_AT}}}]\n");
    let files = [
        ("gw.yaml", gateway(servers)),
        ("a.yaml", service("a", "[a.test]", &both)),
        ("b.yaml", service("b", "[b.test]", &alone)),
        ("se.yaml", REVIEWS.to_owned()),
    ];
    let conversion = convert(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
    assert_eq!(problems(&conversion), [""; 0]);
    let [http, tls] = conversion.model.listeners.as_slice() else { panic!() };
    assert_eq!((http.virtual_hosts.len(), http.tcp_routes.len()), (1, 0));
    assert_eq!((tls.virtual_hosts.len(), tls.tcp_routes.len()), (0, 2));
}
