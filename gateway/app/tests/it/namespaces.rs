//! Objects of several namespaces on one gateway.

use portcullis_testkit::manifests::{http_gateway, join, service_entry, virtual_service};
use portcullis_testkit::{Client, Upstream};

use crate::bad_input::told;
use crate::gateway::Gateway;

/// Puts an object of the testkit into a namespace.
fn within(namespace: &str, manifest: &str) -> String {
    manifest.replacen("\nspec:", &format!("\n  namespace: {namespace}\nspec:"), 1)
}

fn answering(namespace: &str, gateway: &str, host: &str) -> String {
    let rules = format!("- directResponse: {{status: 200, body: {{string: {namespace}}}}}\n");
    within(namespace, &virtual_service("site", gateway, &[host], &rules))
}

#[tokio::test]
async fn a_gateway_is_named_with_its_namespace() {
    let mut gateway = Gateway::start(&join(&[
        within("edge", &http_gateway("main", 80, &["*"])),
        answering("red", "edge/main", "red.example"),
        answering("blue", "main", "blue.example"),
    ]))
    .await;
    assert_eq!(gateway.ready()["listeners"][0]["gateway"], "edge/main");
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let reply = client.get("red.example", "/").await;
    assert_eq!(reply.text(), "red");
    assert_eq!(reply.header("x-portcullis-route"), "VirtualService/red/site/http[0]");
    assert_eq!(client.get("blue.example", "/").await.status, 404);
    told(
        &gateway,
        &["PC0303", "VirtualService/blue/site", "spec.gateways[0]", "did you mean `edge/main`?"],
    );
    let both = [
        within("edge", &http_gateway("main", 80, &["*"])),
        answering("red", "edge/main", "red.example"),
        answering("blue", "edge/main", "blue.example"),
    ];
    gateway.apply(&join(&both)).await;
    assert_eq!(client.get("blue.example", "/").await.text(), "blue");
}

#[tokio::test]
async fn a_server_takes_routes_of_the_namespaces_that_it_names() {
    let gateway = Gateway::start(&join(&[
        within("edge", &http_gateway("main", 80, &["red/*", "./own.example"])),
        answering("red", "edge/main", "red.example"),
        answering("blue", "edge/main", "blue.example"),
        answering("edge", "main", "own.example"),
    ]))
    .await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get("red.example", "/").await.text(), "red");
    assert_eq!(client.get("own.example", "/").await.text(), "edge");
    assert_eq!(client.get("blue.example", "/").await.status, 404);
    told(&gateway, &["PC0310", "VirtualService/blue/site", "spec.hosts"]);
}

/// A Service called `web` with one endpoint.
fn web(namespace: &str, upstream: &Upstream) -> String {
    let port = upstream.address().port();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\n\
         spec: {{ports: [{{name: http, port: 80}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: web-1\n  \
         namespace: {namespace}\n  labels: {{kubernetes.io/service-name: web}}\naddressType: IPv4\n\
         ports: [{{name: http, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
    )
}

#[tokio::test]
async fn a_short_name_is_a_service_of_the_routes_own_namespace() {
    let (red, blue) = (Upstream::start("red"), Upstream::start("blue"));
    let to_web = "- route:\n  - destination: {host: web}\n";
    let route = |namespace: &str| {
        let host = format!("{namespace}.example");
        within(namespace, &virtual_service("site", "edge/main", &[&host], to_web))
    };
    let gateway = Gateway::start(&join(&[
        within("edge", &http_gateway("main", 80, &["*"])),
        route("red"),
        route("blue"),
        web("red", &red),
        web("blue", &blue),
        within("red", &service_entry("unused", "unused.example", 80, &[blue.address()])),
    ]))
    .await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for namespace in ["red", "blue"] {
        let reply = client.get(&format!("{namespace}.example"), "/").await;
        assert_eq!(reply.upstream(), namespace);
        let cluster = format!("outbound|80||web.{namespace}.svc.cluster.local");
        assert_eq!(reply.header("x-portcullis-cluster"), cluster);
    }
}
