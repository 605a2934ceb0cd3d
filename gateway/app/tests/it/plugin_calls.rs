//! Calls that plugins make: over HTTP and gRPC, from every phase, whatever becomes of them.

use portcullis_testkit::manifests::service_entry;
use portcullis_testkit::{Call, Client, FrameUpstream, Upstream, frame, within};

use crate::shop::Shop;
use crate::small_guests::{
    SHOP, callback, map, on_configure, shop_with_guest, shop_with_guests, small_guest,
};

/// Calls this cluster for a path, with a timeout in milliseconds.
fn call(cluster: &str, path: &str, timeout: u32) -> String {
    let head = map(&[(":method", "GET"), (":path", path), (":authority", "auth.example")]);
    format!(
        "(call $expect (call $host_http_call $\"{cluster}\" {head} (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const {timeout}) (i32.const 520)) (i32.const 0))"
    )
}

/// Each request is held for a call, on whose reply it goes on with its status; its body is logged.
fn asks(cluster: &str, path: &str, timeout: u32) -> String {
    let held = format!(
        "(global.set $first (local.get $context)) {} (return (i32.const 1))",
        call(cluster, path, timeout)
    );
    callback("on_request_headers", &held)
        + "(func (export \"proxy_on_http_call_response\") (param i32 i32 i32 i32 i32)
             (call $expect (call $host_context (global.get $first)) (i32.const 0))
             (call $expect (call $host_get_buffer (i32.const 4) (i32.const 0) (i32.const -1) (i32.const 512) (i32.const 516)) (i32.const 0))
             (call $log_given)
             (call $expect (call $host_get (i32.const 6) $\":status\" (i32.const 512) (i32.const 516)) (i32.const 0))
             (call $add (i32.const 0) $\"x-answer\" (i32.load (i32.const 512)) (i32.load (i32.const 516)))
             (call $resume (global.get $first) (i32.const 0)))"
}

async fn answer(shop: &mut Shop) -> String {
    shop.get("/").await.json()["headers"]["x-answer"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn a_request_waits_for_a_call_and_goes_on_with_its_answer() {
    for cluster in ["outbound|80||green.example", "green.example:80"] {
        let mut shop = shop_with_guest(&asks(cluster, "/status/204", 0)).await;
        assert_eq!(answer(&mut shop).await, "204");
        assert_eq!(shop.green.seen().requests, 1);
        // The connection is used again.
        assert_eq!(answer(&mut shop).await, "204");
        assert_eq!(shop.green.seen().connections, 1);
    }
}

#[tokio::test]
async fn a_call_that_fails_is_answered_as_envoy_does() {
    let mut shop = shop_with_guest(&asks("green.example:80", "/slow", 50)).await;
    assert_eq!(answer(&mut shop).await, "504");
    shop.gateway.wait_for_log("upstream request timeout").await;

    let mut shop = shop_with_guest(&asks("green.example:80", "/close", 0)).await;
    assert_eq!(answer(&mut shop).await, "503");
    shop.gateway.wait_for_log("reset reason: connection termination").await;

    let empty = service_entry("empty", "empty.example", 80, &[]);
    let guest = small_guest(&asks("empty.example:80", "/", 0));
    let mut shop = shop_with_guests(&[("guest", guest, "")], &[empty]).await;
    assert_eq!(answer(&mut shop).await, "503");
    shop.gateway.wait_for_log("no healthy upstream").await;
}

#[tokio::test]
async fn a_cluster_that_the_configuration_does_not_name_is_refused_and_said() {
    let head = map(&[(":method", "GET"), (":path", "/"), (":authority", "a")]);
    let refused = callback(
        "on_request_headers",
        &format!(
            "(call $expect (call $host_http_call $\"169.254.169.254:80\" {head} (i32.const 0) (i32.const 0)
               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 520)) (i32.const 2))"
        ),
    );
    let mut shop = shop_with_guest(&refused).await;
    assert_eq!(shop.get("/").await.status, 200);
    let line = shop.gateway.wait_for_log("the configuration names no such cluster").await;
    assert!(
        line.contains("proxy_http_call") && line.contains("WasmPlugin/default/guest"),
        "{line}"
    );
}

#[tokio::test]
async fn a_call_is_freed_when_its_client_leaves() {
    let shop = shop_with_guest(&asks("green.example:80", "/slow", 3_600_000)).await;
    let mut client = Client::h2c(shop.gateway.address("http")).await.unwrap();
    let waiting = tokio::spawn(async move { client.call(Call::get(SHOP, "/")).await });
    shop.green.until(|seen| seen.held == 1).await;
    waiting.abort();
    shop.green.until(|seen| seen.open == 0).await;
}

#[tokio::test]
async fn a_plugin_calls_while_it_is_configured_and_when_a_request_is_logged() {
    let shop = shop_with_guest(&on_configure(&call("green.example:80", "/configured", 0))).await;
    shop.green.until(|seen| seen.requests == 1).await;

    let logs = format!(
        "(func (export \"proxy_on_log\") (param i32) {})",
        call("green.example:80", "/logged", 0)
    );
    let mut shop = shop_with_guest(&logs).await;
    assert_eq!(shop.get("/").await.status, 200);
    shop.green.until(|seen| seen.requests == 1).await;
}

#[tokio::test]
async fn an_unary_call_of_grpc_ends_with_the_upstreams_status() {
    let grpc = Upstream::start_http2("grpc");
    let metadata = map(&[("x-reply-grpc-status", "5"), ("x-reply-grpc-message", "nobody")]);
    let guest = callback(
        "on_request_headers",
        &format!(
            "(global.set $first (local.get $context))
             (call $expect (call $host_grpc_call $\"grpc.example:80\" $\"shop.Auth\" $\"Check\" {metadata} $\"ping\"
               (i32.const 0) (i32.const 520)) (i32.const 0))
             (return (i32.const 1))"
        ),
    ) + "(func (export \"proxy_on_grpc_close\") (param $root i32) (param $call i32) (param $status i32)
           (call $expect (local.get $status) (i32.const 5))
           (call $resume (global.get $first) (i32.const 0)))";
    let entry = service_entry("grpc", "grpc.example", 80, &[grpc.address()]);
    let mut shop = shop_with_guests(&[("guest", small_guest(&guest), "")], &[entry]).await;
    assert_eq!(shop.get("/").await.status, 200);
    assert_eq!(grpc.seen().requests, 1);
}

#[tokio::test]
async fn a_stream_of_grpc_carries_messages_both_ways() {
    let upstream = FrameUpstream::start().await;
    let guest = callback(
        "on_request_headers",
        "(call $expect (call $host_grpc_stream $\"grpc.example:80\" $\"shop.Auth\" $\"Watch\"
           (i32.const 0) (i32.const 0) (i32.const 520)) (i32.const 0))
         (call $expect (call $host_grpc_send (i32.load (i32.const 520)) $\"ping\" (i32.const 0)) (i32.const 0))
         (global.set $first (local.get $context))
         (return (i32.const 1))",
    ) + "(func (export \"proxy_on_grpc_receive\") (param $root i32) (param $call i32) (param $size i32)
           (call $expect (call $host_get_buffer (i32.const 5) (i32.const 0) (i32.const -1) (i32.const 512) (i32.const 516)) (i32.const 0))
           (call $log_given))
         (func (export \"proxy_on_grpc_close\") (param $root i32) (param $call i32) (param $status i32)
           (call $expect (local.get $status) (i32.const 0))
           (call $resume (global.get $first) (i32.const 0)))";
    let entry = service_entry("grpc", "grpc.example", 80, &[upstream.address()]);
    let mut shop = shop_with_guests(&[("guest", small_guest(&guest), "")], &[entry]).await;
    let mut client = shop.connect().await;
    let waiting = tokio::spawn(async move { client.get(SHOP, "/").await });
    within("a stream of gRPC", async {
        let mut connection = upstream.accept().await;
        let stream = connection.next_request().await;
        let message = connection.next_where(|sent| sent.kind == frame::DATA).await.unwrap();
        assert_eq!(message.payload, b"\0\0\0\0\x04ping");
        let head = [(":status", "200"), ("content-type", "application/grpc")];
        connection.reply(stream, &head, 0).await.unwrap();
        let messages = b"\0\0\0\0\x08first-in\0\0\0\0\x09second-in";
        connection.send(frame::DATA, 0, stream, messages).await.unwrap();
        let last = [("grpc-status", "0")];
        connection.reply(stream, &last, frame::END_STREAM).await.unwrap();
    })
    .await;
    shop.gateway.wait_for_log("first-in").await;
    shop.gateway.wait_for_log("second-in").await;
    assert_eq!(waiting.await.unwrap().status, 200);
}
