//! Trailers: which pass, which are dropped, on either protocol.

use portcullis_testkit::manifests::{http_gateway, join, route_to, service_entry, virtual_service};
use portcullis_testkit::{Call, Client, RawConnection, RawUpstream};

use crate::gateway::Gateway;
use crate::shop::{HOST, Shop, TO_BLUE};

/// What may not come after a body: it would change what was decided by the head.
const FORBIDDEN: [&str; 9] = [
    "host",
    "authorization",
    "content-length",
    "transfer-encoding",
    "content-type",
    "set-cookie",
    "x-forwarded-for",
    "x-envoy-retry-on",
    "x_sum",
];

#[tokio::test]
async fn trailers_of_requests_that_would_change_what_was_decided_are_dropped() {
    let shop = Shop::open(TO_BLUE).await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    // A library sends none of those that HTTP/2 has no place for.
    let mut call = Call::post(HOST, "/", "hello").trailer("x-sum", "7");
    for name in FORBIDDEN.iter().filter(|name| !name.contains("encoding")) {
        call = call.trailer(name, "evil");
    }
    let by_http2 = client.call(call).await.json();
    let fields: String = FORBIDDEN.iter().map(|name| format!("{name}: evil\r\n")).collect();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
         trailer: x-sum, {}\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n{fields}\r\n",
        FORBIDDEN.join(", ")
    );
    let by_http1 = RawConnection::exchange(shop.gateway.address("http"), request).await;
    let by_http1 = by_http1.split("\r\n\r\n").nth(1).unwrap();
    let by_http1: serde_json::Value = serde_json::from_str(by_http1).unwrap();
    for echo in [by_http2, by_http1] {
        assert_eq!(echo["trailers"], serde_json::json!({ "x-sum": "7" }));
        assert_eq!((&echo["body"], &echo["headers"]["host"]), (&"hello".into(), &HOST.into()));
    }
}

#[tokio::test]
async fn a_trailer_that_was_not_announced_is_not_sent_on() {
    let shop = Shop::open(TO_BLUE).await;
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
         trailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\nx-other: 1\r\n\r\n"
    );
    let reply = RawConnection::exchange(shop.gateway.address("http"), request).await;
    assert!(reply.contains("\"x-sum\":\"7\"") && !reply.contains("x-other"), "{reply}");
}

#[tokio::test]
async fn trailers_of_replies_that_would_change_what_was_decided_are_dropped() {
    let fields: String = FORBIDDEN.iter().map(|name| format!("{name}: evil\r\n")).collect();
    let upstream = RawUpstream::start(format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{fields}x-sum: 7\r\n\r\n"
    ))
    .await;
    let gateway = Gateway::start(&join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &[HOST], &route_to("raw.example", 80)),
        service_entry("raw", "raw.example", 80, &[upstream.address]),
    ]))
    .await;
    let mut h2 = Client::h2c(gateway.address("http")).await.unwrap();
    let mut h1 = Client::http1(gateway.address("http")).await.unwrap();
    for client in [&mut h2, &mut h1] {
        let reply = client.call(Call::get(HOST, "/").accept_trailers()).await;
        let trailers = reply.trailers.unwrap();
        assert_eq!((trailers.len(), &trailers["x-sum"] == "7"), (1, true), "{trailers:?}");
    }
    // Who has not asked for trailers gets none.
    let reply = h1.call(Call::get(HOST, "/")).await;
    assert_eq!((reply.text(), reply.trailers.is_none()), ("hello", true));
}
