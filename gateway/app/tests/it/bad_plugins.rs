//! Plugins that cannot be used: told at start and at reload, never in the way of what does not need them.

use portcullis_testkit::manifests::{http_gateway, join, virtual_service, wasm_plugin};
use portcullis_testkit::{Client, module};

use crate::bad_input::{Traffic, told};
use crate::gateway::{Gateway, directory_with};
use crate::guests::guest;

/// The host that the plugin guards.
const HOST: &str = "guarded.example";
/// The host that it does not.
const OTHER: &str = "other.example";

/// A module that the gateway cannot give what it wants.
const WANTING: &str = r#"(module
    (import "env" "somebody_elses" (func))
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 0))"#;

/// The configuration with a plugin on one of its two hosts, at the beginning. The rest changes with the word.
fn around(url: &str, fields: &str, word: &str) -> String {
    let on_guarded = "targetRefs:\n- {group: networking.istio.io, kind: Gateway, name: guarded}\n";
    let rules = format!("- directResponse: {{status: 200, body: {{string: {word}}}}}\n");
    join(&[
        wasm_plugin("subject", url, &format!("{on_guarded}{fields}")),
        http_gateway("guarded", 80, &[HOST]),
        http_gateway("other", 80, &[OTHER]),
        virtual_service("guarded", "guarded", &["*"], &rules),
        virtual_service("other", "other", &["*"], &rules),
    ])
}

/// Starts with such a configuration and these files beside it.
async fn start(manifests: &str) -> Gateway {
    let directory = directory_with(manifests);
    std::fs::write(directory.path().join("config/garbage.wasm"), "no module at all").unwrap();
    std::fs::write(directory.path().join("config/wanting.wasm"), module(WANTING)).unwrap();
    Gateway::start_in(directory, &[]).await
}

async fn client_of(gateway: &Gateway) -> Client {
    Client::http1(gateway.address("http")).await.unwrap()
}

/// Checks a plugin that cannot be used: at start its failStrategy answers, at reload the last good version.
async fn unusable(url: &str, configuration: &str, parts: &[&str]) {
    let parts = [&["WasmPlugin/default/subject", "all.yaml:"], parts].concat();
    let gateway = start(&around(url, configuration, "one")).await;
    told(&gateway, &[&parts[..], &["are refused with 503 (failStrategy FAIL_CLOSE)"]].concat());
    let mut client = client_of(&gateway).await;
    assert_eq!(client.get(HOST, "/").await.status, 503);
    assert_eq!(client.get(OTHER, "/").await.text(), "one");

    let open = format!("failStrategy: FAIL_OPEN\n{configuration}");
    let gateway = start(&around(url, &open, "one")).await;
    told(&gateway, &[&parts[..], &["pass without it (failStrategy FAIL_OPEN)"]].concat());
    assert_eq!(client_of(&gateway).await.get(HOST, "/").await.text(), "one");

    let good = around(&guest("envoy-filter"), "pluginConfig: blue\n", "one");
    let mut gateway = start(&good).await;
    let traffic = Traffic::start(&gateway, &[HOST, OTHER]).await;
    gateway.apply(&around(url, configuration, "two")).await;
    told(&gateway, &[&parts[..], &["the last good version serves on"]].concat());
    let mut client = client_of(&gateway).await;
    let reply = client.get(HOST, "/").await;
    assert_eq!((reply.text(), reply.header("x-guest-mark")), ("two", "blue"));
    assert_eq!(client.get(OTHER, "/").await.text(), "two");
    traffic.stop().await;
    gateway.apply(&around(&guest("envoy-filter"), "pluginConfig: green\n", "three")).await;
    assert_eq!(client.get(HOST, "/").await.header("x-guest-mark"), "green");
}

#[tokio::test]
async fn a_missing_module() {
    let parts = ["error[PC0401]", "spec.url", "nowhere.wasm", "put the module there"];
    unusable("./nowhere.wasm", "", &parts).await;
}

#[tokio::test]
async fn a_module_that_does_not_compile() {
    let parts = ["error[PC0404]", "spec.url", "garbage.wasm", "build the module anew"];
    unusable("./garbage.wasm", "", &parts).await;
}

#[tokio::test]
async fn a_module_that_wants_what_the_gateway_does_not_have() {
    let parts = ["error[PC0405]", "spec.url", "wanting.wasm", "somebody_elses", "build the module"];
    unusable("./wanting.wasm", "", &parts).await;
}

#[tokio::test]
async fn a_module_that_refuses_its_configuration() {
    let parts = ["error[PC0406]", "spec.pluginConfig", "envoy-filter.wasm", "correct pluginConfig"];
    unusable(&guest("envoy-filter"), "pluginConfig: refuse\n", &parts).await;
}

#[tokio::test]
async fn a_module_that_traps_while_it_is_configured() {
    let parts = ["error[PC0404]", "spec.url", "misbehave.wasm"];
    unusable(&guest("misbehave"), "pluginConfig: trap\n", &parts).await;
}

#[tokio::test]
async fn a_shipped_plugin_that_does_not_exist() {
    unusable("builtin:nonsense", "", &["error[PC0402]", "spec.url", "builtin:jwt-auth"]).await;
}

#[tokio::test]
async fn a_module_with_another_digest() {
    let fields = format!("sha256: \"{}\"\n", "0".repeat(64));
    let parts = ["error[PC0403]", "spec.sha256", "correct sha256"];
    unusable(&guest("envoy-filter"), &fields, &parts).await;
}
