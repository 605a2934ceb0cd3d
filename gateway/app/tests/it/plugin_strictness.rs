//! `portcullis.dev/strict: envoy`: the same guest here and in a real Envoy is answered the same by every host call that
//! differs otherwise.

use portcullis_testkit::manifests::{http_gateway, join, virtual_service, wasm_plugin};
use portcullis_testkit::{Call, Client, Upstream};
use serde_json::json;

use crate::envoy::process::{Envoy, api, cluster, listener};
use crate::gateway::Gateway;
use crate::guests::until_loaded;
use crate::shop::{TO_BLUE, backends};
use crate::small_guests::{callback, small_guest_importing};

const HOST: &str = "strict.example";

const IMPORTS: [&str; 5] = [
    r#"(import "env" "proxy_get_header_map_pairs" (func $host_pairs (param i32 i32 i32) (result i32)))"#,
    r#"(import "env" "proxy_get_header_map_size" (func $host_size (param i32 i32) (result i32)))"#,
    r#"(import "env" "proxy_remove_header_map_value" (func $host_remove (param i32 i32 i32) (result i32)))"#,
    r#"(import "env" "proxy_get_property" (func $host_property (param i32 i32 i32 i32) (result i32)))"#,
    r#"(import "env" "proxy_call_foreign_function" (func $host_foreign (param i32 i32 i32 i32 i32 i32) (result i32)))"#,
];

/// `:method GET`, `:path /`, `:authority a` in the map format.
const HEAD: &str = r#"$"\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00""#;

const CALLBACKS: [&str; 4] =
    ["request_headers", "request_body", "response_headers", "response_body"];

/// In which callback, and which call.
fn probes() -> Vec<(&'static str, String)> {
    let get = |map: u32, name: &str| {
        format!("(call $host_get (i32.const {map}) $\"{name}\" (i32.const 512) (i32.const 516))")
    };
    let pairs =
        |map: u32| format!("(call $host_pairs (i32.const {map}) (i32.const 512) (i32.const 516))");
    let property =
        |path: &str| format!("(call $host_property $\"{path}\" (i32.const 512) (i32.const 516))");
    let call = |cluster: &str| {
        format!(
            "(call $host_http_call $\"{cluster}\" {HEAD} $\"\" $\"\" (i32.const 1000) (i32.const 520))"
        )
    };
    let foreign = |name: &str| {
        format!("(call $host_foreign $\"{name}\" $\"x\" (i32.const 512) (i32.const 516))")
    };
    let add = |map: u32| format!("(call $host_add (i32.const {map}) $\"x-b\" $\"c\")");
    let size = |map: u32| format!("(call $host_size (i32.const {map}) (i32.const 512))");
    let splice = "(call $host_set_buffer (i32.const 0) (i32.const 1) (i32.const 2) $\"ab\")";
    vec![
        ("request_headers", get(0, "x-a")),
        ("request_headers", get(0, "x-none")),
        ("request_headers", add(0)),
        ("request_headers", pairs(0)),
        ("request_headers", get(2, ":status")),
        ("request_headers", pairs(2)),
        ("request_headers", pairs(1)),
        ("request_headers", size(3)),
        ("request_headers", call("green.example")),
        ("request_headers", call("green.example:80")),
        ("request_headers", call("outbound|80||green.example")),
        ("request_headers", foreign("portcullis_hash")),
        ("request_headers", foreign("compress")),
        ("request_headers", foreign("nothing")),
        ("request_headers", property("plugin_root_id")),
        ("request_headers", property("request\\00path")),
        ("request_headers", property("listener_direction")),
        ("request_headers", property("route_name")),
        ("request_headers", property("cluster_name")),
        ("request_headers", property("node\\00id")),
        ("request_headers", property("nothing")),
        ("request_body", splice.to_owned()),
        ("request_body", get(0, "x-a")),
        ("request_body", pairs(0)),
        ("request_body", size(0)),
        ("request_body", "(call $host_remove (i32.const 0) $\"x-a\")".to_owned()),
        ("request_body", add(0)),
        ("request_body", add(1)),
        ("response_headers", get(0, ":path")),
        ("response_headers", pairs(0)),
        ("response_headers", get(2, ":status")),
        ("response_headers", add(2)),
        ("response_body", get(2, ":status")),
        ("response_body", pairs(2)),
        ("response_body", add(2)),
        ("response_body", add(3)),
    ]
}

/// A guest that makes each call once, and puts all statuses, a letter each from `a` on, behind the reply's body.
fn probing() -> Vec<u8> {
    let probes = probes();
    let mut functions = String::new();
    for name in CALLBACKS {
        let mut code = String::new();
        for (nth, (_, call)) in probes.iter().enumerate().filter(|(_, (at, _))| *at == name) {
            let place = 700 + nth;
            code += &format!(
                "(if (i32.eqz (i32.load8_u (i32.const {place}))) (then
                   (i32.store8 (i32.const {place}) (i32.add {call} (i32.const 97)))))\n"
            );
        }
        if name == "response_headers" {
            code += "(drop (call $host_remove (i32.const 2) $\"content-length\"))";
        }
        if name == "response_body" {
            code += &format!(
                "(if (local.get $end) (then (drop (call $host_set_buffer (i32.const 1)
                   (i32.const 0) (i32.const 1000000) (i32.const 700) (i32.const {})))))",
                probes.len()
            );
        }
        functions += &callback(&format!("on_{name}"), &code);
        functions += "\n";
    }
    small_guest_importing(&format!("{} {functions}", IMPORTS.join(" ")))
}

/// The reply's body is the statuses.
async fn statuses(client: &mut Client) -> Vec<String> {
    let reply = client.call(Call::post(HOST, "/", "hello").header("x-a", "b")).await;
    let text = reply.text().to_owned();
    let count = probes().len();
    assert!(text.len() >= count, "{text}");
    let statuses = text[text.len() - count..].bytes();
    let described = probes().into_iter().zip(statuses);
    described.map(|((at, call), letter)| format!("{at} {call}: {}", letter - b'a')).collect()
}

/// Here.
async fn gateway(url: &str, annotations: &str, [blue, green]: &[Upstream; 2]) -> Vec<String> {
    let fields = "pluginName: root\n";
    let plugin = wasm_plugin("probe", url, fields).replacen("metadata:\n", annotations, 1);
    let gateway = Gateway::start_with(
        &join(&[
            http_gateway("shop", 80, &["*"]),
            virtual_service("shop", "shop", &["*"], TO_BLUE),
            backends(blue, green),
            plugin,
        ]),
        &["--workers", "1"],
    )
    .await;
    until_loaded(&gateway).await;
    statuses(&mut Client::http1(gateway.address("http")).await.unwrap()).await
}

/// There.
async fn envoy(path: &str, [blue, green]: &[Upstream; 2]) -> Vec<String> {
    let machine = json!({
        "vm_id": "probe",
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": path}},
    });
    let filter = json!({"name": "envoy.filters.http.wasm", "typed_config": {
        "@type": api("filters.http.wasm.v3.Wasm"),
        "config": {"name": "probe", "root_id": "root", "vm_config": machine},
    }});
    let mut filtered = listener("probe", "blue");
    let filters = &mut filtered["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
    filters.as_array_mut().unwrap().insert(0, filter);
    let clusters = [
        cluster("blue", blue.address(), &json!({})),
        cluster("outbound|80||green.example", green.address(), &json!({})),
    ];
    let envoy = Envoy::start(&[filtered], &clusters).await;
    statuses(&mut Client::http1(envoy.address("probe")).await.unwrap()).await
}

#[tokio::test]
async fn as_strict_as_envoy_each_call_is_answered_as_there() {
    let upstreams = [Upstream::start("blue"), Upstream::start("green")];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("probe.wasm");
    std::fs::write(&path, probing()).unwrap();
    let path = path.to_str().unwrap();
    let url = format!("file://{path}");
    let strict = "metadata:\n  annotations:\n    portcullis.dev/strict: envoy\n";
    let (here, there) = (gateway(&url, strict, &upstreams).await, envoy(path, &upstreams).await);
    let lenient = gateway(&url, "metadata:\n", &upstreams).await;
    assert_eq!(here, there);
    assert_ne!(here, lenient, "it makes a difference");
}
