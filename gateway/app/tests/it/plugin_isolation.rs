//! `isolation: request`: nothing of one request is ever seen by another.

use portcullis_testkit::manifests::wasm_plugin;
use portcullis_testkit::{Call, Client};

use crate::gateway::{Gateway, directory_with};
use crate::guests::guest;
use crate::shop::{self, HOST, Shop, TO_BLUE};
use crate::small_guests::{callback, map, on_configure, shop_with_annotated};

const REQUEST: &str = "portcullis.dev/isolation: request";

async fn isolated(functions: &str) -> Shop {
    shop_with_annotated(functions, REQUEST, "").await
}

fn calls_green() -> String {
    let head = map(&[(":method", "GET"), (":path", "/"), (":authority", "green.example")]);
    format!(
        "(call $expect (call $host_http_call $\"green.example:80\" {head} (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 520)) (i32.const 0))"
    )
}

/// Leaves the request's secret in memory, wherever the allocator puts it, and tells what it finds there of others.
fn nosy() -> String {
    callback(
        "on_request_headers",
        "(call $replace (i32.const 0) $\"x-found\" (i32.const 3000) (i32.load (i32.const 2996)))
         (call $expect (call $host_get (i32.const 0) $\"x-secret\" (i32.const 512) (i32.const 516)) (i32.const 0))
         (i32.store (i32.const 2996) (i32.load (i32.const 516)))
         (memory.copy (i32.const 3000) (i32.load (i32.const 512)) (i32.load (i32.const 516)))
         (memory.copy (i32.const 4000000) (i32.load (i32.const 512)) (i32.load (i32.const 516)))
         (global.set $first (i32.add (global.get $first) (i32.const 1)))",
    ) + &callback(
        "on_response_headers",
        "(call $expect (global.get $first) (i32.const 1))
         (call $replace (i32.const 2) $\"x-own\" (i32.const 4000000) (i32.load (i32.const 2996)))",
    )
}

#[tokio::test]
async fn a_request_finds_nothing_of_another() {
    let shop = isolated(&nosy()).await;
    let address = shop.gateway.address("http");
    let clients = (0..8).map(|client| async move {
        let mut connection = Client::http1(address).await.unwrap();
        for nth in 0..40 {
            let secret = format!("secret-{client}-{nth}");
            let reply = connection.call(Call::get(HOST, "/").header("x-secret", &secret)).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.json()["headers"]["x-found"], "");
            assert_eq!(reply.header("x-own"), secret, "its own callbacks share its sandbox");
        }
    });
    let clients: Vec<_> = clients.map(tokio::spawn).collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn the_same_plugin_finds_others_in_a_workers_instance() {
    let mut shop = shop_with_annotated(&nosy(), "portcullis.dev/isolation: worker", "").await;
    shop.get_with("/", "x-secret", "first").await;
    let second = shop.get_with("/", "x-secret", "second").await;
    // Its own count then is 2, and traps.
    assert_eq!(second.status, 503);
}

#[tokio::test]
async fn what_was_configured_is_there_for_each_request() {
    let guest = on_configure(
        "(i32.store8 (i32.const 3000) (i32.const 65)) (global.set $first (i32.const 66))",
    ) + &callback(
        "on_request_headers",
        "(i32.store8 (i32.const 3001) (global.get $first))
         (call $add (i32.const 0) $\"x-kept\" (i32.const 3000) (i32.const 2))
         (i32.store8 (i32.const 3000) (i32.const 90)) (global.set $first (i32.const 90))",
    );
    let mut shop = isolated(&guest).await;
    for _ in 0..3 {
        assert_eq!(shop.get("/").await.json()["headers"]["x-kept"], "AB");
    }
}

#[tokio::test]
async fn a_request_that_waits_for_a_call_is_resumed_in_its_sandbox() {
    let guest = callback(
        "on_request_headers",
        &format!(
            "(global.set $first (i32.add (global.get $first) (local.get $context))) {} (return (i32.const 1))",
            calls_green()
        ),
    ) + "(func (export \"proxy_on_http_call_response\") (param i32 i32 i32 i32 i32)
           (call $expect (call $host_context (global.get $first)) (i32.const 0))
           (call $add (i32.const 0) $\"x-answered\" $\"yes\")
           (call $resume (global.get $first) (i32.const 0)))";
    let shop = isolated(&guest).await;
    let address = shop.gateway.address("http");
    let calls: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::http1(address).await.unwrap();
                client.get(HOST, "/").await.json()["headers"]["x-answered"] == "yes"
            })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
    assert_eq!(shop.green.seen().requests, 6);
}

#[tokio::test]
async fn a_call_made_at_the_end_of_a_request_is_carried_out() {
    let guest = format!(
        "(func (export \"proxy_on_log\") (param i32) {})
         (func (export \"proxy_on_http_call_response\") (param i32 i32 i32 i32 i32)
           (call $log $\"the end was told\"))",
        calls_green()
    );
    let mut shop = isolated(&guest).await;
    assert_eq!(shop.get("/").await.status, 200);
    shop.gateway.wait_for_log("the end was told").await;
}

#[tokio::test]
async fn a_trap_costs_its_own_request_alone() {
    let guest = callback("on_request_headers", "(if (call $asks $\"x-trap\") (then unreachable))");
    let mut shop = isolated(&guest).await;
    for _ in 0..5 {
        assert_eq!(shop.get_with("/", "x-trap", "yes").await.status, 503);
        assert_eq!(shop.get("/").await.status, 200, "nobody waits for a replacement");
    }
}

#[tokio::test]
async fn a_plugin_that_leaves_something_open_is_refused_for_this_mode_by_name() {
    let guest = on_configure("(drop (call $host_register $\"jobs\" (i32.const 512)))");
    let mut shop = isolated(&guest).await;
    let line = shop.gateway.logged("registers a queue").await;
    assert!(line.contains("PC0404") && line.contains("WasmPlugin/default/guest"), "{line}");
    assert_eq!(shop.get("/").await.status, 503, "it fails closed");
}

#[tokio::test]
async fn ticks_come_in_an_instance_beside_the_sandboxes() {
    let guest = on_configure("(drop (call $host_set_tick (i32.const 20)))")
        + "(func (export \"proxy_on_tick\") (param i32)
             (global.set $first (i32.add (global.get $first) (i32.const 1)))
             (if (i32.eq (global.get $first) (i32.const 3)) (then (call $log $\"the third tick\"))))"
        + &callback("on_request_headers", "(call $expect (global.get $first) (i32.const 0))");
    let mut shop = isolated(&guest).await;
    shop.gateway.wait_for_log("the third tick").await;
    assert_eq!(shop.get("/").await.status, 200);
}

#[tokio::test]
async fn a_filter_for_envoy_runs_in_sandboxes() {
    let upstream = portcullis_testkit::Upstream::start("blue");
    let object = wasm_plugin("guest", &guest("envoy-filter"), "pluginConfig: \"blue\"\n");
    let head = "  name: guest\n";
    let object = object.replace(head, &format!("{head}  annotations: {{{REQUEST}}}\n"));
    let documents = [shop::manifests(TO_BLUE), shop::backends(&upstream, &upstream), object];
    let directory = directory_with(&portcullis_testkit::manifests::join(&documents));
    let gateway = Gateway::start_in(directory, &["--workers", "2"]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for _ in 0..3 {
        let reply = client.get(HOST, "/cart?id=7").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-guest-mark"), "blue");
        assert_eq!(reply.header("x-guest-path"), "/cart?id=7");
    }
}
