//! What is told of plugins: metrics by plugin and phase, `/plugins`, the log.

use portcullis_testkit::Client;
use serde_json::Value;

use crate::metrics::{find_sample, metrics, sample};
use crate::shop::Shop;
use crate::small_guests::{callback, map, shop_with_guest, shop_with_guests, small_guest};

const PLUGIN: &str = "plugin=\"default/guest\"";

/// What the admin port says of the only plugin.
async fn shown(shop: &Shop) -> Value {
    let mut client = Client::http1(shop.gateway.side_port("admin")).await.unwrap();
    client.get("localhost", "/plugins").await.json()["plugins"][0].clone()
}

#[tokio::test]
async fn calls_and_their_time_are_counted_by_phase() {
    let guest = callback("on_request_headers", "") + &callback("on_response_body", "");
    let mut shop = shop_with_guest(&guest).await;
    for _ in 0..3 {
        assert_eq!(shop.get("/").await.status, 200);
    }
    let metrics = metrics(&shop.gateway).await;
    let count = |phase: &str| {
        let phase = format!("phase=\"{phase}\"");
        find_sample(&metrics, "portcullis_plugin_duration_seconds_count", &[PLUGIN, &phase])
    };
    assert_eq!(count("on_request_headers"), Some(3.0));
    assert!(count("on_response_body") >= Some(3.0));
    assert_eq!(count("on_request_body"), None);
}

#[tokio::test]
async fn a_fault_is_counted_by_phase_and_kept_with_its_backtrace() {
    let guest = callback("on_request_headers", "(if (call $asks $\"x-trap\") (then unreachable))");
    let mut shop = shop_with_guest(&guest).await;
    assert_eq!(shop.get_with("/", "x-trap", "yes").await.status, 503);
    let metrics = metrics(&shop.gateway).await;
    let labels = [PLUGIN, "phase=\"on_request_headers\"", "cause=\"trap\""];
    assert_eq!(sample(&metrics, "portcullis_plugin_faults_total", &labels), 1.0);
    assert_eq!(sample(&metrics, "portcullis_plugin_traps_total", &[PLUGIN]), 1.0);
    let shown = shown(&shop).await;
    let fault = &shown["last_faults"][0];
    assert_eq!((&fault["phase"], &fault["kind"]), (&"on_request_headers".into(), &"trap".into()));
    assert!(fault["at"].as_u64().unwrap() >= shown["started_at"].as_u64().unwrap());
    assert!(!fault["backtrace"].as_array().unwrap().is_empty(), "{fault}");
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_told_apart_from_a_trap() {
    let guest = callback("on_request_headers", "(loop $forever (br $forever))");
    let mut shop = shop_with_guest(&guest).await;
    assert_eq!(shop.get("/").await.status, 503);
    let metrics = metrics(&shop.gateway).await;
    let labels = [PLUGIN, "phase=\"on_request_headers\"", "cause=\"time\""];
    assert_eq!(sample(&metrics, "portcullis_plugin_faults_total", &labels), 1.0);
    assert_eq!(shown(&shop).await["last_faults"][0]["kind"], "time budget");
}

#[tokio::test]
async fn refused_calls_are_counted_by_name_and_the_log_says_which_and_why() {
    let call = "(drop (call $host_resolve $\"\" $\"nowhere\" (i32.const 0xfffffff0)))
                (drop (call $host_context (i32.const 999)))";
    let mut shop = shop_with_guest(&callback("on_request_headers", call)).await;
    assert_eq!(shop.get("/").await.status, 200);
    let line = shop.gateway.logged("no such context").await;
    assert!(line.contains("call=\"proxy_set_effective_context\""), "{line}");
    assert!(line.contains("WasmPlugin/default/guest"), "{line}");
    let metrics = metrics(&shop.gateway).await;
    let labels = [PLUGIN, "call=\"proxy_set_effective_context\""];
    assert_eq!(sample(&metrics, "portcullis_plugin_refused_calls_total", &labels), 1.0);
    assert_eq!(shown(&shop).await["refused_calls"]["proxy_set_effective_context"], 1);
}

#[tokio::test]
async fn pauses_and_calls_to_clusters_are_counted() {
    let head = |path: &str| map(&[(":method", "GET"), (":path", path), (":authority", "a")]);
    let call = |path: &str, timeout: u32| {
        format!(
            "(call $expect (call $host_http_call $\"green.example:80\" {} (i32.const 0) (i32.const 0)
               (i32.const 0) (i32.const 0) (i32.const {timeout}) (i32.const 520)) (i32.const 0))",
            head(path)
        )
    };
    let held = format!(
        "(global.set $first (local.get $context))
         (if (call $asks $\"x-slow\") (then {}) (else {}))
         (return (i32.const 1))",
        call("/slow", 30),
        call("/status/204", 0)
    );
    let guest = callback("on_request_headers", &held)
        + "(func (export \"proxy_on_http_call_response\") (param i32 i32 i32 i32 i32)
             (call $resume (global.get $first) (i32.const 0)))";
    let mut shop = shop_with_guest(&guest).await;
    assert_eq!(shop.get("/").await.status, 200);
    assert_eq!(shop.get_with("/", "x-slow", "yes").await.status, 200);
    let metrics = metrics(&shop.gateway).await;
    assert_eq!(sample(&metrics, "portcullis_plugin_pauses_total", &[PLUGIN]), 2.0);
    for result in ["answered", "timed_out"] {
        let labels = [PLUGIN, "protocol=\"http\"", &format!("result=\"{result}\"")];
        assert_eq!(sample(&metrics, "portcullis_plugin_calls_total", &labels), 1.0);
    }
    assert_eq!(sample(&metrics, "portcullis_plugin_call_duration_seconds_count", &[PLUGIN]), 2.0);
    let phase = ["phase=\"on_call_response\"", PLUGIN];
    assert_eq!(sample(&metrics, "portcullis_plugin_duration_seconds_count", &phase), 2.0);
}

#[tokio::test]
async fn what_a_plugin_sets_is_an_operator_of_the_access_log() {
    let guest = callback(
        "on_request_headers",
        "(call $expect (call $host_set_property $\"tenant\" $\"acme\") (i32.const 0))",
    );
    let import = "(import \"env\" \"proxy_set_property\" (func $host_set_property (param i32 i32 i32 i32) (result i32)))";
    let module = crate::small_guests::small_guest_importing(&format!("{import} {guest}"));
    let format = "tenant=%FILTER_STATE(wasm.tenant:PLAIN)%\n";
    let mut shop = crate::small_guests::shop_with_log(&[("guest", module, "")], format).await;
    assert_eq!(shop.get("/").await.status, 200);
    assert_eq!(shop.gateway.access_line().await, "tenant=acme");
}

#[tokio::test]
async fn the_admin_port_says_what_runs_and_what_does_not_and_why() {
    let module = small_guest(&callback("on_request_headers", ""));
    let shop = shop_with_guests(&[("guest", module, "phase: AUTHZ\npriority: 7\n")], &[]).await;
    let running = shown(&shop).await;
    assert_eq!(running["state"], "running");
    assert_eq!(running["plugin"], "WasmPlugin/default/guest");
    assert!(running["url"].as_str().unwrap().ends_with("guest.wasm"), "{running}");
    assert_eq!((&running["phase"], &running["priority"]), (&"AUTHZ".into(), &7.into()));
    assert_eq!(running["attached_to"][0], "Gateway/default/shop/http");
    assert_eq!(running["abi"], "0.2.1");
    assert_eq!(running["limits"]["callback_ms"], 10.0);
    assert!(running["instances"].as_i64().unwrap() >= 1);
    let broken = shop_with_guests(&[("guest", b"no module".to_vec(), "")], &[]).await;
    let refused = shown(&broken).await;
    assert_eq!(refused["state"], "refused");
    assert!(refused["why"].as_str().unwrap().contains("PC0404"), "{refused}");
}
