//! Clusters: the settings and endpoints of one port and subset of a service, compiled.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use portcullis_model as model;
use tokio::sync::Notify;

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
    /// Tells that endpoints were replaced beneath a generation.
    replaced: Notify,
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
        if settings.pool.max_requests.is_some() {
            line.standing.limit_requests(earlier);
        }
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
        if self.settings.pool.max_requests.is_none() {
            self.line.standing.breakers.end_counting();
        }
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
        self.line.replaced.notify_waiters();
        self.ask_the_last(&set);
        self.warm_up();
        SetEndpoints::Replaced
    }

    /// Ends when its endpoints, or those of another generation, are replaced from this call on. Not to be called on a
    /// worker.
    pub fn endpoints_replaced(&self) -> impl Future<Output = ()> + '_ {
        self.line.replaced.notified()
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

    /// Takes a place under one of the cluster's limits, which all workers share; it costs a request nothing where
    /// there is no such limit.
    ///
    /// # Errors
    /// As much is under way as may be.
    pub fn enter(&self, breaker: Breaker) -> Result<Entered, Overflow> {
        let (limit, standing) = (breaker.limit(&self.settings.pool), &self.line.standing);
        let uncounted = if limit.is_some() { standing.uncounted_of(breaker) } else { 0 };
        standing.breakers.enter(breaker, limit, uncounted)
    }

    /// Takes one although there may be none left.
    pub(crate) fn enter_beyond(&self, breaker: Breaker) -> Entered {
        self.line.standing.breakers.enter_beyond(breaker)
    }

    /// Whether a place is free under a limit at this moment.
    pub(crate) fn has_room(&self, breaker: Breaker) -> bool {
        let (now, _) = self.line.standing.reading(breaker);
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
