//! Where requests are sent, and what happens when an upstream is not as it should be.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Call, Client, RawUpstream, Refusing, Upstream};

use crate::gateway::Gateway;
use crate::shop::{self, HOST, Shop, TO_BLUE};

/// A gateway that sends everything to these endpoints, and a client of it.
async fn in_front_of(endpoints: &[SocketAddr]) -> (Gateway, Client) {
    let manifests =
        join(&[shop::manifests(TO_BLUE), service_entry("blue", "blue.example", 80, endpoints)]);
    let gateway = Gateway::start(&manifests).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

#[tokio::test]
async fn an_endpoint_that_refuses_costs_no_request() {
    let (blue, refusing) = (Upstream::start("blue"), Refusing::open());
    let (_gateway, mut client) = in_front_of(&[refusing.address, blue.address()]).await;
    for _ in 0..50 {
        assert_eq!(client.call(Call::post(HOST, "/", "hello")).await.json()["body"], "hello");
    }
}

#[tokio::test]
async fn where_every_endpoint_refuses_the_reply_is_503_uf() {
    let refusing = Refusing::open();
    let (mut gateway, mut client) = in_front_of(&[refusing.address]).await;
    assert_eq!(client.get(HOST, "/").await.status, 503);
    let line = gateway.access_line().await;
    assert!(line.contains(" 503 UF upstream_reset_before_response_started"), "{line}");
    assert!(line.contains("refused"), "the reason is told: {line}");
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_while_idle_costs_no_request() {
    let blue = Upstream::start("blue");
    let (_gateway, mut client) = in_front_of(&[blue.address()]).await;
    for _ in 0..10 {
        assert_eq!(client.call(Call::post(HOST, "/", "hello")).await.status, 200);
        blue.disconnect().await;
    }
}

#[tokio::test]
async fn what_was_sent_is_never_sent_again() {
    let mut shop = Shop::open(TO_BLUE).await;
    for path in ["/", "/close"] {
        shop.client.call(Call::post(HOST, path, "hello")).await;
    }
    assert_eq!(shop.blue.seen().requests, 2);
    let line = shop.gateway.access_line_with("/close").await;
    assert!(line.contains(" 502 UC upstream_reset_before_response_started"), "{line}");
}

#[tokio::test]
async fn an_upstream_that_speaks_no_http_is_502() {
    let upstream = RawUpstream::start("What do you want?\r\n\r\n").await;
    let (mut gateway, mut client) = in_front_of(&[upstream.address]).await;
    assert_eq!(client.get(HOST, "/").await.status, 502);
    let line = gateway.access_line().await;
    assert!(line.contains(" 502 UPE upstream_reset_before_response_started"), "{line}");
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_passes() {
    let upstream = RawUpstream::start("HTTP/1.1 200 OK\r\n\r\nto the end").await;
    let (_gateway, mut client) = in_front_of(&[upstream.address]).await;
    for _ in 0..3 {
        assert_eq!(client.get(HOST, "/").await.text(), "to the end");
    }
}

#[tokio::test]
async fn an_interim_reply_is_not_the_reply() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let upstream =
        RawUpstream::start(format!("{hints}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).await;
    let (_gateway, mut client) = in_front_of(&[upstream.address]).await;
    let reply = client.get(HOST, "/").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "ok"));
}

#[tokio::test]
async fn connections_are_reused_across_reloads() {
    let mut shop = Shop::open(TO_BLUE).await;
    for path in ["/a", "/b", "/c"] {
        for _ in 0..5 {
            assert_eq!(shop.get(path).await.status, 200);
        }
        let rule =
            format!("- match:\n  - uri: {{exact: {path}}}\n  directResponse: {{status: 204}}\n");
        shop.apply(&format!("{rule}{TO_BLUE}")).await;
        assert_eq!(shop.get(path).await.status, 204);
    }
    assert_eq!(shop.blue.seen().connections, 1);
}

#[tokio::test]
async fn an_endpoint_that_is_taken_out_gets_no_further_request() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let manifests = |endpoints: &[SocketAddr]| {
        join(&[shop::manifests(TO_BLUE), service_entry("blue", "blue.example", 80, endpoints)])
    };
    let mut gateway = Gateway::start(&manifests(&[blue.address(), green.address()])).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for _ in 0..20 {
        client.get(HOST, "/").await;
    }
    assert!(blue.seen().requests > 0 && green.seen().requests > 0);
    gateway.apply(&manifests(&[green.address()])).await;
    let before = blue.seen().requests;
    for _ in 0..20 {
        assert_eq!(client.get(HOST, "/").await.upstream(), "green");
    }
    assert_eq!(blue.seen().requests, before);
    blue.until(|seen| seen.open == 0).await;
}

/// A Service and its EndpointSlice, as Kubernetes writes them.
fn service(name: &str, endpoint: SocketAddr) -> String {
    let port = endpoint.port();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{ports: [{{name: http, port: 80, targetPort: {port}}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {port}, protocol: TCP}}]\nendpoints:\n\
         - {{addresses: [127.0.0.1], conditions: {{ready: true}}}}\n\
         - {{addresses: [127.0.0.2], conditions: {{ready: false}}}}\n"
    )
}

#[tokio::test]
async fn services_are_reached_by_their_endpoint_slices() {
    let blue = Upstream::start("blue");
    let rules = "- match:\n  - uri: {prefix: /full}\n  route:\n  \
         - destination: {host: web.default.svc.cluster.local, port: {number: 80}}\n\
         - route:\n  - destination: {host: web}\n";
    let manifests = join(&[shop::manifests(rules), service("web", blue.address())]);
    let gateway = Gateway::start(&manifests).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for path in ["/full", "/short"] {
        for _ in 0..10 {
            let reply = client.get(HOST, path).await;
            let cluster = reply.header("x-portcullis-cluster");
            assert_eq!(cluster, "outbound|80||web.default.svc.cluster.local");
            assert_eq!(reply.upstream(), "blue");
        }
    }
}
