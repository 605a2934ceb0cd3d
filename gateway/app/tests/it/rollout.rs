//! Rollouts behind a load balancer that deregisters slowly: no request is lost, none is sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_testkit::{Alb, AlbSettings, Call, Upstream};
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::shop::{HOST, TO_BLUE, backends, manifests};

/// Clients of the balancer at once.
const CLIENTS: usize = 50;

/// An ALB's times, shortened: the lag is well below the gateway's drain delay.
const SHORTENED: AlbSettings = AlbSettings {
    check_interval: Duration::from_millis(100),
    healthy_threshold: 2,
    unhealthy_threshold: 2,
    deregistration_lag: Duration::from_millis(500),
    idle_timeout: Duration::from_secs(60),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_rollouts_in_a_row_lose_no_request() {
    roll_out(20, SHORTENED, &["--drain-delay", "3s", "--drain-timeout", "20s"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: a minute and a half, as an ALB and the gateway come"]
async fn soak_a_rollout_with_the_defaults() {
    roll_out(1, AlbSettings::default(), &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: a minute of waiting"]
async fn soak_connections_idle_for_59_seconds_are_used_again() {
    let scene = Scene::open();
    let gateway = scene.start(&[]).await;
    let alb = Alb::new(SHORTENED);
    alb.register(gateway.address("http"), gateway.side_port("status"));
    alb.until_healthy(1).await;
    ask_at_once(&alb).await;
    assert_eq!(alb.idle_connections(), CLIENTS);
    tokio::time::sleep(Duration::from_secs(59)).await;
    ask_at_once(&alb).await;
    assert_eq!(alb.idle_connections(), CLIENTS, "no connection was opened anew");
}

/// Replaces the gateway so many times under load, then compares what was answered with what was executed.
async fn roll_out(times: usize, settings: AlbSettings, arguments: &[&str]) {
    let scene = Scene::open();
    let (alb, stop) = (Alb::new(settings), Arc::new(AtomicBool::new(false)));
    let mut serving = scene.start(arguments).await;
    register(&alb, &serving);
    alb.until_healthy(1).await;
    let mut load = JoinSet::new();
    for client in 0..CLIENTS {
        load.spawn(ask_until(stop.clone(), alb.clone(), client));
    }
    let mut leaving = JoinSet::new();
    for _ in 0..times {
        let next = scene.start(arguments).await;
        register(&alb, &next);
        alb.until_healthy(2).await;
        let old = std::mem::replace(&mut serving, next);
        // As Kubernetes does it: both at once, and the balancer takes its time.
        old.signal("TERM");
        alb.deregister(old.address("http"));
        leaving.spawn(ended(old));
        alb.until_healthy(1).await;
    }
    leaving.join_all().await;
    stop.store(true, Ordering::Relaxed);
    let answered: usize = load.join_all().await.into_iter().sum();
    assert!(answered > times * CLIENTS, "the load was steady: {answered} requests");
    assert_eq!(scene.blue.seen().requests, answered, "each request was executed once");
}

fn register(alb: &Alb, gateway: &Gateway) {
    alb.register(gateway.address("http"), gateway.side_port("status"));
}

async fn ended(mut gateway: Gateway) {
    assert!(gateway.wait().await.success());
    let cut = gateway.log.iter().find(|line| line.contains("drain timeout"));
    assert_eq!(cut, None);
}

/// Asks one request after the other, GET and POST in turn; how many were answered. Any other answer than 200
/// fails the test.
async fn ask_until(stop: Arc<AtomicBool>, alb: Alb, client: usize) -> usize {
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/client/{client}/{asked}");
        let call = match asked % 2 {
            0 => Call::get(HOST, &path),
            _ => Call::post(HOST, &path, path.clone()),
        };
        let reply = alb.send(call).await.unwrap_or_else(|status| panic!("{status} for {path}"));
        assert_eq!(
            (reply.status.as_u16(), reply.json()["path"].as_str()),
            (200, Some(&*path)),
            "{reply:?}"
        );
        asked += 1;
    }
    asked
}

async fn ask_at_once(alb: &Alb) {
    let mut asking = JoinSet::new();
    for _ in 0..CLIENTS {
        let alb = alb.clone();
        asking.spawn(async move { alb.send(Call::get(HOST, "/")).await.map(|reply| reply.status) });
    }
    for status in asking.join_all().await {
        assert_eq!(status.map(|status| status.as_u16()), Ok(200));
    }
}

/// What stays while gateways come and go.
struct Scene {
    blue: Upstream,
    green: Upstream,
}

impl Scene {
    fn open() -> Self {
        Scene { blue: Upstream::start("blue"), green: Upstream::start("green") }
    }

    async fn start(&self, arguments: &[&str]) -> Gateway {
        let all = [manifests(TO_BLUE), backends(&self.blue, &self.green)].join("---\n");
        Gateway::start_with(&all, arguments).await
    }
}
