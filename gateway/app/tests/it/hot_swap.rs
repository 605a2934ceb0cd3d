//! Routes and plugins change under load: no request fails, and each sees exactly one generation.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt;
use portcullis_testkit::{Call, Client, Upstream, manifests};
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::guests::guest;

const CONNECTIONS: usize = 100;
const CHANGES: usize = 200;
/// Every so many changes the plugin changes with the route: 50 in all.
const PLUGIN_EVERY: usize = 4;
const VERSIONS: [&str; 3] = ["v0", "v1", "v2"];

/// What one response says of the generation that served it.
struct Seen {
    generation: u64,
    header_mark: usize,
    subset: String,
    plugin_mark: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_and_each_sees_one_generation() {
    let upstreams: Vec<_> = VERSIONS.iter().map(|version| Upstream::start(version)).collect();
    let mut gateway = Gateway::start(&configuration(0, &upstreams)).await;
    let address = gateway.address("http");
    let stop = Arc::new(AtomicBool::new(false));

    let mut old_stream = Client::http1(address).await.unwrap();
    let streaming = old_stream.open(Call::get("shop.example.com", "/drip")).await.unwrap();
    let mut load = JoinSet::new();
    for _ in 0..CONNECTIONS {
        load.spawn(ask_until(stop.clone(), Client::http1(address).await.unwrap()));
    }
    for change in 1..=CHANGES {
        gateway.apply(&configuration(change, &upstreams)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let seen: Vec<Seen> = load.join_all().await.into_iter().flatten().collect();

    assert!(seen.len() > CHANGES, "the load was steady: {} requests", seen.len());
    check_marks(&seen);
    for upstream in &upstreams {
        upstream.release();
    }
    let whole = streaming.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole, "first,second", "a streaming response outlives the swaps");
}

/// A mark is the same in the header, the subset and the plugin, and a generation has one mark.
fn check_marks(seen: &[Seen]) {
    let mut mark_of: HashMap<u64, usize> = HashMap::new();
    for seen in seen {
        let mark = seen.header_mark;
        assert_eq!(seen.subset, VERSIONS[mark % VERSIONS.len()], "subset of mark {mark}");
        assert_eq!(seen.plugin_mark, plugin_mark(mark), "plugin of mark {mark}");
        let first = *mark_of.entry(seen.generation).or_insert(mark);
        assert_eq!(first, mark, "generation {} shows two marks", seen.generation);
    }
    assert!(mark_of.len() > 1, "the load saw changes");
}

/// Asks one request after the other. A connection that ends, a status that is not 200 or a mark that is
/// missing fails the test.
async fn ask_until(stop: Arc<AtomicBool>, mut client: Client) -> Vec<Seen> {
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let reply = client.get("shop.example.com", "/").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        seen.push(Seen {
            generation: reply.header("x-portcullis-generation").parse().unwrap(),
            header_mark: reply.header("x-mark").parse().unwrap(),
            subset: reply.upstream().to_owned(),
            plugin_mark: reply.header("x-guest-mark").to_owned(),
        });
    }
    seen
}

fn plugin_mark(mark: usize) -> String {
    format!("plugin-{}", mark / PLUGIN_EVERY)
}

fn configuration(mark: usize, upstreams: &[Upstream]) -> String {
    let endpoints: Vec<_> =
        upstreams.iter().map(|up| (up.address(), format!("version: {}", up.name()))).collect();
    let endpoints: Vec<_> =
        endpoints.iter().map(|(address, label)| (*address, label.as_str())).collect();
    let host = "shop.default.svc.cluster.local";
    let version = VERSIONS[mark % VERSIONS.len()];
    let rules = format!(
        "- headers: {{response: {{set: {{x-mark: \"{mark}\"}}}}}}\n  route:\n  - destination: {{host: {host}, subset: {version}, port: {{number: 80}}}}\n"
    );
    manifests::join(&[
        manifests::http_gateway("gw", 80, &["*"]),
        manifests::service_entry_with_labels("shop", host, 80, &endpoints),
        manifests::subsets_by_version("shop", host, &VERSIONS),
        manifests::virtual_service("shop", "gw", &["shop.example.com"], &rules),
        manifests::wasm_plugin(
            "mark",
            &guest("envoy-filter"),
            &format!("pluginConfig: \"{}\"\n", plugin_mark(mark)),
        ),
    ])
}
