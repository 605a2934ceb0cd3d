//! Who takes part in a cluster's load: levels, shares, panic, ejection and its limits, changes of the set.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use portcullis_model as model;
use portcullis_model::{
    Distribute, Locality, LocalityBalancing, OutlierDetection, Readiness, Warmup,
};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::cluster::{Cluster, ClusterHome};
use crate::condition::Offence;
use crate::endpoint::Endpoint;
use crate::locality::Surroundings;
use crate::member::{ResolvedEndpoint, ResolvedPlace};
use crate::outcome::Outcome;
use crate::report::Role;
use crate::upkeep::{Kept, Upkeep};

const ERROR: Outcome = Outcome::Answered(StatusCode::INTERNAL_SERVER_ERROR);

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn place(text: &str) -> Arc<Locality> {
    let mut parts = text.split('/').map(Into::into);
    let mut next = || parts.next().unwrap_or_default();
    Arc::new(Locality { region: next(), zone: next(), sub_zone: next() })
}

/// A cluster whose endpoints, at the ports 1, 2 …, run in these localities.
fn cluster_in(localities: &[&str], change: impl FnOnce(&mut model::Cluster)) -> Arc<Cluster> {
    let ports = 1..=localities.len() as u16;
    let addresses: Vec<_> = ports.map(|port| (at(port), 1)).collect();
    let mut settings = model::Cluster::for_test(&addresses);
    for (endpoint, locality) in settings.endpoints.iter_mut().zip(localities) {
        endpoint.locality = Some(place(locality));
    }
    change(&mut settings);
    let locality = Some((*place("eu/a/1")).clone());
    let here = Arc::new(Surroundings { locality, labels: Vec::new() });
    Cluster::compile(&Arc::new(settings), None, &ClusterHome { here, upkeep: None })
}

fn cluster_of(many: usize, change: impl FnOnce(&mut model::Cluster)) -> Arc<Cluster> {
    cluster_in(&vec!["eu/a/1"; many], change)
}

/// How many of so many requests each port gets.
fn counts(cluster: &Cluster, requests: u32) -> BTreeMap<u16, u32> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        if let Some(picked) = cluster.pick_endpoint(&[]) {
            *counts.entry(picked.address().port()).or_default() += 1;
        }
    }
    counts
}

fn ports(cluster: &Cluster) -> Vec<u16> {
    counts(cluster, 300).into_keys().collect()
}

fn detecting(settings: &mut model::Cluster) {
    settings.outliers = Some(OutlierDetection {
        consecutive_5xx: 1,
        max_ejection_percent: 100,
        ..OutlierDetection::default()
    });
}

fn endpoint(cluster: &Cluster, port: u16) -> Arc<Endpoint> {
    cluster.endpoints().into_iter().find(|each| each.address().port() == port).unwrap()
}

fn roles(cluster: &Cluster) -> Vec<&'static str> {
    cluster.report().iter().map(|report| report.role.word()).collect()
}

#[test]
fn nearer_endpoints_come_first_and_farther_ones_when_those_fail() {
    let cluster = cluster_in(&["eu/a/1", "eu/a/1", "eu/b/1", "us/a/1"], detecting);
    assert_eq!(ports(&cluster), [1, 2]);
    assert_eq!(roles(&cluster), ["healthy", "healthy", "standby", "standby"]);
    cluster.record(&endpoint(&cluster, 1), ERROR);
    // 70 % of the load stay, as Envoy has it.
    let counts = counts(&cluster, 10_000);
    assert!(counts[&2].abs_diff(7_000) < 300 && counts[&3].abs_diff(3_000) < 300, "{counts:?}");
    cluster.record(&endpoint(&cluster, 2), ERROR);
    assert_eq!(ports(&cluster), [3]);
    cluster.set_unhealthy(&endpoint(&cluster, 3), "HTTP 503");
    assert_eq!(ports(&cluster), [4]);
    assert_eq!(roles(&cluster), ["ejected", "ejected", "unhealthy", "healthy"]);
}

#[test]
fn until_the_rotation_is_made_anew_those_who_stand_by_serve() {
    // Upkeep is asked for, and has not begun.
    let (_upkeep, ask) = Upkeep::new();
    for panic_below in [0, 50] {
        let mut settings = (**cluster_in(&["eu/a/1", "us/a/1"], detecting).settings()).clone();
        settings.outliers.as_mut().unwrap().min_health_percent = panic_below;
        let locality = Some((*place("eu/a/1")).clone());
        let here = Arc::new(Surroundings { locality, labels: Vec::new() });
        let home = ClusterHome { here, upkeep: Some(ask.clone()) };
        let cluster = Cluster::compile(&Arc::new(settings), None, &home);
        let (near, far) = (endpoint(&cluster, 1), endpoint(&cluster, 2));
        // Whoever has tried the near one is not sent far away for that.
        assert!(cluster.pick_endpoint(&[near.id]).is_none());
        cluster.record(&near, ERROR);
        assert_eq!(ports(&cluster), [2]);
        cluster.record(&far, ERROR);
        assert_eq!(ports(&cluster), if panic_below > 0 { vec![1] } else { vec![] });
    }
}

#[test]
fn who_stands_by_is_picked_where_another_locality_is_asked_for() {
    let cluster = cluster_in(&["eu/a/1", "eu/a/1", "eu/b/1", "us/a/1"], detecting);
    let elsewhere = |tried: &[u16]| {
        let tried: Vec<_> = tried.iter().map(|port| endpoint(&cluster, *port).id).collect();
        let pick = crate::pick::Pick { hash: None, tried: &tried };
        cluster.pick_elsewhere(&pick).map(|endpoint| endpoint.address().port())
    };
    assert_eq!(elsewhere(&[1]), Some(3));
    assert_eq!(elsewhere(&[1, 3]), Some(4));
    assert!(matches!(elsewhere(&[3, 4]), Some(1 | 2)));
    assert_eq!(elsewhere(&[1, 3, 4]), None);
    cluster.set_unhealthy(&endpoint(&cluster, 3), "HTTP 503");
    assert_eq!(elsewhere(&[1]), Some(4));
}

#[test]
fn localities_mean_nothing_where_nothing_detects_failure() {
    let cluster = cluster_in(&["eu/a/1", "us/a/1"], |_| ());
    assert_eq!(ports(&cluster), [1, 2]);
}

#[test]
fn written_shares_are_kept_and_what_fails_gives_up_its_own() {
    let cluster = cluster_in(&["eu/a/1", "eu/b/1", "eu/b/1", "us/a/1"], |settings| {
        let to = vec![("eu/a/*".into(), 80), ("eu/b/*".into(), 20)];
        let distribute = Arc::new([Distribute { from: "eu/a/*".into(), to }]);
        settings.balancing.locality = Some(LocalityBalancing::Distribute(distribute));
    });
    let found = counts(&cluster, 10_000);
    assert!(found[&1].abs_diff(8_000) < 300 && found[&2].abs_diff(1_000) < 200, "{found:?}");
    assert_eq!((found.get(&4), roles(&cluster)[3]), (None, "standby"));
    cluster.set_unhealthy(&endpoint(&cluster, 1), "HTTP 503");
    assert_eq!(ports(&cluster), [2, 3]);
}

#[test]
fn the_draining_serve_only_where_no_other_does() {
    let cluster = cluster_of(3, |settings| {
        settings.endpoints[0].readiness = Readiness::Draining;
        settings.endpoints[1].readiness = Readiness::NotReady;
    });
    assert_eq!(ports(&cluster), [3]);
    assert_eq!(roles(&cluster), ["draining", "not ready", "healthy"]);
    cluster.set_unhealthy(&endpoint(&cluster, 3), "HTTP 503");
    assert_eq!(ports(&cluster), [1]);
}

#[test]
fn too_little_health_is_ignored_where_that_is_asked_for() {
    let panics = |min_health_percent| {
        let cluster = cluster_of(4, |settings| {
            detecting(settings);
            settings.outliers.as_mut().unwrap().min_health_percent = min_health_percent;
        });
        for port in 1..=3 {
            cluster.record(&endpoint(&cluster, port), ERROR);
        }
        let some = ports(&cluster);
        cluster.record(&endpoint(&cluster, 4), ERROR);
        (some, ports(&cluster))
    };
    assert_eq!(panics(50), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
    assert_eq!(panics(25), (vec![4], vec![1, 2, 3, 4]));
    assert_eq!(panics(0), (vec![4], vec![]));
}

#[test]
fn no_more_are_ejected_than_may_be_and_each_comes_back() {
    let cluster = cluster_of(10, |settings| {
        settings.outliers = Some(OutlierDetection {
            consecutive_5xx: 2,
            max_ejection_percent: 25,
            ..Default::default()
        });
    });
    let endpoints = cluster.endpoints();
    for endpoint in &endpoints {
        cluster.record(endpoint, ERROR);
        cluster.record(endpoint, ERROR);
    }
    assert_eq!((cluster.ejected(), ports(&cluster)), (2, (3..=10).collect()));
    assert_eq!(cluster.ejections(Offence::ServerErrors), 2);
    let report = cluster.report();
    let Role::Ejected { offence, remaining } = &report[0].role else { panic!("{report:?}") };
    assert_eq!((*offence, remaining.as_secs().div_ceil(10)), (Offence::ServerErrors, 3));
    let line = cluster.line().clone();
    let next = line.keep_up(Instant::now()).unwrap();
    assert!(line.keep_up(next).is_none());
    assert_eq!((cluster.ejected(), ports(&cluster).len()), (0, 10));
}

#[test]
fn an_endpoint_that_takes_no_connection_is_out_at_once_and_half_of_them_stay() {
    let cluster = cluster_of(3, |_| ());
    for endpoint in cluster.endpoints() {
        cluster.record(&endpoint, Outcome::NoConnection);
    }
    assert_eq!((cluster.ejected(), ports(&cluster)), (2, vec![3]));
    let only = cluster_of(1, |_| ());
    only.record(&endpoint(&only, 1), Outcome::NoConnection);
    assert_eq!((only.ejected(), ports(&only)), (0, vec![1]));
}

#[test]
fn what_takes_no_connection_is_asked_again_where_the_others_leave() {
    let old = cluster_of(2, |_| ());
    let refusing = endpoint(&old, 1);
    old.record(&refusing, Outcome::NoConnection);
    assert_eq!((ports(&old), old.ejected()), (vec![2], 1));
    let alone = model::Cluster::for_test(&[(at(1), 1)]);
    let new = Cluster::new(&Arc::new(alone), Some(&old));
    new.take_over(&old);
    assert_eq!((ports(&new), new.ejected()), (vec![1], 0));
}

#[test]
fn what_leaves_while_it_is_ejected_makes_room_for_another() {
    let cluster = cluster_of(3, detecting);
    let gone = endpoint(&cluster, 1);
    cluster.record(&gone, ERROR);
    let kept =
        cluster.set().members().iter().skip(1).map(|member| member.resolved.clone()).collect();
    cluster.set_endpoints(kept);
    assert_eq!((cluster.ejected(), ports(&cluster)), (0, vec![2, 3]));
    // Late news of it changes nothing.
    cluster.record(&gone, ERROR);
    assert_eq!(cluster.ejected(), 0);
}

#[tokio::test(start_paused = true)]
async fn upkeep_brings_endpoints_back_and_sleeps_otherwise() {
    let (upkeep, ask) = Upkeep::new();
    let running = tokio::spawn(upkeep.run());
    let home = ClusterHome { upkeep: Some(ask), ..ClusterHome::default() };
    let addresses: Vec<_> = (1..=3).map(|port| (at(port), 1)).collect();
    let settings = Arc::new(model::Cluster::for_test(&addresses));
    let cluster = Cluster::compile(&settings, None, &home);
    drop(home);
    cluster.record(&endpoint(&cluster, 1), Outcome::NoConnection);
    // It is avoided at once, before anybody keeps up.
    assert_eq!(ports(&cluster), [2, 3]);
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!((cluster.ejected(), ports(&cluster)), (1, vec![2, 3]));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((cluster.ejected(), ports(&cluster)), (0, vec![1, 2, 3]));
    // The second time it takes twice as long.
    cluster.record(&endpoint(&cluster, 1), Outcome::NoConnection);
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    assert_eq!(cluster.ejected(), 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(cluster.ejected(), 0);
    drop(cluster);
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_new_gets_its_share_by_and_by() {
    let (upkeep, ask) = Upkeep::new();
    tokio::spawn(upkeep.run());
    let home = ClusterHome { upkeep: Some(ask), ..ClusterHome::default() };
    let mut settings = model::Cluster::for_test(&[(at(1), 1)]);
    let duration = Duration::from_secs(10);
    settings.balancing.warmup = Some(Warmup { duration, minimum_percent: 10.0, aggression: 1.0 });
    let cluster = Cluster::compile(&Arc::new(settings), None, &home);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let place = |port| ResolvedEndpoint {
        written: model::Endpoint::at(at(port)),
        place: ResolvedPlace::At(at(port)),
    };
    cluster.set_endpoints(vec![place(1), place(2)]);
    let share = || f64::from(counts(&cluster, 20_000)[&2]) / 20_000.0;
    assert_eq!(roles(&cluster), ["healthy", "warming"]);
    let first = share();
    assert!((0.07..0.12).contains(&first), "{first}");
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    let half = share();
    assert!((0.28..0.38).contains(&half), "{half}");
    tokio::time::sleep(Duration::from_millis(6_000)).await;
    let whole = share();
    assert!((0.47..0.53).contains(&whole), "{whole}");
    assert_eq!(roles(&cluster), ["healthy", "healthy"]);
}

#[derive(Clone, Debug)]
enum Change {
    Set(Vec<u16>),
    Eject(u16),
    Unhealthy(u16),
    Healthy(u16),
    Renew,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        prop::collection::vec(1_u16..12, 0..8).prop_map(Change::Set),
        (1_u16..12).prop_map(Change::Eject),
        (1_u16..12).prop_map(Change::Unhealthy),
        (1_u16..12).prop_map(Change::Healthy),
        Just(Change::Renew),
    ]
}

fn balancers() -> impl Strategy<Value = model::Balancer> {
    let hash = |ring| model::Balancer::Hash { key: model::HashKey::SourceAddress, ring };
    prop_oneof![
        Just(model::Balancer::LeastRequest),
        Just(model::Balancer::RoundRobin),
        Just(model::Balancer::Random),
        Just(hash(model::Ring::Ring(64))),
        Just(hash(model::Ring::Maglev(101))),
    ]
}

fn apply(cluster: &Arc<Cluster>, change: &Change) {
    let find = |port| cluster.endpoints().into_iter().find(|each| each.address().port() == port);
    match change {
        Change::Set(ports) => {
            let place = |port: &u16| ResolvedEndpoint {
                written: model::Endpoint::at(at(*port)),
                place: ResolvedPlace::At(at(*port)),
            };
            cluster.set_endpoints(ports.iter().map(place).collect());
        }
        Change::Eject(port) => {
            if let Some(endpoint) = find(*port) {
                cluster.record(&endpoint, ERROR);
            }
        }
        Change::Unhealthy(port) => {
            if let Some(endpoint) = find(*port) {
                cluster.set_unhealthy(&endpoint, "503");
            }
        }
        Change::Healthy(port) => {
            if let Some(endpoint) = find(*port) {
                cluster.set_healthy(&endpoint);
            }
        }
        Change::Renew => {
            cluster.line().keep_up(Instant::now());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens to a set: what is picked is in it and well, somebody is picked where somebody is well, and
    /// the count of the ejected is right.
    #[test]
    fn changes_leave_the_set_in_order(
        balancer in balancers(),
        changes in prop::collection::vec(change(), 1..30),
        hashes in prop::collection::vec(any::<u64>(), 5),
    ) {
        let cluster = cluster_of(5, |settings| {
            detecting(settings);
            settings.balancing.balancer = balancer;
        });
        for change in &changes {
            apply(&cluster, change);
            let endpoints = cluster.endpoints();
            let well = endpoints.iter().filter(|each| each.condition.takes_load()).count();
            for hash in &hashes {
                let picked = cluster.pick(&crate::pick::Pick { hash: Some(*hash), tried: &[] });
                prop_assert_eq!(picked.is_some(), well > 0);
                if let Some(picked) = picked {
                    prop_assert!(picked.condition.takes_load());
                    prop_assert!(endpoints.iter().any(|each| Arc::ptr_eq(each, &picked)));
                }
            }
            let mut ejected: Vec<_> =
                endpoints.iter().filter(|each| each.condition.is_ejected()).map(|each| each.id).collect();
            ejected.sort();
            ejected.dedup();
            prop_assert_eq!(cluster.ejected(), ejected.len());
        }
    }
}
