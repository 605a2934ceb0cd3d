//! Plugins on Gateways, VirtualServices and single rules: who runs on what, in which order, wherever a request goes.

use std::process::Command;

use portcullis_testkit::manifests::{join, wasm_plugin};
use portcullis_testkit::{Call, Client, Reply, Upstream};
use serde_json::Value;

use crate::gateway::{Gateway, binary, directory_with};
use crate::metrics::{metrics, sample};
use crate::shop::{self, HOST, Shop, backends};
use crate::small_guests::{callback, on_configure, small_guest};

/// Two rules: what comes by `/cart`, and the rest.
const RULES: &str = "- name: cart\n  match: [{uri: {prefix: /cart}}]\n  route:\n  - destination: {host: blue.example}\n- name: rest\n  route:\n  - destination: {host: green.example}\n";

/// Adds its name to `x-order`, on the way there and back.
fn signs(name: &str) -> Vec<u8> {
    small_guest(
        &(callback(
            "on_request_headers",
            &format!("(call $add (i32.const 0) $\"x-order\" $\"{name}\")"),
        ) + &callback(
            "on_response_headers",
            &format!("(call $add (i32.const 2) $\"x-order\" $\"{name}\")"),
        )),
    )
}

/// Signs, and sends what is for `/` to `/cart` or back.
fn sends_to(name: &str, path: &str) -> Vec<u8> {
    let code = format!(
        "(call $add (i32.const 0) $\"x-order\" $\"{name}\")
         (call $replace (i32.const 0) $\":path\" $\"{path}\")"
    );
    small_guest(&callback("on_request_headers", &code))
}

/// Signs in the body's callback, where it also sends the request to `/cart`.
fn sends_at_body(name: &str) -> Vec<u8> {
    let code = format!(
        "(call $add (i32.const 0) $\"x-order\" $\"{name}\")
         (call $replace (i32.const 0) $\":path\" $\"/cart\")
         (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) $\"*\")"
    );
    small_guest(&callback("on_request_body", &code))
}

fn on_rule(rule: &str, fields: &str) -> String {
    format!("targetRefs: [{{kind: VirtualService, name: shop, sectionName: {rule}}}]\n{fields}")
}

fn manifests(blue: &Upstream, green: &Upstream, plugins: &[(&str, Vec<u8>, String)]) -> String {
    let mut documents = vec![shop::manifests(RULES), backends(blue, green)];
    for (name, _, fields) in plugins {
        documents.push(wasm_plugin(name, &format!("./{name}.wasm"), fields));
    }
    join(&documents)
}

async fn open(plugins: &[(&str, Vec<u8>, String)]) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let directory = directory_with(&manifests(&blue, &green, plugins));
    for (name, module, _) in plugins {
        std::fs::write(directory.path().join(format!("config/{name}.wasm")), module).unwrap();
    }
    let gateway = Gateway::start_in(directory, &["--workers", "1", "--access-log", "text"]).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    Shop { gateway, client, blue, green }
}

/// Who signed a reply, in order.
fn values(reply: &Reply) -> Vec<&str> {
    reply.headers.get_all("x-order").iter().map(|value| value.to_str().unwrap()).collect()
}

/// The order in which plugins saw a request, and its reply.
async fn order(shop: &mut Shop, path: &str) -> (String, String) {
    let reply = shop.get(path).await;
    (seen_by(&reply), values(&reply).join(","))
}

/// Who signed the request, as the upstream saw it.
fn seen_by(reply: &Reply) -> String {
    match &reply.json()["headers"]["x-order"] {
        Value::String(one) => one.clone(),
        Value::Array(all) => {
            all.iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join(",")
        }
        _ => String::new(),
    }
}

#[tokio::test]
async fn plugins_of_a_rule_run_on_that_rule_alone_in_one_order_with_the_listeners() {
    let mut shop = open(&[
        ("late", signs("late"), String::new()),
        ("stats", signs("stats"), "phase: STATS\n".to_owned()),
        ("rule-stats", signs("rule-stats"), on_rule("cart", "phase: STATS\n")),
        ("rule-first", signs("rule-first"), on_rule("cart", "phase: STATS\npriority: 1\n")),
        ("rule-authn", signs("rule-authn"), on_rule("cart", "phase: AUTHN\n")),
        (
            "all-rules",
            signs("all-rules"),
            "targetRefs: [{kind: VirtualService, name: shop}]\n".to_owned(),
        ),
    ])
    .await;
    let (there, back) = order(&mut shop, "/cart").await;
    assert_eq!(there, "rule-authn,rule-first,stats,rule-stats,late,all-rules");
    assert_eq!(back, "all-rules,late,rule-stats,stats,rule-first,rule-authn");
    let (there, back) = order(&mut shop, "/other").await;
    assert_eq!(there, "stats,late,all-rules");
    assert_eq!(back, "all-rules,late,stats");
}

#[tokio::test]
async fn a_request_that_is_sent_to_another_rule_passes_that_rules_plugins_too() {
    let mut shop = open(&[
        ("router", sends_to("router", "/cart"), String::new()),
        ("guard", signs("guard"), on_rule("cart", "phase: AUTHN\n")),
    ])
    .await;
    let reply = shop.get("/other").await;
    assert_eq!(reply.json()["upstream"], "blue");
    assert_eq!(seen_by(&reply), "router,guard");
    // It sees the reply too.
    assert_eq!(values(&reply), ["guard"]);
}

#[tokio::test]
async fn two_rules_that_send_requests_to_each_other_end_and_lose_no_plugin() {
    let mut shop = open(&[
        ("away", sends_to("away", "/other"), on_rule("cart", "")),
        ("back", sends_to("back", "/cart"), on_rule("rest", "")),
    ])
    .await;
    let reply = shop.get("/cart").await;
    assert_eq!(seen_by(&reply), "away,back");
    assert_eq!(reply.json()["upstream"], "blue");
}

#[tokio::test]
async fn a_body_callback_that_sends_a_request_elsewhere_does_not_get_it_past_a_guard() {
    let guard = callback(
        "on_request_headers",
        "(drop (call $host_reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const -1)))",
    );
    let mut shop = open(&[
        ("router", sends_at_body("router"), String::new()),
        ("guard", small_guest(&guard), on_rule("cart", "")),
    ])
    .await;
    let reply = shop.client.call(Call::post(HOST, "/other", "body")).await;
    assert_eq!(reply.status, 403);
    assert_eq!((shop.blue.seen().requests, shop.green.seen().requests), (0, 0));
}

#[tokio::test]
async fn a_body_passes_the_plugins_of_the_rule_that_its_head_was_sent_to() {
    let stars = small_guest(&callback(
        "on_request_body",
        "(call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) $\"*\")",
    ));
    let mut shop = open(&[
        ("router", sends_to("router", "/cart"), String::new()),
        ("stars", stars, on_rule("cart", "")),
    ])
    .await;
    let reply = shop.client.call(Call::post(HOST, "/other", "body")).await;
    assert_eq!(reply.json()["body"], "*body");
}

#[tokio::test]
async fn a_broken_plugin_of_a_rule_refuses_that_rule_alone() {
    let mut shop = open(&[("guard", signs("guard"), on_rule("cart", "priorty: 1\n"))]).await;
    assert_eq!(shop.get("/cart").await.status, 503);
    assert_eq!(shop.get("/other").await.status, 200);
}

#[tokio::test]
async fn a_change_of_one_plugin_leaves_the_instances_of_others_alone() {
    let counts = || {
        small_guest(
            &(on_configure("(call $log $\"counting begins\")")
                + "(global $seen (mut i32) (i32.const 48))"
                + &callback(
                    "on_request_headers",
                    "(global.set $seen (i32.add (global.get $seen) (i32.const 1)))
                     (i32.store8 (i32.const 900) (global.get $seen))
                     (call $add (i32.const 0) $\"x-seen\" (i32.const 900) (i32.const 1))",
                )),
        )
    };
    let plugins = |other: &str| {
        vec![("kept", counts(), on_rule("cart", "")), ("other", signs(other), on_rule("cart", ""))]
    };
    let mut shop = open(&plugins("old")).await;
    let seen = |reply: &Value| reply["headers"]["x-seen"].as_str().unwrap().to_owned();
    assert_eq!(seen(&shop.get("/cart").await.json()), "1");
    shop.gateway.write_file("other.wasm", signs("new"));
    shop.gateway.wait_for_generation().await;
    let reply = shop.get("/cart").await;
    assert_eq!(seen_by(&reply), "new");
    assert_eq!(seen(&reply.json()), "2");
    // Nor does another place in the chain, or another rule, start it anew.
    let moved = [
        ("kept", counts(), on_rule("rest", "phase: AUTHN\n")),
        ("other", signs("new"), on_rule("cart", "")),
    ];
    let text = manifests(&shop.blue, &shop.green, &moved);
    shop.gateway.apply(&text).await;
    assert_eq!(seen(&shop.get("/other").await.json()), "3");
}

#[tokio::test]
async fn one_module_is_compiled_once_for_all_that_use_it() {
    let shop =
        open(&[("one", signs("same"), String::new()), ("two", signs("same"), on_rule("cart", ""))])
            .await;
    let plugins = plugins(&shop.gateway).await;
    assert_eq!(plugins[0]["sha256"], plugins[1]["sha256"]);
    assert_eq!(plugins[0]["attached_to"][0], "Gateway/default/shop/http");
    assert_eq!(plugins[1]["attached_to"][0], "VirtualService/default/shop/http[cart]");
    let metrics = metrics(&shop.gateway).await;
    for name in ["default/one", "default/two"] {
        let label = format!("plugin=\"{name}\"");
        assert!(sample(&metrics, "portcullis_plugin_instances", &[&label]) >= 1.0);
    }
}

/// What the admin port says of plugins.
async fn plugins(gateway: &Gateway) -> Value {
    let mut client = Client::http1(gateway.side_port("admin")).await.unwrap();
    client.get("localhost", "/plugins").await.json()["plugins"].clone()
}

#[test]
fn explain_tells_the_chain_and_why_each_plugin_is_in_it() {
    let (phase, target) =
        ("phase: AUTHN\npriority: 4\n", on_rule("cart", "failStrategy: FAIL_OPEN\n"));
    let documents = [
        shop::manifests(RULES),
        wasm_plugin("guard", "builtin:telemetry", phase),
        wasm_plugin("rule", "builtin:telemetry", &target),
    ];
    let directory = directory_with(&join(&documents));
    let explain = |path: &str| -> Value {
        let output = Command::new(binary())
            .args(["explain", "--output", "json", "--config"])
            .arg(directory.path().join("config"))
            .arg(format!("http://{HOST}{path}"))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let chain = explain("/cart")["plugin_chain"].clone();
    assert_eq!(chain[0]["plugin"], "WasmPlugin/default/guard");
    assert_eq!((&chain[0]["phase"], &chain[0]["priority"]), (&"AUTHN".into(), &4.into()));
    assert_eq!(chain[0]["attached_to"], "Gateway/default/shop/http");
    assert_eq!(chain[1]["plugin"], "WasmPlugin/default/rule");
    assert_eq!(chain[1]["attached_to"], "VirtualService/default/shop/http[cart]");
    assert_eq!(chain[1]["fail_strategy"], "FAIL_OPEN");
    assert_eq!(explain("/other")["plugins"], serde_json::json!(["WasmPlugin/default/guard"]));
}
