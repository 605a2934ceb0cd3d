//! A thousand reloads, and swaps of ten thousand routes: nothing fails, nothing grows, and requests hardly notice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_testkit::{Client, Upstream, manifests};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::gateway::{Gateway, directory_with};

const RELOADS: usize = 1000;
/// Ten a second.
const BETWEEN: Duration = Duration::from_millis(100);
/// Of as much calm as reloads, as the machine has its own moods. After the first one pools and caches are as full as they
/// get.
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 20;
/// How long it is looked how fast requests are while nothing changes, in each round.
const CALM: Duration = Duration::from_secs(10);

/// Hosts of two rules each.
const MANY: usize = 5000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes three minutes"]
async fn soak_a_thousand_reloads_fail_no_request_and_hold_no_memory() {
    let upstream = Upstream::start("blue");
    let mut gateway = start(&configuration(0, 100, &upstream)).await;
    let mut settled = 0;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let calm = Load::begin(&gateway).await.during(CALM).await;
        let load = Load::begin(&gateway).await;
        let mut pace = interval(BETWEEN);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for reload in 1..=RELOADS / ROUNDS {
            pace.tick().await;
            let mark = round * RELOADS + reload;
            gateway.apply(&configuration(mark, 100, &upstream)).await;
        }
        rounds.push(Round { calm, busy: load.end().await });
        if round == 0 {
            settled = gateway.resident_kib();
        }
    }
    let grown = gateway.resident_kib();
    println!("{RELOADS} reloads; {settled} KiB after the first {ROUNDS}th, {grown} KiB at the end");
    assert!(grown <= settled + settled / 20, "{settled} KiB have become {grown} KiB");
    compare(&rounds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn soak_ten_thousand_routes_are_swapped_and_fail_no_request() {
    let upstream = Upstream::start("blue");
    let mut gateway = start(&configuration(0, MANY, &upstream)).await;
    let mut slowest = Duration::ZERO;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let calm = Load::begin(&gateway).await.during(CALM).await;
        let load = Load::begin(&gateway).await;
        for reload in 1..=5 {
            let began = Instant::now();
            gateway.apply(&configuration(round * 5 + reload, MANY, &upstream)).await;
            slowest = slowest.max(began.elapsed());
        }
        rounds.push(Round { calm, busy: load.end().await });
    }
    println!("the slowest swap of 10 000 routes took {slowest:?}");
    compare(&rounds);
}

/// `PORTCULLIS_BINARY` names another binary than that under test: a figure of a debug build says little.
async fn start(manifests: &str) -> Gateway {
    let Some(program) = std::env::var_os("PORTCULLIS_BINARY") else {
        return Gateway::start(manifests).await;
    };
    Gateway::start_program(Path::new(&program), directory_with(manifests), &[], &[]).await
}

/// How long requests took, the shortest first: while nothing changed, and then beside reloads.
struct Round {
    calm: Vec<Duration>,
    busy: Vec<Duration>,
}

/// Prints how long requests took. The machine may have other things to do, now and then: so it is the middle one of the
/// rounds that counts, and that fails only where it is far from 1.2 times as long as before.
fn compare(rounds: &[Round]) {
    let requests: usize = rounds.iter().map(|round| round.calm.len() + round.busy.len()).sum();
    println!("{requests} requests, none failed");
    for (name, share) in [("median", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let pair = |round: &Round| (quantile(&round.calm, share), quantile(&round.busy, share));
        let mut pairs: Vec<_> = rounds.iter().map(pair).collect();
        let ratio = |(calm, busy): &(Duration, Duration)| busy.as_secs_f64() / calm.as_secs_f64();
        pairs.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
        let (calm, busy) = pairs[pairs.len() / 2];
        let ratios: Vec<_> = pairs.iter().map(|pair| format!("{:.2}", ratio(pair))).collect();
        println!(
            "{name}: {calm:?} calm, {busy:?} beside reloads; of all rounds {}",
            ratios.join(" ")
        );
        let most = (calm * 2).max(calm + Duration::from_millis(60));
        // One of a thousand is too few to be held to anything.
        assert!(share > 0.99 || busy <= most, "{name} {busy:?} where {calm:?} is calm");
    }
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
