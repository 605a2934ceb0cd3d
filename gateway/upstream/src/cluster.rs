//! Clusters: the settings and endpoints of one port and subset of a service, compiled.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_model as model;
use rustc_hash::FxHashMap;

use crate::balance::Weights;
use crate::endpoint::{Endpoint, EndpointId};
use crate::random::draw_below;

/// A cluster that requests can be sent to. Shared by all workers.
pub struct Cluster {
    settings: Arc<model::Cluster>,
    /// Its name in Envoy's form, `outbound|80||shop.example`.
    pub label: Arc<str>,
    endpoints: Vec<Arc<Endpoint>>,
    weights: Weights,
}

impl Cluster {
    /// Compiles a cluster. Endpoints whose address the previous one had are carried over with their
    /// counts, so that pools and balancing go on as if nothing had changed.
    pub fn new(settings: &Arc<model::Cluster>, previous: Option<&Arc<Cluster>>) -> Arc<Self> {
        let label: Arc<str> = settings.name.to_string().into();
        Arc::new(Cluster {
            settings: settings.clone(),
            label,
            endpoints: carry_over(settings, previous),
            weights: Weights::new(addressed(settings).map(|(_, weight)| weight)),
        })
    }

    /// What it was compiled from.
    pub fn settings(&self) -> &Arc<model::Cluster> {
        &self.settings
    }

    /// Its endpoints, in the order written.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The endpoint for the next request: of two drawn by weight, the one with fewer active requests
    /// for its weight. `None` where all were tried or none takes load.
    pub fn pick_endpoint(&self, tried: &[EndpointId]) -> Option<Arc<Endpoint>> {
        self.pick_with(tried, draw_below)
    }

    fn pick_with(
        &self,
        tried: &[EndpointId],
        draw: impl FnMut(u64) -> u64,
    ) -> Option<Arc<Endpoint>> {
        let active = |nth: usize| self.endpoints.get(nth).map_or(0, |endpoint| endpoint.active());
        let nth = if tried.is_empty() {
            self.weights.pick(active, draw)
        } else {
            let untried = |nth: usize| {
                self.endpoints.get(nth).is_some_and(|endpoint| !tried.contains(&endpoint.id))
            };
            self.weights.pick_among(untried, active, draw)
        };
        self.endpoints.get(nth?).cloned()
    }
}

fn carry_over(settings: &model::Cluster, previous: Option<&Arc<Cluster>>) -> Vec<Arc<Endpoint>> {
    let mut known: FxHashMap<SocketAddr, Arc<Endpoint>> = previous
        .iter()
        .flat_map(|cluster| &cluster.endpoints)
        .map(|endpoint| (endpoint.address, endpoint.clone()))
        .collect();
    // An address written twice is one endpoint with the sum of the weights.
    let carried = addressed(settings)
        .map(|(address, _)| known.entry(address).or_insert_with(|| Endpoint::new(address)).clone());
    carried.collect()
}

/// The endpoints whose address is known, with their weights.
fn addressed(settings: &model::Cluster) -> impl Iterator<Item = (SocketAddr, u32)> {
    let endpoints = settings.endpoints.iter();
    endpoints.filter_map(|endpoint| Some((endpoint.address.socket()?, endpoint.weight)))
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({}, {} endpoints)", self.label, self.endpoints.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::random::seeded;

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
    }

    #[test]
    fn idle_endpoints_share_by_weight() {
        let cluster = cluster_of(&[(1, 1), (2, 3), (3, 0), (4, 6)], None);
        let mut draw = seeded(0x9E37_79B9_7F4A_7C15);
        let mut counts = [0_u32; 4];
        for _ in 0..10_000 {
            let picked = cluster.pick_with(&[], &mut draw).unwrap();
            counts[usize::from(picked.address.port()) - 1] += 1;
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
            assert_eq!(cluster.pick_endpoint(&[]).unwrap().address.port(), 2);
        }
    }

    #[test]
    fn tried_endpoints_are_skipped() {
        let cluster = cluster_of(&[(1, 5), (2, 1), (3, 0)], None);
        let tried = [cluster.endpoints()[0].id];
        for _ in 0..100 {
            assert_eq!(cluster.pick_endpoint(&tried).unwrap().address.port(), 2);
        }
        let all: Vec<_> = cluster.endpoints().iter().map(|endpoint| endpoint.id).collect();
        assert!(cluster.pick_endpoint(&all).is_none());
        assert!(cluster_of(&[], None).pick_endpoint(&[]).is_none());
    }
}
