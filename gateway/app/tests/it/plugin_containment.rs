//! What a plugin may cost beyond one callback: of a request, of a worker, of many failures, of a module's making.

use std::fmt::Write;

use portcullis_testkit::{Client, module};

use crate::metrics::{find_sample, metrics};
use crate::shop::Shop;
use crate::small_guests::{callback, shop_with_annotated, shop_with_guests};

/// Traps where the request asks for it.
const TRAPS: &str = "(if (call $asks $\"x-trap\") (then unreachable))";

/// So many rounds of nothing; a million take a good part of a millisecond.
fn spin(rounds: u32) -> String {
    format!(
        "(block $out (loop $spin
           (global.set $first (i32.add (global.get $first) (i32.const 1)))
           (br_if $out (i32.gt_u (global.get $first) (i32.const {rounds})))
           (br $spin)))
         (global.set $first (i32.const 0))"
    )
}

async fn counted(shop: &Shop, name: &str) -> f64 {
    find_sample(&metrics(&shop.gateway).await, name, &["default/guest"]).unwrap_or(0.0)
}

async fn trap(shop: &mut Shop) -> u16 {
    shop.get_with("/", "x-trap", "yes").await.status.as_u16()
}

#[tokio::test]
async fn a_storm_of_traps_opens_the_breaker_and_a_trial_closes_it() {
    let guest = callback("on_request_headers", TRAPS);
    let limits = "portcullis.dev/limits: breaker=3/1s";
    let mut shop = shop_with_annotated(&guest, limits, "").await;
    for _ in 0..20 {
        assert_eq!(trap(&mut shop).await, 503);
    }
    shop.gateway.wait_for_log("failed too often").await;
    // Those that came while the first ones were being replaced are not among them.
    let traps = counted(&shop, "portcullis_plugin_traps_total").await;
    assert!((3.0..=6.0).contains(&traps), "{traps}");
    while shop.get("/").await.status != 200 {}
    shop.gateway.wait_for_log("works again").await;
    assert_eq!(shop.get("/").await.status, 200);
}

#[tokio::test]
async fn while_the_breaker_is_open_the_policy_answers_and_the_plugin_does_not_run() {
    let guest = callback(
        "on_request_headers",
        &format!("{TRAPS} (call $add (i32.const 0) $\"x-ran\" $\"yes\")"),
    );
    for (strategy, status) in [("FAIL_CLOSE", 503), ("FAIL_OPEN", 200)] {
        let limits = "portcullis.dev/limits: breaker=1/1h";
        let strategy = format!("failStrategy: {strategy}\n");
        let mut shop = shop_with_annotated(&guest, limits, &strategy).await;
        assert_eq!(shop.get("/").await.json()["headers"]["x-ran"], "yes");
        trap(&mut shop).await;
        for _ in 0..50 {
            let reply = shop.get("/").await;
            assert_eq!(reply.status, status);
            if status == 200 {
                assert!(reply.json()["headers"]["x-ran"].is_null());
            }
        }
        assert_eq!(counted(&shop, "portcullis_plugin_traps_total").await, 1.0);
        let mut admin = Client::http1(shop.gateway.side_port("admin")).await.unwrap();
        let plugins = admin.get("localhost", "/plugins").await;
        assert!(plugins.text().contains("\"breaker\": \"open\""), "{}", plugins.text());
    }
}

#[tokio::test]
async fn callbacks_that_take_too_long_together_cost_their_request_and_no_instance() {
    let guest = callback("on_request_headers", &spin(40_000_000))
        + &callback("on_response_headers", "(call $log $\"the reply was seen\")");
    let limits = "portcullis.dev/limits: 'request=1ms,callback=10s,share=100%'";
    let mut shop = shop_with_annotated(&guest, limits, "").await;
    assert_eq!(shop.get("/").await.status, 503);
    shop.gateway.wait_for_log("took too long for one request").await;
    assert_eq!(shop.blue.seen().requests, 1, "it is found out at the next callback");
    assert_eq!(counted(&shop, "portcullis_plugin_traps_total").await, 0.0);
    assert_eq!(counted(&shop, "portcullis_plugin_budget_exceeded_total").await, 1.0);
}

#[tokio::test]
async fn a_plugin_that_takes_a_workers_time_cools_down() {
    let guest = callback(
        "on_request_headers",
        &format!(
            "(if (call $asks $\"x-slow\") (then {} )) (call $add (i32.const 0) $\"x-ran\" $\"yes\")",
            spin(40_000_000)
        ),
    );
    let limits = "portcullis.dev/limits: 'share=1%,request=10s,callback=10s'";
    let mut shop = shop_with_annotated(&guest, limits, "failStrategy: FAIL_OPEN\n").await;
    let ran = |reply: portcullis_testkit::Reply| reply.json()["headers"]["x-ran"] == "yes";
    while ran(shop.get_with("/", "x-slow", "yes").await) {}
    shop.gateway.wait_for_log("has to cool down there").await;
    assert!(!ran(shop.get("/").await));
}

#[tokio::test]
async fn a_worn_instance_is_replaced_and_no_request_notices() {
    let guest = callback(
        "on_request_headers",
        "(global.set $first (i32.add (global.get $first) (i32.const 1)))
         (i32.store8 (i32.const 600) (i32.add (i32.const 48) (global.get $first)))
         (call $add (i32.const 0) $\"x-count\" (i32.const 600) (i32.const 1))",
    );
    let limits = "portcullis.dev/limits: recycle=5";
    let mut shop = shop_with_annotated(&guest, limits, "").await;
    let mut seen = String::new();
    // The replacement may take a moment to start; the worn one serves until then.
    while seen.matches('1').count() < 3 {
        let reply = shop.get("/").await;
        assert_eq!(reply.status, 200);
        seen.push_str(reply.json()["headers"]["x-count"].as_str().unwrap());
    }
    assert!(seen.starts_with("123451"), "{seen}");
    assert_eq!(counted(&shop, "portcullis_plugin_traps_total").await, 0.0);
}

#[tokio::test]
async fn a_module_that_would_take_too_long_to_compile_is_refused_before() {
    let mut bomb = "(module (memory (export \"memory\") 1)
        (func (export \"proxy_abi_version_0_2_1\")) (func (export \"malloc\") (param i32) (result i32) i32.const 0)"
        .to_owned();
    write!(bomb, "(func (local {}) {}))", "i64 ".repeat(9_000), "(block) ".repeat(9_000)).unwrap();
    let mut shop = shop_with_guests(&[("bomb", module(&bomb), "")], &[]).await;
    let line = shop.gateway.logged("PC0404").await;
    assert!(line.contains("locals times blocks in one function"), "{line}");
    assert_eq!(shop.get("/").await.status, 503);
}
