//! `Expect: 100-continue`, and interim replies of upstreams.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_testkit::manifests::{
    http_gateway, join, route_to, service_entry, virtual_service, wasm_plugin,
};
use portcullis_testkit::{Client, RawConnection, RawUpstream};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::gateway::Gateway;
use crate::guests::guest;
use crate::shop::{HOST, Shop, TO_BLUE};

fn expecting(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {HOST}\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    )
}

async fn gateway_before(upstream: &RawUpstream, further: &[String]) -> Gateway {
    gateway_to(upstream.address, further).await
}

async fn gateway_to(upstream: SocketAddr, further: &[String]) -> Gateway {
    let mut documents = vec![
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &[HOST], &route_to("raw.example", 80)),
        service_entry("raw", "raw.example", 80, &[upstream]),
    ];
    documents.extend_from_slice(further);
    Gateway::start(&join(&documents)).await
}

/// All that a client gets that waits for a 100 and gets none.
async fn answer_without_body(gateway: &Gateway, path: &str) -> String {
    RawConnection::exchange(gateway.address("http"), expecting(path)).await
}

#[tokio::test]
async fn a_body_that_is_wanted_is_asked_for_and_the_connection_goes_on() {
    let shop = Shop::open(TO_BLUE).await;
    let mut connection = RawConnection::connect(shop.gateway.address("http")).await.unwrap();
    for _ in 0..2 {
        connection.send(expecting("/sink")).await.unwrap();
        assert_eq!(connection.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        connection.send("hello").await.unwrap();
        let head = connection.read_head().await;
        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("connection: close"), "{head}");
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        connection.read_exactly(length.parse().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_comes_unasked_gets_no_100() {
    let shop = Shop::open(TO_BLUE).await;
    let request = expecting("/sink").replace("expect", "connection: close\r\nexpect") + "hello";
    let reply = RawConnection::exchange(shop.gateway.address("http"), request).await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{reply}");
}

#[tokio::test]
async fn an_answer_of_the_gateways_own_comes_without_a_100() {
    let plugin = wasm_plugin("guest", &guest("envoy-filter"), "pluginConfig: \"blue\"\n");
    let mut upstream = RawUpstream::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let gateway = gateway_before(&upstream, &[plugin]).await;
    let hosted = expecting("/").replace(HOST, "other.example");
    let refused = RawConnection::exchange(gateway.address("http"), hosted).await;
    let denied = answer_without_body(&gateway, "/guest/denied").await;
    for (reply, status) in [(refused, "404"), (denied, "403")] {
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
        // Whether the client sends the body now cannot be told.
        assert!(reply.contains("\r\nconnection: close\r\n"), "{reply}");
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{reply}");
    }
    assert!(upstream.is_quiet());
    let _ = &mut upstream;
}

#[tokio::test]
async fn an_upstreams_refusal_comes_without_a_100() {
    let reply = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n";
    let mut upstream = RawUpstream::start(reply).await;
    let gateway = gateway_before(&upstream, &[]).await;
    let reply = answer_without_body(&gateway, "/").await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert!(reply.contains("\r\nconnection: close\r\n"), "{reply}");
    let head = upstream.next_head().await;
    assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
}

#[tokio::test]
async fn an_upstreams_100_lets_the_client_go_on() {
    let reply = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let upstream = RawUpstream::start(reply).await;
    let gateway = gateway_before(&upstream, &[]).await;
    let mut connection = RawConnection::connect(gateway.address("http")).await.unwrap();
    connection.send(expecting("/")).await.unwrap();
    let head = connection.read_head().await;
    // The reply is there already: either order is right, and a 100 comes first or not at all.
    assert!(head.starts_with("HTTP/1.1 100 ") || head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test]
async fn an_unknown_expectation_is_417() {
    let shop = Shop::open(TO_BLUE).await;
    for wrong in ["tea", "100-continue, tea", "100"] {
        let request = expecting("/").replace("100-continue", wrong);
        let reply = RawConnection::exchange(shop.gateway.address("http"), request).await;
        assert!(
            reply.starts_with("HTTP/1.1 417 ") && reply.contains("connection: close"),
            "{reply}"
        );
    }
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn interim_replies_are_bounded() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for (count, status) in [(1, "200"), (16, "200"), (17, "502"), (1000, "502")] {
        let upstream = RawUpstream::start(interim.repeat(count) + last).await;
        let gateway = gateway_before(&upstream, &[]).await;
        let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        let reply = RawConnection::exchange(gateway.address("http"), request).await;
        assert!(reply.contains(&format!("HTTP/1.1 {status} ")), "{count}: {reply}");
        assert_eq!(reply.matches(" 103 ").count(), count.min(16), "{reply}");
    }
}

/// Says hints at once, and the reply when it is let go.
async fn hinting() -> (SocketAddr, Arc<Notify>) {
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nset-cookie: a=b\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, go) = (listener.local_addr().unwrap(), Arc::new(Notify::new()));
    let told = go.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut connection = RawConnection::over(stream);
            connection.read_head().await;
            connection.send(HINTS).await.unwrap();
            told.notified().await;
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    });
    (address, go)
}

#[tokio::test]
async fn hints_reach_clients_that_can_take_them_before_the_reply() {
    let (address, go) = hinting().await;
    let gateway = gateway_to(address, &[]).await;
    let mut connection = RawConnection::connect(gateway.address("http")).await.unwrap();
    connection.send(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await.unwrap();
    let hints = connection.read_head().await;
    assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    go.notify_one();
    let head = connection.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("a.css"), "{head}");
    assert_eq!(connection.read_exactly(2).await.unwrap(), b"ok");
    go.notify_one();
    let old = RawConnection::exchange(
        gateway.address("http"),
        format!("GET / HTTP/1.0\r\nhost: {HOST}\r\n\r\n"),
    );
    let old = old.await;
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n") && !old.contains(" 103 "), "{old}");
    go.notify_one();
    let mut client = Client::h2c(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/").await.status, 200);
}
