//! HTTP/1 downstream: what is well-formed passes, what is not is refused, connections are kept.

use portcullis_testkit::manifests::{http_gateway, join, virtual_service};
use portcullis_testkit::{Call, RawConnection};

use crate::gateway::Gateway;
use crate::shop::{HOST, Shop, TO_BLUE};

/// The status line that these bytes are answered with.
async fn status_of(gateway: &Gateway, bytes: &str) -> String {
    let mut connection = RawConnection::connect(gateway.address("http")).await.unwrap();
    connection.send(bytes).await.unwrap();
    connection.read_head().await.lines().next().unwrap_or("").to_owned()
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let mut shop = Shop::open(TO_BLUE).await;
    let requests = "GET /a HTTP/1.1\r\nhost: shop.example\r\n\r\n\
         POST /b HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 5\r\n\r\nhello\
         GET /c HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    let replies = RawConnection::exchange(shop.gateway.address("http"), requests).await;
    assert_eq!(replies.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{replies}");
    for path in ["/a", "/b", "/c"] {
        assert!(shop.gateway.access_line().await.contains(path), "in the order of the requests");
    }
}

#[tokio::test]
async fn what_is_no_http_is_400() {
    let shop = Shop::open(TO_BLUE).await;
    for bytes in [
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nhost shop.example\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.example\r\nhost: other.example\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.example\r\nx-a : b\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let status = status_of(&shop.gateway, bytes).await;
        assert!(
            status.starts_with("HTTP/1.1 400 ") || status.starts_with("HTTP/1.0 400 "),
            "{bytes:?}: {status}"
        );
    }
    assert_eq!(shop.blue.seen().requests, 0);
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    let shop = Shop::open(TO_BLUE).await;
    let status =
        status_of(&shop.gateway, "CONNECT shop.example:443 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
            .await;
    assert!(status.starts_with("HTTP/1.1 405 "), "{status}");
}

#[tokio::test]
async fn an_absolute_url_is_taken_before_host() {
    let shop = Shop::open(TO_BLUE).await;
    let request =
        "GET http://shop.example/a HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n";
    let reply = RawConnection::exchange(shop.gateway.address("http"), request).await;
    assert!(
        reply.contains("\"host\":\"shop.example\"") && reply.contains("\"path\":\"/a\""),
        "{reply}"
    );
}

#[tokio::test]
async fn http_1_0_without_host_reaches_the_routes_of_every_host() {
    let rules = "- directResponse: {status: 200, body: {string: old}}\n";
    let manifests =
        [http_gateway("shop", 80, &["*"]), virtual_service("shop", "shop", &["*"], rules)];
    let gateway = Gateway::start(&join(&manifests)).await;
    let reply = RawConnection::exchange(gateway.address("http"), "GET / HTTP/1.0\r\n\r\n").await;
    assert!(reply.contains(" 200 ") && reply.ends_with("old"), "{reply}");
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_go_on() {
    let shop = Shop::open(TO_BLUE).await;
    let mut connection = RawConnection::connect(shop.gateway.address("http")).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: shop.example\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    connection.send(head).await.unwrap();
    assert!(connection.read_head().await.starts_with("HTTP/1.1 100 "));
    connection.send("hello").await.unwrap();
    assert!(connection.read_head().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_head_request_gets_the_length_but_no_body() {
    let mut shop = Shop::open(TO_BLUE).await;
    for _ in 0..3 {
        let reply = shop.client.call(Call::new("HEAD", HOST, "/stream/1")).await;
        assert_eq!((reply.header("content-length"), reply.body.len()), ("1048576", 0));
    }
    assert_eq!(shop.get("/").await.status, 200);
}

#[tokio::test]
async fn statuses_without_a_body_pass() {
    let mut shop = Shop::open(TO_BLUE).await;
    for status in [204, 304] {
        let reply = shop.get(&format!("/status/{status}")).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (status, 0));
    }
    assert_eq!(shop.get("/").await.status, 200);
}

#[tokio::test]
async fn fields_keep_their_order_and_their_repetition() {
    let mut shop = Shop::open(TO_BLUE).await;
    let call =
        Call::get(HOST, "/").header("x-many", "1").header("x-many", "2").header("x-many", "3");
    assert_eq!(
        shop.client.call(call).await.json()["headers"]["x-many"],
        serde_json::json!(["1", "2", "3"])
    );
    let call = Call::get(HOST, "/")
        .header("x-reply-set-cookie", "a=1")
        .header("x-reply-set-cookie", "b=2");
    let reply = shop.client.call(call).await;
    assert_eq!(reply.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
}
