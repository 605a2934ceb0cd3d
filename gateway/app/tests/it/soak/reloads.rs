//! A thousand reloads of ten thousand routes' neighbourhood: nothing fails, nothing grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_testkit::{Client, Upstream, manifests};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::gateway::Gateway;

const RELOADS: usize = 1000;
/// Ten a second.
const BETWEEN: Duration = Duration::from_millis(100);
/// Before memory is measured the first time: pools and caches are as full as they get.
const SETTLED_AFTER: usize = 200;
const CONNECTIONS: usize = 20;

/// Hosts of two rules each.
const MANY: usize = 5000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes two minutes"]
async fn soak_a_thousand_reloads_fail_no_request_and_hold_no_memory() {
    let upstream = Upstream::start("blue");
    let mut gateway = Gateway::start(&configuration(0, 100, &upstream)).await;
    let load = Load::begin(&gateway).await;
    let mut pace = interval(BETWEEN);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut settled = 0;
    for reload in 1..=RELOADS {
        pace.tick().await;
        gateway.apply(&configuration(reload, 100, &upstream)).await;
        if reload == SETTLED_AFTER {
            settled = gateway.resident_kib();
        }
    }
    let (grown, asked) = (gateway.resident_kib(), load.end().await);
    println!(
        "{asked} requests beside {RELOADS} reloads; {settled} KiB after {SETTLED_AFTER}, {grown} KiB at the end"
    );
    assert!(grown <= settled + settled / 20, "{settled} KiB have become {grown} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn soak_ten_thousand_routes_are_swapped_and_fail_no_request() {
    let upstream = Upstream::start("blue");
    let mut gateway = Gateway::start(&configuration(0, MANY, &upstream)).await;
    let load = Load::begin(&gateway).await;
    let mut slowest = Duration::ZERO;
    for reload in 1..=10 {
        let began = Instant::now();
        gateway.apply(&configuration(reload, MANY, &upstream)).await;
        slowest = slowest.max(began.elapsed());
    }
    let asked = load.end().await;
    println!(
        "{asked} requests beside 10 swaps of 10 000 routes, the slowest of which took {slowest:?}"
    );
}

/// Clients that ask on and on; each answer has to be good.
struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<usize>,
}

impl Load {
    async fn begin(gateway: &Gateway) -> Self {
        let (stop, mut clients) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for _ in 0..CONNECTIONS {
            let client = Client::http1(gateway.address("http")).await.unwrap();
            clients.spawn(ask_until(stop.clone(), client));
        }
        Load { stop, clients }
    }

    /// How many requests there were.
    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await.into_iter().sum()
    }
}

async fn ask_until(stop: Arc<AtomicBool>, mut client: Client) -> usize {
    let mut pace = interval(Duration::from_millis(20));
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let reply = client.get("host-7.example", "/api/x").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        asked += 1;
    }
    asked
}

/// So many hosts of two rules, one of which says which version this is.
fn configuration(mark: usize, hosts: usize, upstream: &Upstream) -> String {
    let to = "route: [{destination: {host: blue.example, port: {number: 80}}}]";
    let mut documents = vec![
        manifests::http_gateway("gw", 80, &["*"]),
        manifests::service_entry("blue", "blue.example", 80, &[upstream.address()]),
    ];
    for host in 0..hosts {
        let version = if host == 7 { mark } else { 0 };
        let rules = format!(
            "- match: [{{uri: {{prefix: /api/}}}}]\n  headers: {{request: {{set: {{x-version: \"{version}\"}}}}}}\n  {to}\n- {to}\n"
        );
        documents.push(manifests::virtual_service(
            &format!("host-{host}"),
            "gw",
            &[&format!("host-{host}.example")],
            &rules,
        ));
    }
    manifests::join(&documents)
}
