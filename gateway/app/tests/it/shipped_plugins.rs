//! The plugins that the binary carries, on the real engine.

pub mod jwt_auth;
mod jwt_refusals;
pub mod signing;
mod telemetry;

use portcullis_testkit::manifests::{
    http_gateway, join, route_to, service_entry, virtual_service, wasm_plugin,
};
use portcullis_testkit::{Call, Client, Reply, Upstream};
use serde_json::Value;

use crate::gateway::Gateway;

const HOST: &str = "shop.example.com";

/// A gateway with one shipped plugin on everything, in front of one upstream.
struct Scene {
    gateway: Gateway,
    client: Client,
    upstream: Upstream,
}

impl Scene {
    /// Starts with a plugin and its configuration, `Value::Null` for none, and further arguments.
    async fn start(plugin: &str, configuration: &Value, arguments: &[&str]) -> Scene {
        let upstream = Upstream::start("up");
        let manifests = manifests(&upstream, plugin, configuration);
        let gateway = Gateway::start_with(&manifests, arguments).await;
        let client = Client::http1(gateway.address("http")).await.unwrap();
        Scene { gateway, client, upstream }
    }

    async fn get(&mut self, headers: &[(&str, &str)]) -> Reply {
        self.client.call(call("/", headers)).await
    }
}

fn call(path: &str, headers: &[(&str, &str)]) -> Call {
    headers.iter().fold(Call::get(HOST, path), |call, (name, value)| call.header(name, value))
}

fn manifests(upstream: &Upstream, plugin: &str, configuration: &Value) -> String {
    let service = "shop.default.svc.cluster.local";
    // JSON is YAML, too.
    let fields = match configuration {
        Value::Null => String::new(),
        configuration => format!("pluginConfig: {configuration}\n"),
    };
    join(&[
        http_gateway("gw", 80, &["*"]),
        service_entry("shop", service, 80, &[upstream.address()]),
        virtual_service("shop", "gw", &["*"], &route_to(service, 80)),
        wasm_plugin("subject", &format!("builtin:{plugin}"), &fields),
    ])
}

/// The problem line of a configuration that the plugin refuses; its requests are then answered with 503.
async fn refusal(plugin: &str, configuration: &Value) -> String {
    let mut scene = Scene::start(plugin, configuration, &[]).await;
    assert_eq!(scene.get(&[]).await.status, 503);
    assert_eq!(scene.upstream.seen().requests, 0);
    let mut lines = scene.gateway.log.iter();
    let line = lines.find(|line| line.contains("PC0406"));
    line.unwrap_or_else(|| panic!("no PC0406 in {:#?}", scene.gateway.log)).clone()
}

/// Checks that a refusal names the place in the file, the object, and the path of the field.
async fn refused_at(plugin: &str, configuration: &Value, path: &str, what: &str) {
    let line = refusal(plugin, configuration).await;
    for part in ["all.yaml:", "WasmPlugin/default/subject", "spec.pluginConfig", path, what] {
        assert!(line.contains(part), "no {part} in {line}");
    }
}
