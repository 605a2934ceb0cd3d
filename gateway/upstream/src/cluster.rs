//! Clusters: the settings and endpoints of one port and subset of a service, compiled.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use portcullis_model as model;

use crate::endpoint::{Endpoint, EndpointId};
use crate::endpoint_set::{EndpointSet, ResolvedEndpoint, known_at_first};
use crate::random::draw_below;
use crate::repeats::{Cost, RepeatUnderWay, Repeats};

/// A cluster that requests can be sent to. Shared by all workers.
///
/// Its settings are those of one generation of the configuration; its endpoints change beneath it, when names
/// lead elsewhere, without a new generation.
pub struct Cluster {
    settings: Arc<model::Cluster>,
    /// Its name in Envoy's form, `outbound|80||shop.example`.
    pub label: Arc<str>,
    set: ArcSwap<EndpointSet>,
    /// Shared by all generations.
    repeats: Arc<Repeats>,
    line: Arc<Line>,
}

/// What all generations of a cluster share.
struct Line {
    /// The newest of them. Held while endpoints are replaced, by the control side alone.
    newest: Mutex<Weak<Cluster>>,
}

/// What became of endpoints that were handed to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetEndpoints {
    /// They serve.
    Replaced,
    /// They are those that it has.
    Unchanged,
    /// A newer generation has taken the cluster's place, which has to be handed its own.
    Superseded,
}

impl Cluster {
    /// Compiles a cluster. Endpoints that the previous one had are carried over with their counts, so that
    /// pools and balancing go on as if nothing had changed; so is what names were last known to lead to. From
    /// here on the previous one takes no further endpoints, and those that only it has are told that they left.
    pub fn new(settings: &Arc<model::Cluster>, previous: Option<&Arc<Cluster>>) -> Arc<Self> {
        let line = previous.map_or_else(|| Arc::new(Line::default()), |old| old.line.clone());
        let mut newest = line.newest.lock();
        let earlier = previous.map(|previous| previous.set.load());
        let earlier = earlier.as_deref().map(Arc::as_ref);
        let set = EndpointSet::build(known_at_first(settings, earlier), earlier);
        if let Some(earlier) = earlier {
            earlier.retire(Some(&set));
        }
        let cluster = Arc::new(Cluster {
            settings: settings.clone(),
            label: settings.name.to_string().into(),
            set: ArcSwap::from_pointee(set),
            repeats: previous.map(|old| old.repeats.clone()).unwrap_or_default(),
            line: line.clone(),
        });
        *newest = Arc::downgrade(&cluster);
        cluster
    }

    /// What it was compiled from.
    pub fn settings(&self) -> &Arc<model::Cluster> {
        &self.settings
    }

    /// A request goes to it for the first time.
    pub fn note_request(&self, now: Instant) {
        self.repeats.note_request(now);
    }

    /// Takes room for a repeat; see [`Repeats::take`].
    pub fn take_repeat(&self, cost: Cost, now: Instant) -> Option<RepeatUnderWay> {
        let active = || self.set().members().iter().map(|each| each.endpoint.active()).sum();
        self.repeats.take(cost, now, &self.settings, active)
    }

    /// Its endpoints as they are now. To be held for a moment only.
    pub fn set(&self) -> Guard<Arc<EndpointSet>> {
        self.set.load()
    }

    /// Its endpoints as they are now, in the order written.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.set().members().iter().map(|member| member.endpoint.clone()).collect()
    }

    /// Replaces its endpoints, for those of its settings whose names were looked up and those that are
    /// addresses alike. What was there before is carried over; what is not among them is told that it left.
    /// Not to be called on a worker.
    pub fn set_endpoints(&self, endpoints: Vec<ResolvedEndpoint>) -> SetEndpoints {
        let newest = self.line.newest.lock();
        if !std::ptr::eq(newest.as_ptr(), self) {
            return SetEndpoints::Superseded;
        }
        let earlier = self.set.load();
        if earlier.members().iter().map(|member| &member.resolved).eq(&endpoints) {
            return SetEndpoints::Unchanged;
        }
        let set = EndpointSet::build(endpoints, Some(&earlier));
        earlier.retire(Some(&set));
        self.set.store(Arc::new(set));
        SetEndpoints::Replaced
    }

    /// The cluster is no longer part of the configuration: its endpoints are told that they left.
    pub fn retire(&self) {
        let mut newest = self.line.newest.lock();
        if std::ptr::eq(newest.as_ptr(), self) {
            *newest = Weak::new();
            self.set.load().retire(None);
        }
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
        self.set().pick_with(tried, draw).cloned()
    }
}

impl Default for Line {
    fn default() -> Self {
        Line { newest: Mutex::new(Weak::new()) }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({}, {} endpoints)", self.label, self.set().members().len())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::Ordering;

    use portcullis_model::EndpointAddress;

    use super::*;
    use crate::endpoint_set::ResolvedPlace;
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
        let left = |cluster: &Cluster| {
            cluster.endpoints().iter().map(|each| each.is_removed()).collect::<Vec<_>>()
        };
        assert_eq!((left(&old), left(&new)), (vec![true, false], vec![false; 3]));
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
            let picked = cluster.pick_with(&[], &mut draw).unwrap();
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
}
