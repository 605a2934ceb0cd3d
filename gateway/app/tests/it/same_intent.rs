//! The same intent written as VirtualService, HTTPRoute and Ingress: one verdict where the languages agree, and the
//! differences by name where they do not.

use portcullis_testkit::manifests::{http_gateway, join, kubernetes_service};
use portcullis_testkit::{Client, Upstream};

use crate::gateway::Gateway;

/// `/exact` as it is and everything below `/api` and `/api/v2`, each to another upstream; all else to `blue`; `/gone`
/// to a Service that is not there.
const PATHS: [(&str, &str, &str); 5] = [
    ("Exact", "/exact", "green"),
    ("Prefix", "/api/v2", "blue"),
    ("Prefix", "/api", "green"),
    ("Prefix", "/gone", "gone"),
    ("Prefix", "/", "blue"),
];

/// The longest first, as VirtualServices are tried in the order written.
fn virtual_service(host: &str) -> String {
    let rule = |(kind, path, to): &(&str, &str, &str)| {
        let kind = kind.to_ascii_lowercase();
        format!(
            "  - match: [{{uri: {{{kind}: {path}}}}}]\n    route: [{{destination: {{host: {to}}}}}]\n"
        )
    };
    let rules: String = PATHS.iter().map(rule).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: vs}}\nspec:\n  gateways: [istio]\n  hosts: ['{host}']\n  http:\n{rules}"
    )
}

/// In the opposite order, which means nothing here.
fn http_route(host: &str) -> String {
    let rule = |(kind, path, to): &(&str, &str, &str)| {
        let kind = if *kind == "Exact" { "Exact" } else { "PathPrefix" };
        format!(
            "  - matches: [{{path: {{type: {kind}, value: {path}}}}}]\n    backendRefs: [{{name: {to}, port: 80}}]\n"
        )
    };
    let rules: String = PATHS.iter().rev().map(rule).collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: api}}\nspec:\n  gatewayClassName: portcullis\n  listeners: [{{name: api, port: 80, protocol: HTTP, hostname: '{host}'}}]\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: api}}\nspec:\n  parentRefs: [{{name: api}}]\n  rules:\n{rules}"
    )
}

fn ingress(host: &str) -> String {
    let path = |(kind, path, to): &(&str, &str, &str)| {
        format!(
            "      - {{path: {path}, pathType: {kind}, backend: {{service: {{name: {to}, port: {{number: 80}}}}}}}}\n"
        )
    };
    let paths: String = PATHS.iter().rev().map(path).collect();
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: ing}}\nspec:\n  rules:\n  - host: '{host}'\n    http:\n      paths:\n{paths}"
    )
}

/// What a path comes to in each language.
enum Verdict {
    Same(&'static str),
    /// VirtualService, HTTPRoute, Ingress; and the name of the difference.
    Differ([&'static str; 3], &'static str),
}

use Verdict::{Differ, Same};

const TABLE: [(&str, Verdict); 14] = [
    ("/", Same("blue")),
    ("/else", Same("blue")),
    ("/exact", Same("green")),
    ("/exact/", Same("blue")),
    ("/exact?q=1", Same("green")),
    ("/EXACT", Same("blue")),
    ("/api", Same("green")),
    ("/api/", Same("green")),
    ("/api/x", Same("green")),
    ("/api/v2", Same("blue")),
    ("/api/v2/x", Same("blue")),
    (
        "/apis",
        Differ(["green", "blue", "blue"], "Istio's prefix is one of characters, not of segments"),
    ),
    (
        "/api/v22",
        Differ(["blue", "green", "green"], "Istio's prefix is one of characters, not of segments"),
    ),
    ("/gone", Differ(["503", "500", "503"], "a missing backend is 500 in Gateway API")),
];

async fn ask(client: &mut Client, host: &str, path: &str) -> String {
    let reply = client.get(host, path).await;
    match reply.status.as_u16() {
        200 => reply.upstream().to_owned(),
        status => status.to_string(),
    }
}

async fn open(hosts: [&str; 3]) -> (Gateway, Client, [Upstream; 2]) {
    let upstreams = [Upstream::start("blue"), Upstream::start("green")];
    let manifests = join(&[
        http_gateway("istio", 80, &[hosts[0]]),
        virtual_service(hosts[0]),
        http_route(hosts[1]),
        ingress(hosts[2]),
        kubernetes_service("blue", 80, upstreams[0].address()),
        kubernetes_service("green", 80, upstreams[1].address()),
    ]);
    let gateway = Gateway::start(&manifests).await;
    let client = Client::http1(gateway.address("api")).await.unwrap();
    (gateway, client, upstreams)
}

#[tokio::test]
async fn three_languages_give_one_verdict_but_for_known_differences() {
    let hosts = ["vs.test", "api.test", "ing.test"];
    let (_gateway, mut client, _upstreams) = open(hosts).await;
    for (path, verdict) in &TABLE {
        let (wanted, why) = match verdict {
            Same(one) => ([*one; 3], "they agree"),
            Differ(each, why) => (*each, *why),
        };
        for (host, wanted) in hosts.iter().zip(wanted) {
            assert_eq!(ask(&mut client, host, path).await, wanted, "{host}{path}: {why}");
        }
    }
}

#[tokio::test]
async fn a_wildcard_host_takes_one_label_in_an_ingress_and_any_number_elsewhere() {
    let (_gateway, mut client, _upstreams) = open(["*.vs.test", "*.api.test", "*.ing.test"]).await;
    for (below, wanted) in [("x", ["blue", "blue", "blue"]), ("y.x", ["blue", "blue", "404"])] {
        for (host, wanted) in ["vs.test", "api.test", "ing.test"].iter().zip(wanted) {
            let host = format!("{below}.{host}");
            assert_eq!(ask(&mut client, &host, "/").await, wanted, "{host}");
        }
    }
    for host in ["vs.test", "api.test", "ing.test"] {
        assert_eq!(ask(&mut client, host, "/").await, "404", "`*.x` does not take `x`");
    }
}
