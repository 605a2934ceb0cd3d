//! GRPCRoutes from outside: methods, headers, weights, and what clients are told where nothing fits.

use portcullis_testkit::manifests::{join, kubernetes_service};
use portcullis_testkit::{Call, Client, Upstream};

use crate::gateway::Gateway;

const API_GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  gatewayClassName: portcullis\n  listeners: [{name: http, port: 80, protocol: HTTP}]\n";

/// A GRPCRoute of the host `shop.test` with these rules, YAML on one line each.
fn grpc_route(rules: &[&str]) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: shop}}\nspec:\n  parentRefs: [{{name: gw}}]\n  hostnames: [shop.test]\n  rules: [{}]\n",
        rules.join(", ")
    )
}

fn call(path: &str) -> Call {
    Call::post("shop.test", path, "\0\0\0\0\0")
        .header("content-type", "application/grpc")
        .accept_trailers()
}

#[tokio::test]
async fn methods_and_headers_choose_and_nothing_that_fits_is_unimplemented() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let rules = [
        "{matches: [{method: {service: shop.Cart}}], backendRefs: [{name: blue, port: 80}]}",
        "{name: get, matches: [{method: {service: shop.Cart, method: Get}}], backendRefs: [{name: green, port: 80}]}",
        "{matches: [{method: {method: Ping}, headers: [{name: x-a, value: b}]}], backendRefs: [{name: green, port: 80}]}",
        "{matches: [{method: {type: RegularExpression, service: 'shop\\.W.*', method: '(Add|Drop)'}}], backendRefs: [{name: blue, port: 80}]}",
        "{matches: [{method: {service: shop.Gone}}], backendRefs: [{name: gone, port: 80}]}",
    ];
    let manifests = join(&[
        API_GATEWAY.to_owned(),
        grpc_route(&rules),
        kubernetes_service("blue", 80, blue.address()),
        kubernetes_service("green", 80, green.address()),
    ]);
    let gateway = Gateway::start(&manifests).await;
    let mut client = Client::h2c(gateway.address("http")).await.unwrap();
    for (path, who, rule) in [
        ("/shop.Cart/List", "blue", "0"),
        ("/shop.Cart/Get", "green", "get"),
        ("/shop.Wish/Add", "blue", "3"),
        ("/shop.Wish/Drop", "blue", "3"),
    ] {
        let reply = client.call(call(path)).await;
        assert_eq!(reply.upstream(), who, "{path}");
        let route = format!("GRPCRoute/default/shop/rules[{rule}]");
        assert_eq!(reply.header("x-portcullis-route"), route, "{path}");
    }
    let reply = client.call(call("/any.Thing/Ping").header("x-a", "b")).await;
    assert_eq!(reply.upstream(), "green");
    for (path, status) in [
        ("/any.Thing/Ping", "12"),
        ("/shop.Cartel/Get", "12"),
        ("/shop.Wish/Addition", "12"),
        ("/shop.Cart", "12"),
        ("/shop.Gone/Get", "2"),
    ] {
        let reply = client.call(call(path)).await;
        assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, status), "{path}");
        assert!(reply.body.is_empty() && reply.trailers.is_none(), "trailers-only: {path}");
    }
    let plain = client.get("shop.test", "/none").await;
    assert_eq!(plain.status, 404, "who does not speak gRPC is not told in gRPC");
}

#[tokio::test]
async fn filters_change_heads_and_mirror() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let rule = "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: rule}]}}, {type: RequestMirror, requestMirror: {backendRef: {name: green, port: 80}}}], backendRefs: [{name: blue, port: 80, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: x-from, value: blue}]}}]}]}";
    let manifests = join(&[
        API_GATEWAY.to_owned(),
        grpc_route(&[rule]),
        kubernetes_service("blue", 80, blue.address()),
        kubernetes_service("green", 80, green.address()),
    ]);
    let gateway = Gateway::start(&manifests).await;
    let mut client = Client::h2c(gateway.address("http")).await.unwrap();
    let reply = client.call(call("/shop.Cart/Get")).await;
    assert_eq!((reply.upstream(), reply.header("x-from")), ("blue", "blue"));
    assert_eq!(reply.json()["headers"]["x-set"], "rule");
    green.until(|seen| seen.requests == 1).await;
}
