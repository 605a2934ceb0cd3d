//! A plugin is exchanged again and again under load, one version of ten being bad: no request fails, and each is
//! served by one version. Faults 24 and 25.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_testkit::manifests::{http_gateway, join, virtual_service, wasm_plugin};
use portcullis_testkit::{Client, Upstream, within};
use tokio::task::JoinSet;

use crate::gateway::{Gateway, directory_with};
use crate::guests::guest;
use crate::shop::{HOST, TO_BLUE, backends};

const CONNECTIONS: usize = 50;
/// Of so many versions the last one is bad.
const ROUND: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_versions_fail_no_request() {
    swap(100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: some minutes"]
async fn soak_a_thousand_versions_fail_no_request() {
    swap(1000).await;
}

async fn swap(versions: usize) {
    let scene = Scene::open().await;
    let Scene { mut gateway, upstreams: [blue, green] } = scene;
    let (stop, newest) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let mut load = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = Client::http1(gateway.address("http")).await.unwrap();
        load.spawn(keep_asking(client, stop.clone(), newest.clone()));
    }
    for version in 1..=versions {
        newest.store(version, Ordering::Relaxed);
        gateway.apply(&manifests(version, &blue, &green)).await;
    }
    // What came last is bad; the one before it serves.
    assert!(is_bad(versions));
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    let arrives = async {
        while client.get(HOST, "/").await.header("x-guest-mark") != mark(versions - 1) {
            tokio::task::yield_now().await;
        }
    };
    within("the last good version", arrives).await;
    stop.store(true, Ordering::Relaxed);
    let asked: usize = load.join_all().await.into_iter().sum();
    assert!(asked > versions, "the load was steady: {asked} requests");
    let told = gateway.log.iter().filter(|line| line.contains("the last good version serves on"));
    assert!(told.count() >= versions / ROUND, "each bad version is told");
    assert!(!gateway.log.iter().any(|line| line.contains("panicked")));
}

struct Scene {
    gateway: Gateway,
    upstreams: [Upstream; 2],
}

impl Scene {
    /// The good module under two digests, and what a half-finished or damaged upload leaves of it.
    async fn open() -> Self {
        let upstreams = [Upstream::start("blue"), Upstream::start("green")];
        let [blue, green] = &upstreams;
        let directory = directory_with(&manifests(0, blue, green));
        let path = guest("envoy-filter");
        let good = std::fs::read(path.strip_prefix("file://").unwrap()).unwrap();
        // A section that says nothing: the code is the same, the digest is not.
        let other = [&good[..], b"\0\x02\x01x"].concat();
        let cut = good[..good.len() / 2].to_vec();
        let mut flipped = good.clone();
        flipped[9] ^= 0xff;
        for (name, module) in [("good", good), ("other", other), ("cut", cut), ("flipped", flipped)]
        {
            std::fs::write(directory.path().join(format!("config/{name}.wasm")), module).unwrap();
        }
        let gateway = Gateway::start_in(directory, &[]).await;
        Scene { gateway, upstreams }
    }
}

fn is_bad(version: usize) -> bool {
    version > 0 && version.is_multiple_of(ROUND)
}

fn mark(version: usize) -> String {
    format!("version-{version}")
}

fn manifests(version: usize, blue: &Upstream, green: &Upstream) -> String {
    let (module, configuration) = match (is_bad(version), version / ROUND % 4) {
        (false, _) => (["good", "other"][version % 2], mark(version)),
        (true, 0) => ("cut", mark(version)),
        (true, 1) => ("flipped", mark(version)),
        (true, 2) => ("nowhere", mark(version)),
        (true, _) => ("good", "refuse".to_owned()),
    };
    join(&[
        http_gateway("shop", 80, &["*"]),
        virtual_service("shop", "shop", &[HOST], TO_BLUE),
        backends(blue, green),
        wasm_plugin(
            "mark",
            &format!("./{module}.wasm"),
            &format!("pluginConfig: {configuration}\n"),
        ),
    ])
}

/// Asks until it is told to stop; how often. A connection that ends, another status, two versions in one request, or
/// one that was never good fails the test; so does one that is older than the one before.
async fn keep_asking(mut client: Client, stop: Arc<AtomicBool>, newest: Arc<AtomicUsize>) -> usize {
    let (mut asked, mut last) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let reply = client.get(HOST, "/").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let mark = reply.header("x-guest-mark").to_owned();
        assert_eq!(reply.json()["headers"]["x-guest-mark"], mark, "one version for each request");
        let version = mark.strip_prefix("version-").unwrap().parse::<usize>().unwrap();
        assert!(!is_bad(version), "{mark} is bad");
        assert!((last..=newest.load(Ordering::Relaxed)).contains(&version), "{mark} after {last}");
        (last, asked) = (version, asked + 1);
    }
    asked
}
