//! One filter in Rust, Go and C++: each module runs here and in a real Envoy, with the same verdicts.

use portcullis_testkit::manifests::{http_gateway, join, virtual_service, wasm_plugin};
use portcullis_testkit::{Call, Client, Reply, Upstream};
use serde_json::{Value, json};

use crate::envoy::process::{Envoy, api, cluster, listener};
use crate::gateway::Gateway;
use crate::guests::{guest, until_loaded};
use crate::shop::{TO_BLUE, backends};

/// What the plugin's configuration makes the filter do; the cluster is named as Envoy names it.
const TASKS: [&str; 5] =
    ["header", "body", "call outbound|80||green.example", "call outbound|80||nowhere", "shared"];

/// The same upstreams behind the gateway and behind an Envoy, with one module on every request: for each task on a
/// host of its own here, on a listener of its own there.
struct Scene {
    gateway: Gateway,
    envoy: Envoy,
    _upstreams: [Upstream; 2],
}

impl Scene {
    async fn open(module: &str) -> Self {
        let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
        let url = guest(module);
        let mut documents = vec![backends(&blue, &green)];
        documents.extend((0..TASKS.len()).map(|number| task(&url, number)));
        let gateway = Gateway::start_with(&join(&documents), &["--workers", "1"]).await;
        until_loaded(&gateway).await;
        let envoy = envoy(&url, &blue, &green).await;
        Scene { gateway, envoy, _upstreams: [blue, green] }
    }

    /// What both say to it, the gateway first.
    async fn ask(&self, number: usize, call: fn(&str) -> Call) -> [Reply; 2] {
        let mut here = Client::http1(self.gateway.address("http")).await.unwrap();
        let mut there = Client::http1(self.envoy.address(&name(number))).await.unwrap();
        [here.call(call(&host(number))).await, there.call(call(&host(number))).await]
    }
}

fn name(number: usize) -> String {
    format!("task-{number}")
}

fn host(number: usize) -> String {
    format!("task-{number}.example")
}

fn task(url: &str, number: usize) -> String {
    let (name, configuration) = (name(number), TASKS[number]);
    // Go's runtime takes some MiB and milliseconds before it does anything.
    let limits = "metadata:\n  annotations:\n    portcullis.dev/limits: memory=64Mi,callback=500ms,start=20s\n";
    let fields = format!(
        "pluginConfig: \"{configuration}\"\ntargetRefs:\n- {{group: networking.istio.io, kind: Gateway, name: {name}}}\n"
    );
    join(&[
        http_gateway(&name, 80, &[&host(number)]),
        virtual_service(&name, &name, &["*"], TO_BLUE),
        wasm_plugin(&name, url, &fields).replacen("metadata:\n", limits, 1),
    ])
}

async fn envoy(url: &str, blue: &Upstream, green: &Upstream) -> Envoy {
    let listeners: Vec<_> = (0..TASKS.len()).map(|number| filtered(url, number)).collect();
    let clusters = [
        cluster("blue", blue.address(), &json!({})),
        cluster("outbound|80||green.example", green.address(), &json!({})),
    ];
    Envoy::start(&listeners, &clusters).await
}

/// An Envoy's listener with the module before its router, in a virtual machine of its own.
fn filtered(url: &str, number: usize) -> Value {
    let path = url.strip_prefix("file://").unwrap();
    let configuration =
        json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": TASKS[number]});
    let machine = json!({
        "vm_id": name(number),
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": path}},
    });
    let filter = json!({"name": "envoy.filters.http.wasm", "typed_config": {
        "@type": api("filters.http.wasm.v3.Wasm"),
        "config": {"name": name(number), "vm_config": machine, "configuration": configuration},
    }});
    let mut filtered = listener(&name(number), "blue");
    let filters = &mut filtered["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
    filters.as_array_mut().unwrap().insert(0, filter);
    filtered
}

/// What of a reply the filter and the upstream decide.
fn verdict(reply: &Reply) -> Value {
    let field =
        |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let text = reply.text();
    // A filter may have put something behind the upstream's JSON.
    let echo: Option<Value> = serde_json::from_str(text.trim_end_matches('!')).ok();
    let seen = echo.map(|echo| {
        let headers = ["x-guest", "x-user"].map(|name| echo["headers"][name].clone());
        json!({"headers": headers, "body": echo["body"], "path": echo["path"], "method": echo["method"]})
    });
    let seen = seen.unwrap_or_else(|| text.trim_end_matches('!').into());
    json!({
        "status": reply.status.as_u16(),
        "path": field("x-guest-path"),
        "count": field("x-count"),
        "upstream": field("x-upstream"),
        "seen": seen,
        "marked": text.ends_with('!'),
    })
}

fn calls() -> [fn(&str) -> Call; 7] {
    [
        |host| asking("/status/200", Call::get(host, "/")),
        |host| asking("/status/200", Call::get(host, "/a/b?c=d")),
        |host| asking("/status/200", Call::post(host, "/", "hello")),
        |host| asking("/status/500", Call::post(host, "/", "x".repeat(100_000))),
        |host| asking("/status/200", Call::get(host, "/status/404")),
        |host| asking("/status/200", Call::get(host, "/").header("x-user", "forged")),
        |host| asking("/status/401", Call::post(host, "/", "hello")),
    ]
}

/// What the filter asks another service, if it does.
fn asking(path: &str, call: Call) -> Call {
    call.header("x-ask", path)
}

#[tokio::test]
async fn a_filter_in_rust_does_what_it_does_in_envoy() {
    same_verdicts("rust", "verdict").await;
}

#[tokio::test]
async fn a_filter_in_go_does_what_it_does_in_envoy() {
    same_verdicts("go", "verdict-go").await;
}

#[tokio::test]
async fn a_filter_in_cpp_does_what_it_does_in_envoy() {
    same_verdicts("cpp", "verdict-cpp").await;
}

async fn same_verdicts(language: &str, module: &str) {
    let scene = Scene::open(module).await;
    for (task, what) in TASKS.into_iter().enumerate() {
        for (number, call) in calls().into_iter().enumerate() {
            let [here, there] = scene.ask(task, call).await.map(|reply| verdict(&reply));
            assert_eq!(here, there, "{language}, {what}, call {number}");
            check(language, what, number, &here);
        }
    }
}

/// That the filter did what it is for, lest both do nothing.
fn check(language: &str, task: &str, number: usize, verdict: &Value) {
    let wanted = match (task, number) {
        ("header", 1) => {
            [&verdict["path"], &verdict["seen"]["headers"][0]].map(Value::as_str)
                == [Some("/a/b?c=d"), Some(language)]
        }
        ("body", 2) => verdict["seen"]["body"] == "HELLO" && verdict["marked"] == true,
        ("body", 3) => verdict["seen"]["body"] == "X".repeat(100_000),
        ("call outbound|80||green.example", 5) => verdict["seen"]["headers"][1] == "green",
        ("call outbound|80||green.example", 6) => {
            verdict["status"] == 403 && verdict["seen"] == "denied: 401"
        }
        ("call outbound|80||nowhere", _) => {
            verdict["status"] == 500 && verdict["seen"] == "no such cluster"
        }
        ("shared", _) => verdict["count"].as_str() == Some(&*(number + 1).to_string()),
        _ => true,
    };
    assert!(wanted, "{language}, {task}, call {number}: {verdict:#}");
}
