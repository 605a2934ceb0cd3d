//! The names that are looked up: each by one task, however many clusters use it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use portcullis_telemetry::DiscoveryCounts;
use portcullis_upstream::Cluster;
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::answer::{Answer, MOST_ADDRESSES};
use crate::ask::LookupFailure;
use crate::lookup::look_up;
use crate::pace::{after_answer, after_failures};
use crate::resolved::{names_of, resolve};
use crate::system_conf::Way;

/// The names, what they lead to, and the clusters that want to know.
pub(crate) struct Names {
    way: Box<dyn Fn() -> Arc<Way> + Send + Sync>,
    counts: Arc<DiscoveryCounts>,
    /// Whether this machine knows a way to an address.
    reaches: fn(IpAddr) -> bool,
    /// Where names that clients choose may lead beside the internet.
    allowed: Vec<IpNet>,
    runtime: Handle,
    table: Mutex<FxHashMap<Arc<str>, Name>>,
    /// Tells of each first lookup that came to its end.
    settled: Notify,
}

/// One name. Dropped, it is looked up no more.
#[derive(Default)]
struct Name {
    users: Vec<Arc<Cluster>>,
    /// The last good one.
    answer: Option<Arc<Answer>>,
    /// Of the lookups since then.
    failure: Option<LookupFailure>,
    failures: u32,
    task: Option<Lookups>,
}

struct Lookups(AbortHandle);

impl Drop for Lookups {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Names {
    pub(crate) fn new(
        way: impl Fn() -> Arc<Way> + Send + Sync + 'static,
        reaches: fn(IpAddr) -> bool,
        allowed: Vec<IpNet>,
        counts: Arc<DiscoveryCounts>,
        runtime: Handle,
    ) -> Arc<Self> {
        let table = Mutex::default();
        let (way, settled) = (Box::new(way), Notify::new());
        Arc::new(Names { way, counts, reaches, allowed, runtime, table, settled })
    }

    /// From now on the names of these clusters are looked up, and no others. What is known already is handed to
    /// them at once.
    pub(crate) fn follow(self: &Arc<Self>, clusters: &[Arc<Cluster>]) {
        let mut table = self.table.lock();
        table.values_mut().for_each(|name| name.users.clear());
        for cluster in clusters {
            for name in names_of(cluster.settings()) {
                table.entry(name.clone()).or_default().users.push(cluster.clone());
            }
        }
        table.retain(|_, name| !name.users.is_empty());
        for (name, entry) in table.iter_mut() {
            entry.task.get_or_insert_with(|| self.begin(name.clone()));
        }
        for cluster in clusters {
            self.tell(cluster, &table);
        }
        self.count(&table);
    }

    /// The names of one more cluster are looked up.
    pub(crate) fn add(self: &Arc<Self>, cluster: &Arc<Cluster>) {
        let mut table = self.table.lock();
        for name in names_of(cluster.settings()) {
            let entry = table.entry(name.clone()).or_default();
            entry.users.push(cluster.clone());
            entry.task.get_or_insert_with(|| self.begin(name.clone()));
        }
        self.tell(cluster, &table);
        self.count(&table);
    }

    /// The names of a cluster are looked up no more, unless others use them.
    pub(crate) fn remove(&self, cluster: &Arc<Cluster>) {
        let mut table = self.table.lock();
        for name in names_of(cluster.settings()) {
            if let Some(entry) = table.get_mut(name) {
                entry.users.retain(|user| !Arc::ptr_eq(user, cluster));
            }
        }
        table.retain(|_, name| !name.users.is_empty());
        self.count(&table);
    }

    /// Waits until each name of a cluster was looked up once. Where that brought nothing, says why.
    pub(crate) async fn first_answer(&self, cluster: &Cluster) -> Option<String> {
        loop {
            let settled = self.settled.notified();
            if let Some(told) = self.told_of(cluster) {
                return told;
            }
            settled.await;
        }
    }

    /// Why a name of a cluster has no address, once all were looked up.
    fn told_of(&self, cluster: &Cluster) -> Option<Option<String>> {
        let table = self.table.lock();
        let mut entries = names_of(cluster.settings()).filter_map(|name| table.get(name));
        if !entries.clone().all(Name::is_settled) {
            return None;
        }
        let bad = entries.find(|entry| entry.answer.is_none());
        Some(bad.and_then(|entry| entry.failure.as_ref()).map(ToString::to_string))
    }

    /// Waits until each name was looked up once.
    pub(crate) async fn first_answers(&self) {
        loop {
            let settled = self.settled.notified();
            if self.table.lock().values().all(Name::is_settled) {
                return;
            }
            settled.await;
        }
    }

    /// Why the last lookup of a name failed.
    #[cfg(test)]
    pub(crate) fn failure_of(&self, name: &str) -> Option<LookupFailure> {
        self.table.lock().get(name).and_then(|name| name.failure.clone())
    }

    fn begin(self: &Arc<Self>, name: Arc<str>) -> Lookups {
        let names = self.clone();
        let task = self.runtime.spawn(async move {
            loop {
                let before = names.answer_of(&name);
                let way = (names.way)();
                let asking = look_up(&*way.asker, &way.search, &name, before.as_deref());
                let found = asking.await.map(|answer| answer.reachable(names.reaches));
                let pause = names.take_in(&name, found);
                tokio::time::sleep(pause).await;
            }
        });
        Lookups(task.abort_handle())
    }

    fn answer_of(&self, name: &str) -> Option<Arc<Answer>> {
        self.table.lock().get(name).and_then(|name| name.answer.clone())
    }

    /// Takes in what a lookup found, and tells the clusters. Returns how long it holds.
    fn take_in(&self, name: &str, found: Result<Answer, LookupFailure>) -> Duration {
        let mut table = self.table.lock();
        let Some(entry) = table.get_mut(name) else { return Duration::MAX };
        self.counts.looked_up(found.as_ref().map_or_else(LookupFailure::label, |_| "answer"));
        let pause = match found {
            Ok(answer) => entry.succeed(name, answer),
            Err(failure) => entry.fail(name, failure),
        };
        for cluster in &entry.users.clone() {
            self.tell(cluster, &table);
        }
        self.count(&table);
        self.settled.notify_waiters();
        pause
    }

    /// Hands a cluster the endpoints that are known.
    fn tell(&self, cluster: &Arc<Cluster>, table: &FxHashMap<Arc<str>, Name>) {
        let known = |name: &str| table.get(name).and_then(|name| name.answer.clone());
        if names_of(cluster.settings()).any(|name| known(name).is_some()) {
            cluster.set_endpoints(resolve(cluster.settings(), &self.allowed, known));
        }
    }

    fn count(&self, table: &FxHashMap<Arc<str>, Name>) {
        let failing = table.values().filter(|name| name.failures > 0).count();
        self.counts.set_names(table.len(), failing);
    }
}

impl Name {
    fn is_settled(&self) -> bool {
        self.answer.is_some() || self.failures > 0
    }

    fn succeed(&mut self, name: &str, answer: Answer) -> Duration {
        let changed = self.answer.as_ref().is_none_or(|old| old.sorted() != answer.sorted());
        if changed || self.failures > 0 {
            let addresses = answer.addresses.len();
            tracing::info!(name, addresses, "name looked up");
        }
        if changed && answer.offered > MOST_ADDRESSES {
            let (offered, used) = (answer.offered, MOST_ADDRESSES);
            tracing::warn!(name, offered, used, "name has more addresses than are used");
        }
        let pause = after_answer(answer.ttl);
        self.answer = Some(Arc::new(answer));
        (self.failure, self.failures) = (None, 0);
        pause
    }

    /// What was known of it stays.
    fn fail(&mut self, name: &str, failure: LookupFailure) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.failure.as_ref() != Some(&failure) {
            let kept = self.answer.as_ref().map_or(0, |answer| answer.addresses.len());
            tracing::warn!(name, %failure, kept, "name not looked up");
        }
        self.failure = Some(failure);
        after_failures(self.failures)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model as model;
    use portcullis_model::EndpointAddress;

    use super::*;
    use crate::ask::Family;
    use crate::scripted::Scripted;

    fn names(asker: &Arc<Scripted>) -> Arc<Names> {
        let counts = Arc::<DiscoveryCounts>::default();
        Names::new(
            Way::for_test(asker, Default::default()),
            |_| true,
            Vec::new(),
            counts,
            Handle::current(),
        )
    }

    /// A cluster whose endpoints are these names, each on port 80.
    fn cluster(
        discovery: model::Discovery,
        names: &[&str],
        before: Option<&Arc<Cluster>>,
    ) -> Arc<Cluster> {
        let any = ([127, 0, 0, 1], 1).into();
        let written = |name: &&str| model::Endpoint {
            address: EndpointAddress::Name((*name).into(), 80),
            ..model::Endpoint::at(any)
        };
        let endpoints = names.iter().map(written).collect();
        let settings = model::Cluster { discovery, endpoints, ..model::Cluster::for_test(&[]) };
        Cluster::new(&Arc::new(settings), before)
    }

    fn addresses(cluster: &Cluster) -> Vec<String> {
        cluster.endpoints().iter().map(|endpoint| endpoint.address().ip().to_string()).collect()
    }

    /// Lets so much time pass, and what is due then happen.
    async fn after(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_address_serves_within_its_time_and_a_second() {
        let asker = Scripted::new();
        asker.say("a.", Family::V4, Ok((5, &["10.0.0.2", "10.0.0.1"])));
        let (names, a) = (names(&asker), cluster(model::Discovery::Dns, &["a"], None));
        names.follow(std::slice::from_ref(&a));
        names.first_answers().await;
        assert_eq!(addresses(&a), ["10.0.0.1", "10.0.0.2"]);
        let first = a.endpoints().remove(0);
        // In another order it is the same.
        asker.say("a.", Family::V4, Ok((5, &["10.0.0.1", "10.0.0.2"])));
        after(6).await;
        assert!(Arc::ptr_eq(&first, &a.endpoints()[0]));
        asker.say("a.", Family::V4, Ok((5, &["10.0.0.3"])));
        after(6).await;
        assert_eq!(addresses(&a), ["10.0.0.3"]);
        assert!(first.is_removed());
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_fails_the_last_good_answer_serves() {
        let asker = Scripted::new();
        asker.say("a.", Family::V4, Ok((0, &["10.0.0.1"])));
        let (names, a) = (names(&asker), cluster(model::Discovery::Dns, &["a"], None));
        names.follow(std::slice::from_ref(&a));
        names.first_answers().await;
        for failure in [
            LookupFailure::NoSuchName,
            LookupFailure::Empty,
            LookupFailure::Timeout,
            LookupFailure::ServerFailure("SERVFAIL".to_owned()),
        ] {
            asker.say("a.", Family::V4, Err(failure.clone()));
            asker.say("a.", Family::V6, Err(failure.clone()));
            after(31).await;
            assert_eq!(names.failure_of("a"), Some(failure));
            assert_eq!(addresses(&a), ["10.0.0.1"]);
        }
        asker.say("a.", Family::V4, Ok((60, &["0.0.0.0"])));
        asker.say("a.", Family::V6, Err(LookupFailure::Empty));
        after(31).await;
        assert!(matches!(names.failure_of("a"), Some(LookupFailure::Useless(_))));
        asker.say("a.", Family::V4, Ok((60, &["10.0.0.2"])));
        after(31).await;
        assert_eq!((addresses(&a), names.failure_of("a")), (vec!["10.0.0.2".to_owned()], None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_lookup_that_fails_is_repeated_ever_more_slowly() {
        let asker = Scripted::new();
        let (names, a) = (names(&asker), cluster(model::Discovery::Dns, &["a"], None));
        names.follow(std::slice::from_ref(&a));
        names.first_answers().await;
        assert!(a.endpoints().is_empty());
        after(600).await;
        // Two questions each: ten in the first minute or so, then one every fifteen to thirty seconds.
        assert!((40..110).contains(&asker.asked()), "{}", asker.asked());
        asker.say("a.", Family::V6, Ok((5, &["fd00::1"])));
        after(31).await;
        assert_eq!(addresses(&a), ["fd00::1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn clusters_share_the_lookups_of_a_name_and_the_last_one_ends_them() {
        let asker = Scripted::new();
        asker.say("a.", Family::V4, Ok((60, &["10.0.0.1"])));
        let names = names(&asker);
        let of = |discovery| cluster(discovery, &["a"], None);
        let (one, other) = (of(model::Discovery::Dns), of(model::Discovery::DnsRoundRobin));
        names.follow(&[one.clone(), other.clone()]);
        names.first_answers().await;
        assert_eq!((addresses(&one), addresses(&other)), (addresses(&other), addresses(&one)));
        assert_eq!(asker.asked(), 2);
        // A further one knows at once, without a question.
        let third = of(model::Discovery::Dns);
        names.follow(&[other, third.clone()]);
        assert_eq!((addresses(&third), asker.asked()), (vec!["10.0.0.1".to_owned()], 2));
        names.follow(&[]);
        after(600).await;
        assert_eq!(asker.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_known_is_carried_over_to_a_new_configuration() {
        let asker = Scripted::new();
        asker.say("a.", Family::V4, Ok((60, &["10.0.0.1"])));
        let (names, old) = (names(&asker), cluster(model::Discovery::Dns, &["a"], None));
        names.follow(std::slice::from_ref(&old));
        names.first_answers().await;
        let new = cluster(model::Discovery::Dns, &["a", "b"], Some(&old));
        names.follow(std::slice::from_ref(&new));
        assert!(Arc::ptr_eq(&new.endpoints()[0], &old.endpoints()[0]));
        asker.silence("b.", Family::V4);
        asker.silence("b.", Family::V6);
        let waiting = names.first_answers();
        assert!(tokio::time::timeout(Duration::from_secs(600), waiting).await.is_err());
        assert_eq!(addresses(&new), ["10.0.0.1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_endpoint_goes_where_the_newest_answer_leads() {
        let asker = Scripted::new();
        asker.say("a.", Family::V4, Ok((1, &["10.0.0.2", "10.0.0.1"])));
        let (names, a) = (names(&asker), cluster(model::Discovery::DnsRoundRobin, &["a"], None));
        names.follow(std::slice::from_ref(&a));
        names.first_answers().await;
        let endpoint = a.endpoints().remove(0);
        assert_eq!(addresses(&a), ["10.0.0.2"]);
        asker.say("a.", Family::V4, Ok((1, &["10.0.0.7"])));
        after(2).await;
        assert_eq!(addresses(&a), ["10.0.0.7"]);
        assert!(Arc::ptr_eq(&endpoint, &a.endpoints()[0]) && !endpoint.is_removed());
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_thousand_addresses_some_are_used_and_always_the_same() {
        let many: Vec<String> =
            (0..1000).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect();
        let mut texts: Vec<&str> = many.iter().map(String::as_str).collect();
        let asker = Scripted::new();
        asker.say("a.", Family::V4, Ok((1, &texts)));
        let (names, a) = (names(&asker), cluster(model::Discovery::Dns, &["a"], None));
        names.follow(std::slice::from_ref(&a));
        names.first_answers().await;
        let first = a.endpoints();
        assert_eq!(first.len(), MOST_ADDRESSES);
        texts.reverse();
        asker.say("a.", Family::V4, Ok((1, &texts)));
        after(3).await;
        assert!(first.iter().zip(a.endpoints()).all(|(old, new)| Arc::ptr_eq(old, &new)));
    }
}
