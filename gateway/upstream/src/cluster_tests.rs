//! Endpoints of a cluster: carried over, replaced beneath it, picked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_model as model;
use portcullis_model::EndpointAddress;

use crate::member::{ResolvedEndpoint, ResolvedPlace};
use crate::pick::Pick;
use crate::random::seeded;
use crate::{Cluster, SetEndpoints};

/// A cluster with endpoints of these ports and weights.
fn cluster_of(ports: &[(u16, u32)], previous: Option<&Arc<Cluster>>) -> Arc<Cluster> {
    let endpoints: Vec<_> = ports
        .iter()
        .map(|(port, weight)| (SocketAddr::from(([127, 0, 0, 1], *port)), *weight))
        .collect();
    Cluster::new(&Arc::new(model::Cluster::for_test(&endpoints)), previous)
}

#[test]
fn endpoints_are_carried_over_by_address() {
    let old = cluster_of(&[(1, 1), (2, 1)], None);
    let new = cluster_of(&[(3, 1), (2, 9), (2, 1)], Some(&old));
    assert!(Arc::ptr_eq(&old.endpoints()[1], &new.endpoints()[1]));
    assert!(Arc::ptr_eq(&new.endpoints()[1], &new.endpoints()[2]));
    assert!(new.endpoints()[0].id > old.endpoints()[1].id);
    assert_eq!(&*new.label, "outbound|80||shop.example");
    let left = |cluster: &Cluster| {
        cluster.endpoints().iter().map(|each| each.is_removed()).collect::<Vec<_>>()
    };
    // Until the new one is published, the old one serves.
    assert_eq!((left(&old), left(&new)), (vec![false; 2], vec![false; 3]));
    new.take_over(&old);
    assert_eq!((left(&old), left(&new)), (vec![true, false], vec![false; 3]));
    // Whoever began under the old one rather goes where it is known that somebody serves.
    assert_eq!(old.pick_endpoint(&[]).unwrap().address().port(), 2);
}

#[test]
fn whoever_began_before_all_endpoints_were_replaced_still_reaches_them() {
    let old = cluster_of(&[(1, 1), (2, 1), (3, 0)], None);
    let new = cluster_of(&[(4, 1)], Some(&old));
    new.take_over(&old);
    let first = old.pick_endpoint(&[]).unwrap();
    let second = old.pick_endpoint(&[first.id]).unwrap();
    assert_ne!(first.id, second.id);
    assert!(old.pick_endpoint(&[first.id, second.id]).is_none());
    assert_eq!(new.pick_endpoint(&[]).unwrap().address().port(), 4);
}

#[test]
fn there_is_always_somebody_to_pick_while_endpoints_are_replaced() {
    let (settings, leads_to) = named();
    let cluster = Cluster::new(&settings, None);
    cluster.set_endpoints(vec![leads_to(ResolvedPlace::At(at(1)))]);
    let done = std::sync::atomic::AtomicBool::new(false);
    let missed = std::thread::scope(|scope| {
        let picking = scope.spawn(|| {
            let mut missed = 0_u64;
            while !done.load(Ordering::Relaxed) {
                missed += u64::from(cluster.pick_endpoint(&[]).is_none());
            }
            missed
        });
        for port in (1..=2_000).map(|nth| 2 + nth % 2) {
            cluster.set_endpoints(vec![leads_to(ResolvedPlace::At(at(port)))]);
        }
        done.store(true, Ordering::Relaxed);
        picking.join().unwrap()
    });
    assert_eq!(missed, 0);
}

fn resolved(written: EndpointAddress, place: ResolvedPlace) -> ResolvedEndpoint {
    let any = SocketAddr::from(([127, 0, 0, 1], 1));
    let written = model::Endpoint { address: written, ..model::Endpoint::at(any) };
    ResolvedEndpoint { written, place }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A cluster of one name, and an endpoint that the name leads to.
fn named() -> (Arc<model::Cluster>, impl Fn(ResolvedPlace) -> ResolvedEndpoint) {
    let name = EndpointAddress::Name("shop.test".into(), 80);
    let mut settings = model::Cluster::for_test(&[(at(1), 1)]);
    settings.endpoints[0].address = name.clone();
    (Arc::new(settings), move |place| resolved(name.clone(), place))
}

#[test]
fn endpoints_change_without_a_new_generation() {
    let (settings, leads_to) = named();
    let cluster = Cluster::new(&settings, None);
    assert!(cluster.pick_endpoint(&[]).is_none());
    let first = vec![leads_to(ResolvedPlace::At(at(1))), leads_to(ResolvedPlace::At(at(2)))];
    assert_eq!(cluster.set_endpoints(first.clone()), SetEndpoints::Replaced);
    assert_eq!(cluster.set_endpoints(first), SetEndpoints::Unchanged);
    let old = cluster.endpoints();
    let second = vec![leads_to(ResolvedPlace::At(at(2))), leads_to(ResolvedPlace::At(at(3)))];
    assert_eq!(cluster.set_endpoints(second), SetEndpoints::Replaced);
    assert!(Arc::ptr_eq(&old[1], &cluster.endpoints()[0]));
    assert_eq!((old[0].is_removed(), old[1].is_removed()), (true, false));
    cluster.retire();
    assert!(cluster.endpoints().iter().all(|endpoint| endpoint.is_removed()));
}

#[test]
fn a_newer_generation_keeps_what_names_led_to_and_alone_takes_endpoints() {
    let (settings, leads_to) = named();
    let old = Cluster::new(&settings, None);
    old.set_endpoints(vec![leads_to(ResolvedPlace::At(at(1)))]);
    let new = Cluster::new(&settings, Some(&old));
    assert!(Arc::ptr_eq(&old.endpoints()[0], &new.endpoints()[0]));
    assert_eq!(old.set_endpoints(Vec::new()), SetEndpoints::Superseded);
    old.retire();
    assert!(!new.endpoints()[0].is_removed());
}

#[test]
fn a_name_that_is_one_endpoint_stays_it_wherever_it_leads() {
    let (settings, leads_to) = named();
    let cluster = Cluster::new(&settings, None);
    cluster.set_endpoints(vec![leads_to(ResolvedPlace::OneOf(vec![at(1), at(2)]))]);
    let endpoint = cluster.endpoints().remove(0);
    cluster.set_endpoints(vec![leads_to(ResolvedPlace::OneOf(vec![at(2)]))]);
    assert!(Arc::ptr_eq(&endpoint, &cluster.endpoints()[0]));
    assert_eq!((endpoint.address(), endpoint.is_removed()), (at(2), false));
    cluster.set_endpoints(vec![leads_to(ResolvedPlace::OneOf(Vec::new()))]);
    assert!(cluster.endpoints().is_empty() && endpoint.is_removed());
}

#[test]
fn idle_endpoints_share_by_weight() {
    let cluster = cluster_of(&[(1, 1), (2, 3), (3, 0), (4, 6)], None);
    let mut draw = seeded(0x9E37_79B9_7F4A_7C15);
    let mut counts = [0_u32; 4];
    for _ in 0..10_000 {
        let set = cluster.set();
        let turn = AtomicU64::new(0);
        let picked = set.pick(&Pick::default(), &turn, &mut draw).unwrap();
        counts[usize::from(picked.address().port()) - 1] += 1;
    }
    assert!((900..1_100).contains(&counts[0]), "{counts:?}");
    assert!((2_800..3_200).contains(&counts[1]), "{counts:?}");
    assert_eq!(counts[2], 0);
    assert!((5_800..6_200).contains(&counts[3]), "{counts:?}");
}

#[test]
fn of_two_the_less_busy_is_taken() {
    let cluster = cluster_of(&[(1, 1), (2, 1)], None);
    cluster.endpoints()[0].active.store(3, Ordering::Relaxed);
    for _ in 0..100 {
        assert_eq!(cluster.pick_endpoint(&[]).unwrap().address().port(), 2);
    }
}

#[test]
fn tried_endpoints_are_skipped() {
    let cluster = cluster_of(&[(1, 5), (2, 1), (3, 0)], None);
    let tried = [cluster.endpoints()[0].id];
    for _ in 0..100 {
        assert_eq!(cluster.pick_endpoint(&tried).unwrap().address().port(), 2);
    }
    let all: Vec<_> = cluster.endpoints().iter().map(|endpoint| endpoint.id).collect();
    assert!(cluster.pick_endpoint(&all).is_none());
    assert!(cluster_of(&[], None).pick_endpoint(&[]).is_none());
}
