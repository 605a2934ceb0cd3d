//! The pace of neighbours beside hostile plugins, from the first breach on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_testkit::{Call, Client};
use tokio::task::JoinSet;

use super::guests::Hostile;
use super::{NEIGHBOUR, Scene, all, host_of};

const CALM: Duration = Duration::from_secs(20);
const UNDER_ATTACK: Duration = Duration::from_secs(60);
const NEIGHBOURS: usize = 10;
const PAUSE: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: a minute and a half"]
async fn soak_neighbours_keep_their_pace_beside_hostile_plugins() {
    let guests = all();
    let scene = Arc::new(Scene::open(&guests).await);
    let calm = slowest_of_a_hundred(&scene, CALM).await;
    let stop = Arc::<AtomicBool>::default();
    let attack = tokio::spawn(attack(scene.clone(), guests, stop.clone()));
    let attacked = slowest_of_a_hundred(&scene, UNDER_ATTACK).await;
    stop.store(true, Ordering::Relaxed);
    let attacks = attack.await.unwrap();
    eprintln!("p99 {calm:?} calm, {attacked:?} beside {attacks} attacks");
    assert!(attacks > 100, "{attacks} attacks");
    let most = (calm * 2).max(calm + Duration::from_millis(60));
    assert!(attacked <= most, "p99 {attacked:?} where {calm:?} is calm");
}

/// One guest after the other, as long as it lasts.
async fn attack(scene: Arc<Scene>, guests: Vec<Hostile>, stop: Arc<AtomicBool>) -> usize {
    let mut attacks = 0;
    while !stop.load(Ordering::Relaxed) {
        for guest in &guests {
            let mut client = scene.client().await;
            let call = Call::get(&host_of(guest.name), "/");
            let _whatever = tokio::time::timeout(PAUSE * 20, client.try_call(call)).await;
            attacks += 1;
        }
    }
    attacks
}

/// The time below which 99 of 100 requests of the neighbours are answered; each is 200.
async fn slowest_of_a_hundred(scene: &Scene, length: Duration) -> Duration {
    let mut asking = JoinSet::new();
    for _ in 0..NEIGHBOURS {
        asking.spawn(times(scene.client().await, Instant::now() + length));
    }
    let mut times: Vec<Duration> = asking.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

async fn times(mut client: Client, end: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let begin = Instant::now();
        assert_eq!(client.get(NEIGHBOUR, "/").await.status, 200);
        times.push(begin.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    times
}
