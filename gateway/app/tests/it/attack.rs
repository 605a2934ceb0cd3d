//! Peers that do what nobody should: no byte of one exchange gets into another, and each exchange is recorded
//! once, as what it was.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{join, service_entry, wasm_plugin};
use portcullis_testkit::{Call, Client, RawConnection, module};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::gateway::Gateway;
use crate::shop::{self, HOST, Shop, TO_BLUE};

/// A rule that answers itself, with a body, at any path.
const ANSWERS: &str = "- directResponse: {status: 418, body: {string: teapot}}\n";

/// An upstream that answers each head with the same bytes and keeps its connections open.
async fn steady_upstream(reply: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|length| length > 0) {
                    if read.ends_with(b"\r\n\r\n") {
                        read.clear();
                        stream.write_all(reply.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    address
}

/// A gateway with one worker that sends everything to this address.
async fn in_front_of(address: SocketAddr) -> (Gateway, Client) {
    let manifests =
        join(&[shop::manifests(TO_BLUE), service_entry("blue", "blue.example", 80, &[address])]);
    let gateway = Gateway::start_with(&manifests, &["--workers", "1"]).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

/// How many requests every endpoint together is busy with.
async fn active_requests(gateway: &Gateway) -> u64 {
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let clusters = admin.get("localhost", "/clusters").await.json();
    let endpoints =
        clusters["clusters"].as_array().unwrap().iter().flat_map(|c| c["endpoints"].as_array());
    endpoints.flatten().map(|endpoint| endpoint["active_requests"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_head_request_that_the_gateway_answers_is_complete_without_a_body() {
    let mut shop = Shop::open(ANSWERS).await;
    let mut http2 = Client::h2c(shop.gateway.address("http")).await.unwrap();
    for client in [&mut shop.client, &mut http2] {
        let reply = client.call(Call::new("HEAD", HOST, "/")).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-length")), (418, "6"));
        assert!(reply.body.is_empty());
        let line = shop.gateway.access_line().await;
        assert!(line.contains(" 418 - direct_response "), "{line}");
    }
}

#[tokio::test]
async fn a_status_without_a_body_has_none_whatever_the_rule_says() {
    let mut shop = Shop::open("- directResponse: {status: 204, body: {string: teapot}}\n").await;
    let mut http2 = Client::h2c(shop.gateway.address("http")).await.unwrap();
    for client in [&mut shop.client, &mut http2] {
        for _ in 0..2 {
            let reply = client.get(HOST, "/").await;
            assert_eq!((reply.status.as_u16(), reply.header("content-length")), (204, ""));
            assert!(reply.body.is_empty());
            let line = shop.gateway.access_line().await;
            assert!(line.contains(" 204 - direct_response "), "{line}");
        }
    }
}

#[tokio::test]
async fn bytes_after_a_reply_are_nobodys_reply() {
    const STOWAWAY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad";
    for reply in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let reply = String::leak(format!("{reply}{STOWAWAY}"));
        let (_gateway, mut client) = in_front_of(steady_upstream(reply).await).await;
        for _ in 0..20 {
            assert_ne!(client.get(HOST, "/").await.text(), "bad", "{reply}");
        }
    }
}

#[tokio::test]
async fn a_length_said_twice_is_passed_on_once() {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok";
    let (_gateway, mut client) = in_front_of(steady_upstream(reply).await).await;
    for method in ["GET", "HEAD"] {
        let reply = client.call(Call::new(method, HOST, "/")).await;
        assert_eq!(reply.headers.get_all("content-length").iter().count(), 1, "{method}");
    }
}

#[tokio::test]
async fn an_upgrade_to_what_is_not_allowed_is_an_ordinary_request() {
    let mut shop = Shop::open(TO_BLUE).await;
    let request = "GET /a HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade, close\r\n\
         upgrade: h2c\r\nhttp2-settings: x\r\n\r\nearly data";
    let reply = RawConnection::exchange(shop.gateway.address("http"), request).await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    assert!(!reply.contains("\"upgrade\"") && !reply.contains("early"), "{reply}");
    assert!(shop.gateway.access_line().await.contains("\"GET /a HTTP/1.1\" 200 - "));
}

#[tokio::test]
async fn an_upstream_that_switches_protocols_unasked_is_502() {
    let reply = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let (mut gateway, mut client) = in_front_of(steady_upstream(reply).await).await;
    assert_eq!(client.get(HOST, "/").await.status, 502);
    let line = gateway.access_line().await;
    assert!(line.contains(" 502 UPE "), "{line}");
    assert_eq!(active_requests(&gateway).await, 0);
}

#[tokio::test]
async fn an_upload_that_nobody_wants_leaves_one_record() {
    let mut shop = Shop::open(ANSWERS).await;
    let request =
        "POST /unwanted HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1000000\r\n\r\nhalf";
    let mut connection = RawConnection::connect(shop.gateway.address("http")).await.unwrap();
    connection.send(request).await.unwrap();
    assert!(connection.read_head().await.starts_with("HTTP/1.1 418 "));
    let rest = connection.read_to_close().await;
    assert_eq!(rest, b"teapot", "then closed: what follows is the rest of the body");
    shop.get("/last").await;
    assert!(shop.gateway.access_line().await.contains("/unwanted HTTP/1.1\" 418 - "));
    assert!(shop.gateway.access_line().await.contains("/last"));
}

#[tokio::test]
async fn clients_that_leave_are_recorded_once_each() {
    let mut shop = Shop::open(TO_BLUE).await;
    let address = shop.gateway.address("http");
    let mut half = RawConnection::connect(address).await.unwrap();
    half.send("POST /half HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    shop.blue.until(|seen| seen.requests == 1).await;
    drop(half);
    let line = shop.gateway.access_line().await;
    assert!(line.contains("/half") && line.contains(" DC "), "{line}");

    let mut waiting = RawConnection::connect(address).await.unwrap();
    waiting.send("GET /slow HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    shop.blue.until(|seen| seen.requests == 2).await;
    drop(waiting);
    let line = shop.gateway.access_line().await;
    assert!(line.contains("\"GET /slow HTTP/1.1\" 0 DC downstream_remote_disconnect"), "{line}");

    let mut http2 = Client::h2c(address).await.unwrap();
    let mut stream = http2.another_stream();
    let reset = tokio::spawn(async move { stream.open(Call::get(HOST, "/slow?h2")).await });
    shop.blue.until(|seen| seen.requests == 3).await;
    reset.abort();
    let line = shop.gateway.access_line().await;
    assert!(line.contains("\"GET /slow?h2 HTTP/2\" 0 DC downstream_remote_disconnect"), "{line}");

    http2.get(HOST, "/last").await;
    assert!(shop.gateway.access_line().await.contains("/last"), "nothing was recorded twice");
    assert_eq!(active_requests(&shop.gateway).await, 0);
}

#[tokio::test]
async fn a_drain_that_runs_out_of_time_records_what_it_cuts() {
    let arguments = ["--drain-delay", "0s", "--drain-timeout", "0s"];
    let mut shop = Shop::open_with(TO_BLUE, &arguments).await;
    let mut client = shop.connect().await;
    let held =
        tokio::spawn(async move { client.try_call(Call::get(HOST, "/slow")).await.is_err() });
    shop.blue.until(|seen| seen.held == 1).await;
    shop.gateway.signal("TERM");
    assert!(shop.gateway.wait().await.success());
    assert!(held.await.unwrap());
    assert!(shop.gateway.access_line().await.contains("/slow"));
}

/// Says so and then never comes to an end.
const NEVER_STARTS: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "never starts")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 0)
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (drop (call $log (i32.const 3) (i32.const 0) (i32.const 12)))
        (loop $for_ever (br $for_ever))
        (i32.const 1)))"#;

#[tokio::test]
async fn a_plugin_that_never_starts_holds_up_no_signal() {
    let mut shop = Shop::open_with(TO_BLUE, &["--drain-delay", "1h"]).await;
    shop.gateway.write_file("never.wasm", module(NEVER_STARTS));
    let plugin = wasm_plugin("never", "./never.wasm", "");
    shop.gateway.write(&join(&[shop.manifests(TO_BLUE), plugin]));
    shop.gateway.wait_for_log("never starts").await;
    shop.gateway.signal("TERM");
    shop.gateway.wait_for_log("draining").await;
    let applied = shop.gateway.log.iter().filter(|line| line.contains("configuration applied"));
    assert_eq!(applied.count(), 1, "the signal came first");
}
