//! Plugins that tick, with and without requests.

use crate::small_guests::{callback, on_configure, shop_with_guest};

fn on_tick(code: &str) -> String {
    format!("(func (export \"proxy_on_tick\") (param $root i32) {code})")
}

#[tokio::test]
async fn a_plugin_ticks_without_a_request() {
    let guest = on_configure("(call $expect (call $host_set_tick (i32.const 20)) (i32.const 0))")
        + &on_tick("(call $log $\"it ticks\")");
    let mut shop = shop_with_guest(&guest).await;
    for _ in 0..3 {
        shop.gateway.wait_for_log("it ticks").await;
    }
    assert_eq!(shop.get("/").await.status, 200);
}

#[tokio::test]
async fn a_tick_that_traps_is_replaced_by_an_instance_that_ticks() {
    let guest = on_configure("(call $expect (call $host_set_tick (i32.const 20)) (i32.const 0))")
        + &on_tick(
            "(if (call $host_get_shared $\"trapped\" (i32.const 512) (i32.const 516) (i32.const 520))
               (then (drop (call $host_set_shared $\"trapped\" $\"yes\" (i32.const 0))) unreachable))
             (call $log $\"it ticks again\")",
        );
    let mut shop = shop_with_guest(&guest).await;
    shop.gateway.wait_for_log("the instance failed and is replaced").await;
    shop.gateway.wait_for_log("it ticks again").await;
    assert_eq!(shop.get("/").await.status, 200);
}

#[tokio::test]
async fn a_tick_resumes_a_request_that_waits_for_it() {
    let guest = callback(
        "on_request_headers",
        "(global.set $first (local.get $context))
         (call $expect (call $host_set_tick (i32.const 20)) (i32.const 0))
         (return (i32.const 1))",
    ) + &on_tick(
        "(call $expect (call $host_set_tick (i32.const 0)) (i32.const 0))
         (call $expect (call $host_context (global.get $first)) (i32.const 0))
         (call $add (i32.const 0) $\"x-ticked\" $\"yes\")
         (call $resume (global.get $first) (i32.const 0))",
    );
    let mut shop = shop_with_guest(&guest).await;
    assert_eq!(shop.get("/").await.json()["headers"]["x-ticked"], "yes");
}

#[tokio::test]
async fn an_endless_tick_costs_the_instance_and_nobody_waits() {
    let guest = on_configure("(call $expect (call $host_set_tick (i32.const 20)) (i32.const 0))")
        + &on_tick("(loop $forever (br $forever))");
    let mut shop = shop_with_guest(&guest).await;
    shop.gateway.wait_for_log("time budget").await;
    assert_eq!(shop.get("/").await.status, 200);
}
