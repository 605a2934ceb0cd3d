//! Asking the endpoints of one cluster, over and over.

use std::sync::Arc;
use std::time::Duration;

use portcullis_model::HealthCheck;
use portcullis_telemetry::DiscoveryCounts;
use portcullis_upstream::{Cluster, Endpoint, EndpointId, Member};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::probe::ask;
use super::verdict::{Answered, Answers, Verdict};
use crate::pace::part_of;

/// The first questions to a cluster are spread over this time, or its interval where that is shorter.
const FIRST_ROUND: Duration = Duration::from_millis(500);
/// Questions that one cluster has under way at a time, so that one whose endpoints let them wait holds up no other.
const MOST_OF_A_CLUSTER: usize = 32;
/// Why an endpoint takes no load before its first answer, where others do.
const NOT_ASKED: &str = "not checked yet";

/// A cluster's endpoints, once each has answered.
pub(crate) type Settled = Option<Arc<[Member]>>;

/// What asking needs.
#[derive(Clone)]
pub(crate) struct Asking {
    /// How many questions the whole process has under way.
    pub places: Arc<Semaphore>,
    /// Where answers are counted.
    pub counts: Arc<DiscoveryCounts>,
}

/// One cluster's endpoints and what they have answered.
pub(crate) struct Round {
    asking: Asking,
    /// Its part of what is under way.
    places: Arc<Semaphore>,
    check: HealthCheck,
    cluster: Arc<Cluster>,
    /// Those that `watched` was last brought up to.
    known: Option<Arc<[Member]>>,
    watched: FxHashMap<EndpointId, Watched>,
    under_way: JoinSet<(EndpointId, Result<(), String>)>,
}

struct Watched {
    endpoint: Arc<Endpoint>,
    answers: Answers,
    /// When it is asked next; `None` while it is being asked.
    due: Option<Instant>,
}

impl Round {
    pub(crate) fn new(cluster: Arc<Cluster>, check: HealthCheck, asking: Asking) -> Self {
        let (watched, under_way) = (FxHashMap::default(), JoinSet::new());
        let places = Arc::new(Semaphore::new(MOST_OF_A_CLUSTER));
        Round { asking, places, check, cluster, known: None, watched, under_way }
    }

    /// Asks until the task is ended. `newest` tells of the cluster's newer generations, `settled` is told of the
    /// endpoints when each has answered once.
    pub(crate) async fn go_on(
        mut self,
        mut newest: watch::Receiver<Arc<Cluster>>,
        settled: watch::Sender<Settled>,
    ) {
        loop {
            self.cluster = newest.borrow_and_update().clone();
            let cluster = self.cluster.clone();
            // Before it looks, so that nothing is missed.
            let replaced = cluster.endpoints_replaced();
            self.look();
            self.ask_due();
            settled.send_if_modified(|told| self.tell_settled(told));
            tokio::select! {
                () = until(self.next_due()) => {}
                () = replaced => {}
                changed = newest.changed() => if changed.is_err() { return },
                Some(answer) = self.under_way.join_next() => {
                    if let Ok((id, answer)) = answer {
                        self.take_in(id, answer);
                    }
                }
            }
        }
    }

    /// Takes in who has come and who has gone. Whoever comes to others that are well has to answer before it takes
    /// load; where nobody has answered yet, all take load.
    fn look(&mut self) {
        let members = self.cluster.members();
        // This is asked with every answer, and thousands may come in a second.
        if self.known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &members)) {
            return;
        }
        let now = Instant::now();
        let ids: FxHashSet<_> = members.iter().map(|member| member.endpoint.id).collect();
        self.watched.retain(|id, _| ids.contains(id));
        let has_healthy =
            self.watched.values().any(|each| each.answers.verdict == Verdict::Healthy);
        for endpoint in members.iter().map(|member| &member.endpoint) {
            if self.watched.contains_key(&endpoint.id) {
                continue;
            }
            if has_healthy {
                self.cluster.set_unhealthy(endpoint, NOT_ASKED);
            }
            let due = Some(now + part_of(FIRST_ROUND.min(self.check.interval)));
            let watched = Watched { endpoint: endpoint.clone(), answers: Answers::default(), due };
            self.watched.insert(endpoint.id, watched);
        }
        self.known = Some(members);
    }

    fn ask_due(&mut self) {
        let now = Instant::now();
        for (id, watched) in &mut self.watched {
            if watched.due.is_some_and(|due| due <= now) {
                watched.due = None;
                let (id, endpoint) = (*id, watched.endpoint.clone());
                let (cluster, check) = (self.cluster.clone(), self.check.clone());
                let (own, all) = (self.places.clone(), self.asking.places.clone());
                self.under_way.spawn(async move {
                    // Never closed. Its own first, so that nobody waits in the crowd of all who could not begin yet.
                    let _own = own.acquire().await;
                    let _place = all.acquire().await;
                    (id, ask(&cluster, &endpoint, &check).await)
                });
            }
        }
    }

    fn take_in(&mut self, id: EndpointId, answer: Result<(), String>) {
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let interval = self.check.interval;
        // A tenth earlier or later, so that clusters and gateways do not ask all at once.
        watched.due = Some(Instant::now() + interval - interval / 10 + part_of(interval / 5));
        let answered = match &answer {
            Ok(()) => {
                self.asking.counts.probe_was_good();
                Answered::Well
            }
            Err(_) => {
                self.asking.counts.probe_was_bad();
                Answered::Ill
            }
        };
        let verdict = watched.answers.take(answered, &self.check);
        match (verdict, answer) {
            (Some(Verdict::Healthy), _) => self.cluster.set_healthy(&watched.endpoint),
            (Some(Verdict::Unhealthy), Err(why)) => {
                self.cluster.set_unhealthy(&watched.endpoint, format!("health check: {why}"));
            }
            _ => {}
        }
    }

    /// Says whether that is news.
    fn tell_settled(&self, told: &mut Settled) -> bool {
        let unknown = |watched: &Watched| watched.answers.verdict == Verdict::Unknown;
        let now = if self.watched.values().any(unknown) { None } else { self.known.clone() };
        let same = match (&*told, &now) {
            (Some(told), Some(now)) => Arc::ptr_eq(told, now),
            (told, now) => told.is_none() && now.is_none(),
        };
        *told = now;
        !same
    }

    fn next_due(&self) -> Option<Instant> {
        self.watched.values().filter_map(|watched| watched.due).min()
    }
}

async fn until(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}
