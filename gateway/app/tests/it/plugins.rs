//! Plugins on the real engine: filters for Envoy run unchanged, broken ones hurt nobody else.

use std::slice;

use http_body_util::BodyExt;
use portcullis_testkit::{Call, Client, Reply, Upstream, manifests, module, within};

use crate::gateway::{Gateway, directory_with};
use crate::guests::guest;
use crate::metrics::{find_sample, metrics};

const HOST: &str = "shop.example.com";

/// A gateway with one upstream and these plugin objects on everything.
async fn gateway_with(upstream: &Upstream, plugins: &[String]) -> Gateway {
    Gateway::start(&configuration(upstream, plugins)).await
}

fn configuration(upstream: &Upstream, plugins: &[String]) -> String {
    let service = "shop.default.svc.cluster.local";
    let mut documents = vec![
        manifests::http_gateway("gw", 80, &["*"]),
        manifests::service_entry("shop", service, 80, &[upstream.address()]),
        manifests::virtual_service("shop", "gw", &["*"], &manifests::route_to(service, 80)),
    ];
    documents.extend_from_slice(plugins);
    manifests::join(&documents)
}

async fn get(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let call =
        headers.iter().fold(Call::get(HOST, path), |call, (name, value)| call.header(name, value));
    client.call(call).await
}

#[tokio::test]
async fn a_filter_for_envoy_runs_unchanged() {
    let upstream = Upstream::start("up");
    let plugin =
        manifests::wasm_plugin("guest", &guest("envoy-filter"), "pluginConfig: \"blue\"\n");
    let gateway = gateway_with(&upstream, &[plugin]).await;
    let reply = get(&gateway, "/cart?id=7", &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-guest-mark"), "blue");
    assert_eq!(reply.header("x-guest-path"), "/cart?id=7");
    let sent = reply.json();
    assert_eq!(sent["headers"]["x-guest-request"], "seen");
    assert_eq!(sent["headers"]["x-guest-mark"], "blue");
}

#[tokio::test]
async fn a_plugin_answers_in_the_upstreams_place() {
    let upstream = Upstream::start("up");
    let plugin =
        manifests::wasm_plugin("guest", &guest("envoy-filter"), "pluginConfig: \"blue\"\n");
    let gateway = gateway_with(&upstream, &[plugin]).await;
    let denied = get(&gateway, "/guest/denied", &[]).await;
    assert_eq!((denied.status.as_u16(), denied.text()), (403, "denied by guest"));
    let teapot = get(&gateway, "/guest/teapot", &[]).await;
    assert_eq!((teapot.status.as_u16(), teapot.header("x-teapot")), (418, "yes"));
    assert_eq!(upstream.seen().requests, 0);
}

#[tokio::test]
async fn a_refusal_of_the_configuration_fails_closed_unless_told() {
    let upstream = Upstream::start("up");
    let refused = |fail| {
        manifests::wasm_plugin(
            "guest",
            &guest("envoy-filter"),
            &format!("pluginConfig: \"refuse\"\n{fail}"),
        )
    };
    let mut gateway = gateway_with(&upstream, &[refused("")]).await;
    assert!(
        gateway
            .log
            .iter()
            .any(|line| line.contains("PC0406") && line.contains("WasmPlugin/default/guest"))
    );
    assert_eq!(get(&gateway, "/", &[]).await.status, 503);
    gateway.apply(&configuration(&upstream, &[refused("failStrategy: FAIL_OPEN\n")])).await;
    assert_eq!(get(&gateway, "/", &[]).await.status, 200);
}

#[tokio::test]
async fn a_bad_update_never_replaces_a_good_plugin() {
    let upstream = Upstream::start("up");
    let plugin = |mark| {
        manifests::wasm_plugin(
            "guest",
            &guest("envoy-filter"),
            &format!("pluginConfig: \"{mark}\"\n"),
        )
    };
    let mut gateway = gateway_with(&upstream, &[plugin("blue")]).await;
    gateway.apply(&configuration(&upstream, &[plugin("refuse")])).await;
    assert_eq!(get(&gateway, "/", &[]).await.header("x-guest-mark"), "blue");
    gateway.apply(&configuration(&upstream, &[plugin("green")])).await;
    assert_eq!(get(&gateway, "/", &[]).await.header("x-guest-mark"), "green");
}

/// A request on which the plugin misbehaves is refused, the next ones are served by a fresh instance, and
/// the other plugin notices nothing.
async fn misbehaves(deed: &str) {
    let upstream = Upstream::start("up");
    let bad = manifests::wasm_plugin("bad", &guest("misbehave"), "");
    let good = manifests::wasm_plugin("good", &guest("envoy-filter"), "pluginConfig: \"blue\"\n");
    let mut gateway = gateway_with(&upstream, &[bad, good]).await;
    let reply = get(&gateway, "/", &[("x-misbehave", deed)]).await;
    assert_eq!(reply.status, 503, "{deed}: fails closed");
    gateway.wait_for_log("the instance failed and is replaced").await;
    let served = served_again(&gateway).await;
    assert_eq!(served.header("x-misbehave-passed"), "true", "{deed}: a fresh instance serves");
    assert_eq!(served.header("x-guest-mark"), "blue");
}

/// Asks until the replacement serves; each answer until then is the fail strategy's.
async fn served_again(gateway: &Gateway) -> Reply {
    loop {
        let reply = get(gateway, "/", &[]).await;
        if reply.status == 200 {
            return reply;
        }
        assert_eq!(reply.status, 503);
    }
}

#[tokio::test]
async fn a_trap_costs_one_request() {
    misbehaves("trap").await;
}

#[tokio::test]
async fn an_endless_loop_is_cut() {
    misbehaves("loop").await;
}

#[tokio::test]
async fn memory_has_a_limit() {
    misbehaves("hog").await;
}

#[tokio::test]
async fn recursion_ends_in_a_trap() {
    misbehaves("recurse").await;
}

/// A sample about a plugin, if there is one.
async fn sample(gateway: &Gateway, name: &str, plugin: &str) -> Option<i64> {
    let label = format!("{{plugin=\"default/{plugin}\"}}");
    find_sample(&metrics(gateway).await, name, &[&label]).map(|value| value as i64)
}

#[tokio::test]
async fn a_failing_plugin_that_fails_open_lets_its_request_pass() {
    let upstream = Upstream::start("up");
    let plugin = manifests::wasm_plugin("bad", &guest("misbehave"), "failStrategy: FAIL_OPEN\n");
    for (deed, cause) in
        [("trap", "traps"), ("trap-response", "traps"), ("loop", "budget_exceeded")]
    {
        let gateway = gateway_with(&upstream, slice::from_ref(&plugin)).await;
        assert_eq!(get(&gateway, "/", &[("x-misbehave", deed)]).await.status, 200, "{deed}");
        for count in ["fail_open", cause] {
            let name = format!("portcullis_plugin_{count}_total");
            assert_eq!(sample(&gateway, &name, "bad").await, Some(1), "{name} after {deed}");
        }
    }
}

/// A module that adds its mark to `x-order`, of requests and of responses.
fn marking(mark: &str) -> Vec<u8> {
    let add = |map: u8| {
        let length = mark.len();
        format!(
            "(drop (call $add (i32.const {map}) (i32.const 0) (i32.const 7) (i32.const 16) (i32.const {length}))) i32.const 0"
        )
    };
    module(&format!(
        r#"(module
            (import "env" "proxy_add_header_map_value"
                (func $add (param i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "x-order") (data (i32.const 16) "{mark}")
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) i32.const 0)
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {})
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) {}))"#,
        add(0),
        add(2)
    ))
}

#[tokio::test]
async fn a_chain_runs_by_phase_and_priority_and_backwards_on_the_response() {
    let order = [
        ("authn-high", "phase: AUTHN\npriority: 10\n"),
        ("authn", "phase: AUTHN\n"),
        ("authn-low", "phase: AUTHN\npriority: -10\n"),
        ("authz", "phase: AUTHZ\npriority: 100\n"),
        ("stats", "phase: STATS\n"),
        ("rest-high", "priority: 1\n"),
        ("rest", ""),
    ];
    let upstream = Upstream::start("up");
    let written = [4, 6, 2, 0, 5, 3, 1].map(|nth| {
        let (mark, fields): (&str, &str) = order[nth];
        manifests::wasm_plugin(mark, &format!("./{mark}.wasm"), fields)
    });
    let directory = directory_with(&configuration(&upstream, &written));
    for (mark, _) in order {
        let file = directory.path().join(format!("config/{mark}.wasm"));
        std::fs::write(file, marking(mark)).unwrap();
    }
    let gateway = Gateway::start_in(directory, &[]).await;
    let reply = get(&gateway, "/", &[]).await;
    let marks = order.map(|(mark, _)| mark);
    assert_eq!(reply.json()["headers"]["x-order"], serde_json::json!(marks));
    let backwards = reply.headers.get_all("x-order").iter().rev();
    assert_eq!(backwards.collect::<Vec<_>>(), marks);
}

#[tokio::test]
async fn a_module_of_another_abi_is_refused_at_start_and_at_reload() {
    const OTHER: &str = r#"(module (memory (export "memory") 1)
        (func (export "proxy_abi_version_9_0_0"))
        (func (export "malloc") (param i32) (result i32) i32.const 0))"#;
    let upstream = Upstream::start("up");
    let written = |url: &str| {
        let plugin = manifests::wasm_plugin("subject", url, "pluginConfig: blue\n");
        configuration(&upstream, &[plugin])
    };
    let directory = directory_with(&written("./other.wasm"));
    std::fs::write(directory.path().join("config/other.wasm"), module(OTHER)).unwrap();
    let mut gateway = Gateway::start_in(directory, &[]).await;
    let told = |log: &[String]| {
        let parts = ["all.yaml:", "WasmPlugin/default/subject", "spec.url", "9_0_0", "0.2.1"];
        let mut lines = log.iter().filter(|line| line.contains("error[PC0404]"));
        assert!(lines.any(|line| parts.iter().all(|part| line.contains(part))), "{log:#?}");
    };
    told(&gateway.log);
    assert_eq!(get(&gateway, "/", &[]).await.status, 503);

    gateway.apply(&written(&guest("envoy-filter"))).await;
    assert_eq!(get(&gateway, "/", &[]).await.header("x-guest-mark"), "blue");
    let read = gateway.log.len();
    gateway.apply(&written("./other.wasm")).await;
    told(&gateway.log[read..]);
    assert_eq!(get(&gateway, "/", &[]).await.header("x-guest-mark"), "blue");
}

/// Two workers and a spare have one each.
const INSTANCES: Option<i64> = Some(3);

/// Awaits that the plugin has so many instances.
async fn until_instances(gateway: &Gateway, wanted: Option<i64>) {
    within(&format!("{wanted:?} instances"), async {
        while sample(gateway, "portcullis_plugin_instances", "guest").await != wanted {}
    })
    .await;
}

#[tokio::test]
async fn instances_of_replaced_plugins_are_gone_from_the_metrics() {
    let upstream = Upstream::start("up");
    let plugin = |mark: usize| {
        let fields = format!("pluginConfig: \"{mark}\"\n");
        manifests::wasm_plugin("guest", &guest("envoy-filter"), &fields)
    };
    let mut gateway = gateway_with(&upstream, &[plugin(0)]).await;
    until_instances(&gateway, INSTANCES).await;
    let memory = sample(&gateway, "portcullis_plugin_memory_bytes", "guest").await.unwrap();
    assert!(memory > 0 && memory % 3 == 0, "{memory} bytes of three instances");
    for mark in 1..=5 {
        gateway.apply(&configuration(&upstream, &[plugin(mark)])).await;
        let reply = get(&gateway, "/", &[]).await;
        assert_eq!(reply.header("x-guest-mark"), mark.to_string());
    }
    until_instances(&gateway, INSTANCES).await;
    let after = sample(&gateway, "portcullis_plugin_memory_bytes", "guest").await;
    assert_eq!(after, Some(memory));

    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let streaming = client.open(Call::get(HOST, "/drip")).await.unwrap();
    gateway.apply(&configuration(&upstream, &[plugin(6)])).await;
    let with_old = sample(&gateway, "portcullis_plugin_instances", "guest").await;
    assert!(with_old > INSTANCES, "{with_old:?}: a request under way keeps its instance");
    upstream.release();
    streaming.into_body().collect().await.unwrap();
    until_instances(&gateway, INSTANCES).await;

    gateway.apply(&configuration(&upstream, &[])).await;
    until_instances(&gateway, None).await;
}

#[tokio::test]
async fn neighbours_are_served_while_a_plugin_misbehaves() {
    let upstream = Upstream::start("up");
    let service = "shop.default.svc.cluster.local";
    let guarded = manifests::gateway(
        "guarded",
        &[manifests::http_server("guarded", 80, &["guarded.example.com"])],
    );
    let free =
        manifests::gateway("free", &[manifests::http_server("free", 80, &["free.example.com"])]);
    let plugin = manifests::wasm_plugin(
        "bad",
        &guest("misbehave"),
        "targetRefs:\n- {group: networking.istio.io, kind: Gateway, name: guarded}\n",
    );
    let gateway = Gateway::start(&manifests::join(&[
        guarded,
        free,
        manifests::service_entry("shop", service, 80, &[upstream.address()]),
        manifests::virtual_service("guarded", "guarded", &["*"], &manifests::route_to(service, 80)),
        manifests::virtual_service("free", "free", &["*"], &manifests::route_to(service, 80)),
        plugin,
    ]))
    .await;
    let address = gateway.address("guarded");
    let storm = async {
        let mut client = Client::http1(address).await.unwrap();
        for deed in ["trap", "loop", "hog", "recurse"].iter().cycle().take(24) {
            client.call(Call::get("guarded.example.com", "/").header("x-misbehave", deed)).await;
        }
    };
    let calm = async {
        let mut client = Client::http1(address).await.unwrap();
        for _ in 0..300 {
            assert_eq!(client.get("free.example.com", "/").await.status, 200);
        }
    };
    tokio::join!(storm, calm);
}
