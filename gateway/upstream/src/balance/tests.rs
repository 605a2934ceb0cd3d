//! The statistics that balancing is held to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

use portcullis_model::HashKey;

use super::*;
use crate::condition::{Offence, Term};
use crate::outcome::term_of;
use crate::random::seeded;

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

fn endpoints(many: u16) -> Vec<Arc<Endpoint>> {
    (1..=many).map(|port| Endpoint::new(SocketAddr::from(([10, 0, 0, 1], port)))).collect()
}

fn hashing(ring: RingSettings) -> Balancer {
    Balancer::Hash { key: HashKey::SourceAddress, ring }
}

fn pool(balancer: &Balancer, endpoints: &[Arc<Endpoint>], weights: &[u64]) -> Pool {
    Pool::new(balancer, endpoints.to_vec(), weights, Heed::Health)
}

fn even(balancer: &Balancer, endpoints: &[Arc<Endpoint>]) -> Pool {
    pool(balancer, endpoints, &vec![1; endpoints.len()])
}

fn term() -> Term {
    term_of(Offence::NoConnection, None)
}

const HASHING: [RingSettings; 2] = [RingSettings::Ring(1024), RingSettings::Maglev(65_537)];

#[test]
fn every_balancer_keeps_to_weights_within_one_percent() {
    let endpoints = endpoints(4);
    let weights = [1, 2, 3, 4];
    for balancer in [Balancer::LeastRequest, Balancer::RoundRobin, Balancer::Random] {
        let pool = pool(&balancer, &endpoints, &weights);
        let (mut draw, turn) = (seeded(SEED), AtomicU64::new(0));
        let mut counts = BTreeMap::new();
        for _ in 0..100_000 {
            let picked = pool.pick(&Pick::default(), &turn, &mut draw).unwrap();
            *counts.entry(picked.address().port()).or_insert(0_u64) += 1;
        }
        for (port, weight) in (1..).zip(weights) {
            let wanted = 10_000 * weight;
            assert!(counts[&port].abs_diff(wanted) <= 1_000, "{balancer:?} {counts:?}");
        }
    }
}

#[test]
fn hashing_keeps_to_weights_as_well_as_its_tables_can() {
    let endpoints = endpoints(4);
    let weights = [1, 2, 3, 4];
    // Maglev's table is shared exactly; a ring's arcs are as uneven as their number is small.
    for (ring, slack) in
        [(RingSettings::Maglev(65_537), 1_000), (RingSettings::Ring(65_536), 3_000)]
    {
        let pool = pool(&hashing(ring), &endpoints, &weights);
        let mut counts = [0_u64; 4];
        for picked in keys_of(&pool, 100_000) {
            counts[usize::from(picked) - 1] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            assert!(count.abs_diff(10_000 * weight) <= slack, "{ring:?} {counts:?}");
        }
    }
}

/// Where each of so many keys goes, by port.
fn keys_of(pool: &Pool, keys: u64) -> Vec<u16> {
    let turn = AtomicU64::new(0);
    let picked = |key: u64| {
        let pick =
            Pick { hash: Some(xxhash_rust::xxh64::xxh64(&key.to_le_bytes(), 9)), tried: &[] };
        pool.pick(&pick, &turn, |_| 0).unwrap().address().port()
    };
    (0..keys).map(picked).collect()
}

#[test]
fn when_one_of_fifty_leaves_few_other_keys_move() {
    for ring in HASHING {
        for gone in [0, 17, 49] {
            let mut left = endpoints(50);
            let before = keys_of(&even(&hashing(ring), &left), 20_000);
            let gone = left.remove(gone).address().port();
            let after = keys_of(&even(&hashing(ring), &left), 20_000);
            let others = before.iter().zip(&after).filter(|(before, _)| **before != gone);
            let (all, moved) = others.fold((0, 0), |(all, moved), (before, after)| {
                (all + 1, moved + usize::from(before != after))
            });
            assert!(moved * 100 <= all * 5, "{ring:?} {moved} of {all}");
        }
    }
}

#[test]
fn a_key_stays_with_its_endpoint_and_comes_back_to_it() {
    for ring in HASHING {
        let endpoints = endpoints(10);
        let pool = even(&hashing(ring), &endpoints);
        let before = keys_of(&pool, 500);
        assert_eq!(before, keys_of(&even(&hashing(ring), &endpoints), 500));
        assert!(endpoints[3].condition.eject(
            Offence::NoConnection,
            &term(),
            tokio::time::Instant::now()
        ));
        let during = keys_of(&pool, 500);
        for (before, during) in before.iter().zip(&during) {
            assert!(*during != 4 && (before == during || *before == 4), "{ring:?}");
        }
        endpoints[3].condition.remove();
    }
}

#[test]
fn keys_go_where_envoy_sends_them() {
    // By its rules: `xxh64("10.0.0.1:PORT_N")` around the ring, the first at or after the key's hash.
    let endpoints = endpoints(3);
    let hash = |text: String| xxhash_rust::xxh64::xxh64(text.as_bytes(), 0);
    let mut points: Vec<(u64, u16)> = (1..=3)
        .flat_map(|port| (0..342).map(move |n| (port, n)))
        .map(|(port, n)| (hash(format!("10.0.0.1:{port}_{n}")), port))
        .collect();
    points.sort_unstable();
    let pool = even(&hashing(RingSettings::Ring(1024)), &endpoints);
    for key in 0..1_000 {
        let key = hash(format!("user-{key}"));
        let expected = points.iter().find(|(point, _)| *point >= key).unwrap_or(&points[0]).1;
        let pick = Pick { hash: Some(key), tried: &[] };
        let picked = pool.pick(&pick, &AtomicU64::new(0), |_| 0).unwrap();
        assert_eq!(picked.address().port(), expected);
    }
}

#[test]
fn what_may_not_be_is_never_picked() {
    let balancers = [Balancer::LeastRequest, Balancer::RoundRobin, Balancer::Random];
    for balancer in balancers.into_iter().chain(HASHING.map(hashing)) {
        let endpoints = endpoints(4);
        let pool = even(&balancer, &endpoints);
        let (mut draw, turn) = (seeded(SEED), AtomicU64::new(0));
        endpoints[0].condition.set_unhealthy("503".to_owned());
        endpoints[1].condition.eject(Offence::NoConnection, &term(), tokio::time::Instant::now());
        let tried = [endpoints[2].id];
        for hash in 0..200 {
            let pick = Pick { hash: Some(hash << 56), tried: &tried };
            let picked = pool.pick(&pick, &turn, &mut draw).unwrap();
            assert_eq!(picked.id, endpoints[3].id, "{balancer:?}");
        }
        let tried = [endpoints[2].id, endpoints[3].id];
        assert!(pool.pick(&Pick { hash: None, tried: &tried }, &turn, &mut draw).is_none());
        let all = Pool::new(&balancer, endpoints.clone(), &[1; 4], Heed::Nothing);
        assert!(all.pick(&Pick { hash: None, tried: &tried }, &turn, &mut draw).is_some());
    }
}

/// Requests come at random to endpoints that take this long for each; how many of them each gets. Time is made up.
fn shares_by_latency(latencies: &[u64], every: u64) -> Vec<u64> {
    const REQUESTS: u64 = 30_000;
    let endpoints = endpoints(latencies.len() as u16);
    let pool = even(&Balancer::LeastRequest, &endpoints);
    let (mut draw, turn) = (seeded(SEED), AtomicU64::new(0));
    let mut ends: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    let (mut now, mut counts) = (0, vec![0; latencies.len()]);
    for request in 0..REQUESTS {
        now += draw(2 * every + 1);
        while let Some(entry) = ends.first_entry().filter(|entry| entry.key().0 <= now) {
            endpoints[entry.remove()].active.fetch_sub(1, Ordering::Relaxed);
        }
        let picked = pool.pick(&Pick::default(), &turn, &mut draw).unwrap();
        let nth = usize::from(picked.address().port()) - 1;
        picked.active.fetch_add(1, Ordering::Relaxed);
        ends.insert((now + latencies[nth], request), nth);
        counts[nth] += 1;
    }
    counts
}

#[test]
fn the_slow_one_of_three_gets_little() {
    // A request every 0.5, 1 and 3 ms, where two endpoints take 10 ms and one 100 ms.
    for every in [500, 1_000, 3_000] {
        let counts = shares_by_latency(&[10_000, 10_000, 100_000], every);
        let all: u64 = counts.iter().sum();
        assert!(counts[2] * 100 <= all * 15, "{every} {counts:?}");
        assert!(counts[0].abs_diff(counts[1]) * 100 <= all * 5, "{every} {counts:?}");
    }
}
