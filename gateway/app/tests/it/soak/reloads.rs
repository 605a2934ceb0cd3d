//! A thousand reloads, and swaps of ten thousand routes: nothing fails, nothing grows, and requests hardly notice.

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
/// How long it is looked how fast requests are while nothing changes.
const CALM: Duration = Duration::from_secs(20);

/// Hosts of two rules each.
const MANY: usize = 5000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes two minutes"]
async fn soak_a_thousand_reloads_fail_no_request_and_hold_no_memory() {
    let upstream = Upstream::start("blue");
    let mut gateway = Gateway::start(&configuration(0, 100, &upstream)).await;
    let calm = Load::begin(&gateway).await.during(CALM).await;
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
    let (grown, reloading) = (gateway.resident_kib(), load.end().await);
    println!(
        "{} requests beside {RELOADS} reloads; {settled} KiB after {SETTLED_AFTER}, {grown} KiB at the end",
        reloading.len()
    );
    assert!(grown <= settled + settled / 20, "{settled} KiB have become {grown} KiB");
    compare(&calm, &reloading);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn soak_ten_thousand_routes_are_swapped_and_fail_no_request() {
    let upstream = Upstream::start("blue");
    let mut gateway = Gateway::start(&configuration(0, MANY, &upstream)).await;
    let calm = Load::begin(&gateway).await.during(CALM).await;
    let load = Load::begin(&gateway).await;
    let mut slowest = Duration::ZERO;
    for reload in 1..=10 {
        let began = Instant::now();
        gateway.apply(&configuration(reload, MANY, &upstream)).await;
        slowest = slowest.max(began.elapsed());
    }
    let swapping = load.end().await;
    println!(
        "{} requests beside 10 swaps of 10 000 routes, the slowest of which took {slowest:?}",
        swapping.len()
    );
    compare(&calm, &swapping);
}

/// Prints how long requests took, and fails where that is far from 1.2 times as long as before: the machine may have
/// other things to do.
fn compare(calm: &[Duration], busy: &[Duration]) {
    for (name, share) in [("median", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let (calm, busy) = (quantile(calm, share), quantile(busy, share));
        let ratio = busy.as_secs_f64() / calm.as_secs_f64();
        println!("{name}: {calm:?} calm, {busy:?} beside reloads, {ratio:.2} times");
    }
    let (calm, busy) = (quantile(calm, 0.99), quantile(busy, 0.99));
    let most = (calm * 2).max(calm + Duration::from_millis(60));
    assert!(busy <= most, "p99 {busy:?} where {calm:?} is calm");
}

/// The time that this share of the requests took at most.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    sorted[(sorted.len() as f64 * share) as usize]
}

/// Clients that ask on and on; each answer has to be good.
struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Vec<Duration>>,
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

    /// How long each request took, the shortest first, once they have gone on for so long.
    async fn during(self, length: Duration) -> Vec<Duration> {
        tokio::time::sleep(length).await;
        self.end().await
    }

    /// How long each request took, the shortest first.
    async fn end(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times: Vec<_> = self.clients.join_all().await.into_iter().flatten().collect();
        times.sort_unstable();
        times
    }
}

async fn ask_until(stop: Arc<AtomicBool>, mut client: Client) -> Vec<Duration> {
    let mut pace = interval(Duration::from_millis(20));
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let began = Instant::now();
        let reply = client.get("host-7.example", "/api/x").await;
        times.push(began.elapsed());
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    times
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
