//! Plugins on the real engine: filters for Envoy run unchanged, broken ones hurt nobody else.

use portcullis_testkit::{Call, Client, Reply, Upstream, manifests};

use crate::gateway::Gateway;
use crate::guests::guest;

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

#[tokio::test]
async fn a_failing_plugin_that_fails_open_lets_its_request_pass() {
    let upstream = Upstream::start("up");
    let plugin = manifests::wasm_plugin("bad", &guest("misbehave"), "failStrategy: FAIL_OPEN\n");
    let gateway = gateway_with(&upstream, &[plugin]).await;
    assert_eq!(get(&gateway, "/", &[("x-misbehave", "trap")]).await.status, 200);
    let metrics = Client::http1(gateway.side_port("metrics"))
        .await
        .unwrap()
        .get("localhost", "/stats/prometheus")
        .await;
    let line = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("portcullis_plugin_fail_open_total"))
        .unwrap()
        .to_owned();
    assert!(line.ends_with(" 1"), "{line}");
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
