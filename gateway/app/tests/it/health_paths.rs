//! The reserved health paths of traffic ports, and the same questions on 15021: HTTP/1.0, HTTP/1.1, HTTP/2 and gRPC on
//! one port. No rule takes them and nothing counts them.

use std::net::SocketAddr;

use portcullis_testkit::{Call, Client, RawConnection, Reply};

use crate::metrics::metrics;
use crate::shop::{HOST, Shop, TO_BLUE};

const READY: &str = "/.portcullis/healthz/ready";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const ALB: &str = "/AWS.ALB/healthcheck";
/// Longer than any test.
const LONG: [&str; 2] = ["--drain-delay", "1h"];

/// A rule that takes every path, the reserved one by name.
const GREEDY: &str = "- match: [{uri: {exact: /.portcullis/healthz/ready}}, {uri: {prefix: /}}]\n  \
     route:\n  - destination: {host: blue.example}\n";

/// A gRPC call with an empty message.
async fn grpc(client: &mut Client, path: &str) -> Reply {
    let empty: &[u8] = &[0; 5];
    let call = Call::post(HOST, path, empty).header("content-type", "application/grpc");
    client.call(call.accept_trailers()).await
}

/// `grpc-status`, wherever it stands, and the message.
fn outcome(reply: &Reply) -> (String, Vec<u8>) {
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/grpc"));
    let trailers = reply.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    let status = trailers.or(reply.headers.get("grpc-status")).unwrap();
    (status.to_str().unwrap().to_owned(), reply.body.to_vec())
}

#[tokio::test]
async fn a_traffic_port_tells_whether_it_is_ready() {
    let mut shop = Shop::open(GREEDY).await;
    let address = shop.gateway.address("http");
    let mut clients = [Client::http1(address).await.unwrap(), Client::h2c(address).await.unwrap()];
    for client in &mut clients {
        let reply = client.get("10.0.0.1:80", READY).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "LIVE"));
        let head = client.call(Call::new("HEAD", HOST, READY)).await;
        assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "4"));
        let other_spelling = client.get(HOST, "//.portcullis//healthz/x/../%72eady?x=1").await;
        assert_eq!(other_spelling.text(), "LIVE");
    }
    let post = shop.client.call(Call::post(HOST, READY, "x")).await;
    assert_eq!((post.status.as_u16(), post.header("allow")), (405, "GET, HEAD"));
    assert_eq!(shop.blue.seen().requests, 0, "a rule cannot take it");
    for path in ["/.portcullis/healthz/ready/", "/.portcullis/healthz/READY", "/.portcullis"] {
        assert_eq!(shop.get(path).await.upstream(), "blue", "{path}");
    }
}

#[tokio::test]
async fn http_1_0_without_a_host_is_enough() {
    let shop = Shop::open(TO_BLUE).await;
    for (port, path) in [
        (shop.gateway.address("http"), READY),
        (shop.gateway.side_port("status"), READY),
        (shop.gateway.side_port("status"), "/healthz/ready"),
    ] {
        let reply = RawConnection::exchange(port, format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        assert!(
            reply.starts_with("HTTP/1.0 200 ") || reply.starts_with("HTTP/1.1 200 "),
            "{reply}"
        );
        assert!(reply.ends_with("\r\n\r\nLIVE"), "{reply}");
    }
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn a_redirect_to_https_leaves_it_alone() {
    let mut shop = Shop::open(TO_BLUE).await;
    let redirecting = shop.manifests(TO_BLUE).replacen(
        "hosts: [\"*\"]\n",
        "hosts: [\"*\"]\n    tls: {httpsRedirect: true}\n",
        1,
    );
    shop.gateway.apply(&redirecting).await;
    assert_eq!(shop.get("/").await.status, 301);
    assert_eq!(shop.get(READY).await.status, 200);
}

#[tokio::test]
async fn nothing_counts_it() {
    let mut shop = Shop::open(TO_BLUE).await;
    shop.get(READY).await;
    grpc(&mut Client::h2c(shop.gateway.address("http")).await.unwrap(), CHECK).await;
    shop.get("/last").await;
    assert!(shop.gateway.access_line().await.contains("/last"));
    let text = metrics(&shop.gateway).await;
    let counted = text.lines().filter(|line| line.starts_with("istio_requests_total{"));
    let counted: Vec<&str> = counted.collect();
    assert!(matches!(counted[..], [line] if line.ends_with(" 1")), "{counted:?}");
}

/// Both ports on which a gRPC target group may ask.
fn grpc_ports(shop: &Shop) -> [SocketAddr; 2] {
    [shop.gateway.address("http"), shop.gateway.side_port("status")]
}

#[tokio::test]
async fn grpc_health_is_answered_on_both_ports() {
    let shop = Shop::open(GREEDY).await;
    for port in grpc_ports(&shop) {
        let mut client = Client::h2c(port).await.unwrap();
        let serving = b"\0\0\0\0\x02\x08\x01".to_vec();
        let check = grpc(&mut client, CHECK).await;
        assert!(check.trailers.is_some(), "a message is followed by its status");
        assert_eq!(outcome(&check), ("0".to_owned(), serving));
        assert_eq!(outcome(&grpc(&mut client, WATCH).await), ("12".to_owned(), vec![]));
        assert_eq!(outcome(&grpc(&mut client, ALB).await), ("12".to_owned(), vec![]));
    }
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn the_paths_of_grpc_are_reserved_for_grpc() {
    let mut shop = Shop::open(TO_BLUE).await;
    let mut h2c = Client::h2c(shop.gateway.address("http")).await.unwrap();
    for path in [CHECK, WATCH, ALB] {
        assert_eq!(h2c.get(HOST, path).await.upstream(), "blue");
        assert_eq!(
            shop.get_with(path, "content-type", "application/grpc").await.upstream(),
            "blue"
        );
    }
    assert_eq!(grpc(&mut h2c, "/grpc.health.v1.Health/Other").await.upstream(), "blue");
}

#[tokio::test]
async fn in_a_drain_every_answer_says_so() {
    let mut shop = Shop::open_with(TO_BLUE, &LONG).await;
    shop.gateway.signal("TERM");
    shop.gateway.wait_for_log("draining").await;
    let mut client = shop.connect().await;
    let reply = client.get(HOST, READY).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "DRAINING"));
    assert_eq!(reply.header("connection"), "close");
    assert_eq!(shop.connect().await.get(HOST, "/").await.upstream(), "blue", "traffic goes on");
    for port in grpc_ports(&shop) {
        let not_serving = b"\0\0\0\0\x02\x08\x02".to_vec();
        // A traffic port sends a client away after a request.
        let check = grpc(&mut Client::h2c(port).await.unwrap(), CHECK).await;
        assert_eq!(outcome(&check), ("0".to_owned(), not_serving));
        let alb = grpc(&mut Client::h2c(port).await.unwrap(), ALB).await;
        assert_eq!(outcome(&alb), ("14".to_owned(), vec![]));
        let ready = Client::h2c(port).await.unwrap().get(HOST, READY).await;
        assert_eq!(ready.status, 503);
    }
}

#[tokio::test]
async fn one_port_speaks_http1_http2_and_grpc() {
    let mut shop = Shop::open(TO_BLUE).await;
    assert_eq!(shop.get("/").await.upstream(), "blue");
    let mut h2c = Client::h2c(shop.gateway.address("http")).await.unwrap();
    assert_eq!(h2c.get(HOST, "/").await.upstream(), "blue");
    let reply = grpc(&mut h2c, "/shop.Cart/Add").await;
    assert_eq!(reply.json()["headers"]["content-type"], "application/grpc");
    assert_eq!(reply.json()["headers"]["te"], "trailers");
    assert_eq!(reply.json()["body_length"], 5);
}
