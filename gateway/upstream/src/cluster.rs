//! Clusters: the settings and endpoints of one port and subset of a service, compiled.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use portcullis_model as model;

use crate::breakers::{Breaker, Entered, Overflow};
use crate::condition::Ended;
use crate::endpoint::{Endpoint, EndpointId};
use crate::endpoint_set::EndpointSet;
use crate::locality::Surroundings;
use crate::member::{Member, ResolvedEndpoint, known_at_first, members};
use crate::pick::Pick;
use crate::random::draw_below;
use crate::repeats::{Cost, RepeatUnderWay, Repeats};
use crate::standing::Standing;
use crate::transport::Transport;
use crate::upkeep::{AskForUpkeep, Kept};

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
    here: Arc<Surroundings>,
    upkeep: Option<AskForUpkeep>,
    transport: Arc<Transport>,
}

/// What all generations of a cluster share.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The newest of them. Held while endpoints are replaced, by the control side alone.
    newest: Mutex<Weak<Cluster>>,
    pub(crate) standing: Standing,
}

/// What a cluster is compiled with, beyond its settings.
#[derive(Clone, Debug, Default)]
pub struct ClusterHome {
    /// Where this gateway runs.
    pub here: Arc<Surroundings>,
    /// Who keeps rotations up; without anybody it happens at once, wherever something changes.
    pub upkeep: Option<AskForUpkeep>,
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
    /// here on the previous one takes no further endpoints. It serves on with those that it has until this one
    /// [takes over](Self::take_over).
    pub fn compile(
        settings: &Arc<model::Cluster>,
        previous: Option<&Arc<Cluster>>,
        home: &ClusterHome,
    ) -> Arc<Self> {
        let line = previous.map_or_else(|| Arc::new(Line::default()), |old| old.line.clone());
        let mut newest = line.newest.lock();
        let earlier = previous.map(|previous| previous.set.load());
        let earlier = earlier.as_ref().map_or(&[][..], |set| set.members());
        let found = members(known_at_first(settings, earlier), earlier);
        let set =
            EndpointSet::build(found.into(), settings, &home.here, tokio::time::Instant::now());
        let cluster = Arc::new(Cluster {
            settings: settings.clone(),
            label: settings.name.to_string().into(),
            set: ArcSwap::from_pointee(set),
            repeats: previous.map(|old| old.repeats.clone()).unwrap_or_default(),
            line: line.clone(),
            here: home.here.clone(),
            upkeep: home.upkeep.clone(),
            transport: Transport::compile(settings, previous.map(|old| &old.transport)),
        });
        *newest = Arc::downgrade(&cluster);
        drop(newest);
        cluster.warm_up();
        cluster
    }

    /// Requests now come here and no longer to the previous one: endpoints that only that one has are told that they
    /// left. Whoever still holds it may send to them where it has no others.
    pub fn take_over(&self, previous: &Cluster) {
        let newest = self.line.newest.lock();
        let (earlier, here) = (previous.set.load(), self.set.load());
        self.line.standing.retire(earlier.members(), here.members());
        drop(newest);
        self.ask_the_last(&here);
    }

    /// Endpoints that take no connection, and are all that is left, are asked again at once.
    fn ask_the_last(&self, set: &EndpointSet) {
        if self.line.standing.ask_the_last(set.members()) == Ended::Now {
            self.ask_for_upkeep();
        }
    }

    /// As [`compile`](Self::compile), at a place that is not known and looked after by nobody.
    pub fn new(settings: &Arc<model::Cluster>, previous: Option<&Arc<Cluster>>) -> Arc<Self> {
        Cluster::compile(settings, previous, &ClusterHome::default())
    }

    /// As [`compile`](Self::compile), for a cluster at the place of this one and looked after by whom this one is.
    pub fn compile_beside(
        &self,
        settings: &Arc<model::Cluster>,
        previous: Option<&Arc<Cluster>>,
    ) -> Arc<Self> {
        let home = ClusterHome { here: self.here.clone(), upkeep: self.upkeep.clone() };
        Cluster::compile(settings, previous, &home)
    }

    /// What it was compiled from.
    pub fn settings(&self) -> &Arc<model::Cluster> {
        &self.settings
    }

    /// What its connections are made of.
    pub(crate) fn transport(&self) -> &Arc<Transport> {
        &self.transport
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

    /// Its endpoints with what is written of them. They are the same memory for as long as they are the same ones.
    pub fn members(&self) -> Arc<[Member]> {
        self.set().members().clone()
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
        let found = members(endpoints, earlier.members());
        let now = tokio::time::Instant::now();
        let set = Arc::new(EndpointSet::build(found.into(), &self.settings, &self.here, now));
        self.set.store(set.clone());
        // Not before others are there to be picked.
        self.line.standing.retire(earlier.members(), set.members());
        drop(newest);
        self.ask_the_last(&set);
        self.warm_up();
        SetEndpoints::Replaced
    }

    /// The cluster is no longer part of the configuration: its endpoints are told that they left.
    pub fn retire(&self) {
        let mut newest = self.line.newest.lock();
        if std::ptr::eq(newest.as_ptr(), self) {
            *newest = Weak::new();
            self.line.standing.retire(self.set.load().members(), &[]);
        }
    }

    /// The endpoint for the next request; `None` where all were tried or none takes load.
    pub fn pick_endpoint(&self, tried: &[EndpointId]) -> Option<Arc<Endpoint>> {
        self.pick(&Pick { tried, hash: None })
    }

    /// The endpoint for the next request, by the cluster's balancer; `None` where all were tried or none takes
    /// load.
    pub fn pick(&self, pick: &Pick<'_>) -> Option<Arc<Endpoint>> {
        self.set.load().pick(pick, &self.line.standing.turn, draw_below).cloned()
    }

    /// As [`pick`](Self::pick), but of the nearest locality none of whose endpoints was tried; `None` where there is none.
    pub fn pick_elsewhere(&self, pick: &Pick<'_>) -> Option<Arc<Endpoint>> {
        self.set.load().pick_elsewhere(pick, &self.line.standing.turn, draw_below).cloned()
    }

    /// What of a request is hashed to pick an endpoint; `None` where nothing is.
    pub fn hash_key(&self) -> Option<&model::HashKey> {
        match &self.settings.balancing.balancer {
            model::Balancer::Hash { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Takes a place under one of the cluster's limits, which all workers share; it costs nothing where there is
    /// no such limit.
    ///
    /// # Errors
    /// As much is under way as may be.
    pub fn enter(&self, breaker: Breaker) -> Result<Entered, Overflow> {
        let limit = breaker.limit(&self.settings.pool);
        self.line.standing.breakers.enter(breaker, limit)
    }

    /// Whether a place is free under a limit at this moment.
    pub(crate) fn has_room(&self, breaker: Breaker) -> bool {
        let (now, _) = self.line.standing.breakers.reading(breaker);
        breaker.limit(&self.settings.pool).is_none_or(|limit| now < limit)
    }

    pub(crate) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Has the rotation renewed soon, and looked after from then on.
    pub(crate) fn ask_for_upkeep(&self) {
        if self.line.standing.asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let line: Weak<dyn Kept> = Arc::downgrade(&self.line) as Weak<dyn Kept>;
        if !self.upkeep.as_ref().is_some_and(|upkeep| upkeep.ask(line)) {
            self.line.keep_up(tokio::time::Instant::now());
        }
    }

    /// While endpoints warm up, their weights change by the second.
    fn warm_up(&self) {
        if self.settings.balancing.warmup.is_some() {
            self.ask_for_upkeep();
        }
    }

    /// When the next endpoint's weight is another, as it warms up.
    fn warms_until(&self, now: tokio::time::Instant) -> Option<tokio::time::Instant> {
        const STEP: std::time::Duration = std::time::Duration::from_secs(1);
        let warmup = self.settings.balancing.warmup?;
        let warms = |member: &Member| {
            now.saturating_duration_since(member.endpoint.serves_since()) < warmup.duration
        };
        self.set.load().members().iter().any(warms).then(|| now + STEP)
    }
}

impl Kept for Line {
    fn keep_up(&self, now: tokio::time::Instant) -> Option<tokio::time::Instant> {
        self.standing.asked.store(false, Ordering::Release);
        let newest = self.newest.lock();
        let cluster = newest.upgrade()?;
        let readmits = cluster.readmit(now);
        let set = cluster.set.load().renewed(&cluster.settings, &cluster.here, now);
        cluster.set.store(Arc::new(set));
        drop(newest);
        [readmits, cluster.warms_until(now)].into_iter().flatten().min()
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
    use std::sync::atomic::AtomicU64;

    use portcullis_model::EndpointAddress;

    use super::*;
    use crate::member::ResolvedPlace;
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
}
