//! `DYNAMIC_DNS`: the host that a request itself asks for is looked up, within bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use portcullis_model as model;
use portcullis_model::{Endpoint, EndpointAddress};
use portcullis_telemetry::DiscoveryCounts;
use portcullis_upstream::Cluster;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::names::Names;

/// Hosts that are known at a time, over all clusters.
const MOST_HOSTS: usize = 1024;
/// A host that nobody asked for through this time gives its place to another.
const UNUSED: Duration = Duration::from_secs(60);
/// One that nobody asked for through this time is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(300);
/// New hosts that are looked up at once, and each second after that: each costs its worker a moment and the servers two
/// questions, and clients can think of any number.
const MOST_NEW: u64 = 2 * MOST_HOSTS as u64;
const NEW_EACH_SECOND: u64 = 100;
/// How long a request waits for the first answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The hosts that requests have asked for.
pub(crate) struct DynamicHosts {
    names: Arc<Names>,
    counts: Arc<DiscoveryCounts>,
    began: Instant,
    known: ArcSwap<Hosts>,
    /// Held while hosts come and go; requests to known hosts do without.
    changing: Mutex<Newcomers>,
}

/// By the cluster's label and the host.
type Hosts = FxHashMap<(Arc<str>, Box<str>), Arc<Host>>;

struct Host {
    /// That whose settings it has.
    parent: Arc<Cluster>,
    cluster: Arc<Cluster>,
    /// When it was last asked for, in seconds since the beginning.
    used: AtomicU64,
}

/// How many hosts may still come.
struct Newcomers {
    left: u64,
    second: u64,
}

impl Newcomers {
    fn let_in(&mut self, second: u64) -> Result<(), HostRefused> {
        let passed = second.saturating_sub(std::mem::replace(&mut self.second, second));
        let earned = passed.saturating_mul(NEW_EACH_SECOND);
        let left = self.left.saturating_add(earned).min(MOST_NEW);
        self.left = left.saturating_sub(1);
        if left == 0 { Err(HostRefused::TooManyNew) } else { Ok(()) }
    }
}

/// Why a request's host is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostRefused {
    /// The ServiceEntry does not cover it.
    #[error("the host is not one of the service's names")]
    Uncovered,
    /// Too many others are in use.
    #[error("too many hosts are in use")]
    Full,
    /// Too many came of late that nobody had asked for before.
    #[error("too many new hosts at a time")]
    TooManyNew,
    /// It has no address, or none that may be reached.
    #[error("the host's name gave no address: {0}")]
    NoAddress(String),
}

impl DynamicHosts {
    pub(crate) fn new(names: Arc<Names>, counts: Arc<DiscoveryCounts>) -> Self {
        let (began, known) = (Instant::now(), ArcSwap::default());
        let changing = Mutex::new(Newcomers { left: MOST_NEW, second: 0 });
        DynamicHosts { names, counts, began, known, changing }
    }

    /// The cluster that stands for one host of a cluster, once its name was looked up.
    pub(crate) async fn cluster_of(
        &self,
        parent: &Arc<Cluster>,
        authority: &str,
    ) -> Result<Arc<Cluster>, HostRefused> {
        let host = host_of(authority, &parent.settings().name.host)?;
        let key = (parent.label.clone(), host);
        let known = self.known.load().get(&key).cloned();
        let entry = match known {
            Some(entry) => entry,
            None => self.add(parent, key)?,
        };
        entry.used.store(self.began.elapsed().as_secs(), Ordering::Relaxed);
        let cluster = entry.cluster.clone();
        drop(entry);
        if cluster.pick_endpoint(&[]).is_some() {
            return Ok(cluster);
        }
        let settled = self.names.first_answer(&cluster);
        match tokio::time::timeout(PATIENCE, settled).await {
            Ok(None) if !cluster.endpoints().is_empty() => Ok(cluster),
            Ok(why) => {
                let why = why.unwrap_or_else(|| "its addresses may not be reached".to_owned());
                Err(HostRefused::NoAddress(why))
            }
            Err(_) => Err(HostRefused::NoAddress("no answer in time".to_owned())),
        }
    }

    /// Has the names of these clusters looked up and no others, with them the hosts that requests to those among them
    /// have asked for.
    pub(crate) fn follow(&self, clusters: &[Arc<Cluster>]) {
        let _changing = self.changing.lock();
        let mut hosts = Hosts::default();
        for (key, host) in self.known.load().iter() {
            let parent = clusters.iter().find(|cluster| cluster.label == key.0);
            let Some(parent) = parent.filter(|parent| is_dynamic(parent)) else { continue };
            if self.age(host) < FORGOTTEN {
                hosts.insert(key.clone(), host.renewed(parent, &key.1));
            }
        }
        let of_hosts = hosts.values().map(|host| host.cluster.clone());
        let all: Vec<_> = clusters.iter().cloned().chain(of_hosts).collect();
        self.names.follow(&all);
        self.publish(hosts);
    }

    fn add(
        &self,
        parent: &Arc<Cluster>,
        key: (Arc<str>, Box<str>),
    ) -> Result<Arc<Host>, HostRefused> {
        let mut changing = self.changing.lock();
        if let Some(known) = self.known.load().get(&key) {
            return Ok(known.clone());
        }
        changing.let_in(self.began.elapsed().as_secs())?;
        let mut hosts = Hosts::clone(&self.known.load());
        self.make_room(&mut hosts)?;
        let settings = settings_for(parent.settings(), &key.1);
        let cluster = parent.compile_beside(&Arc::new(settings), None);
        let used = AtomicU64::new(self.began.elapsed().as_secs());
        let host = Arc::new(Host { parent: parent.clone(), cluster: cluster.clone(), used });
        hosts.insert(key, host.clone());
        self.names.add(&cluster);
        self.publish(hosts);
        Ok(host)
    }

    /// Forgets whoever was not asked for in a long time; where it is full, one that was not for a while, or that has
    /// no address.
    fn make_room(&self, hosts: &mut Hosts) -> Result<(), HostRefused> {
        let is_stale = |host: &Arc<Host>| self.age(host) >= FORGOTTEN;
        let mut gone: Vec<_> =
            hosts.iter().filter(|(_, host)| is_stale(host)).map(|(key, _)| key.clone()).collect();
        if gone.is_empty() && hosts.len() >= MOST_HOSTS {
            let dispensable =
                |host: &Host| self.age(host) >= UNUSED || host.cluster.pick_endpoint(&[]).is_none();
            let oldest = hosts.iter().filter(|(_, host)| dispensable(host));
            let oldest = oldest.min_by_key(|(_, host)| host.used.load(Ordering::Relaxed));
            gone.push(oldest.map(|(key, _)| key.clone()).ok_or(HostRefused::Full)?);
        }
        for key in gone {
            if let Some(host) = hosts.remove(&key) {
                self.names.remove(&host.cluster);
                host.cluster.retire();
            }
        }
        Ok(())
    }

    fn publish(&self, hosts: Hosts) {
        self.counts.set_dynamic_hosts(hosts.len());
        self.known.store(Arc::new(hosts));
    }

    fn age(&self, host: &Host) -> Duration {
        let used = Duration::from_secs(host.used.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(used)
    }
}

impl Host {
    /// With the settings of a newer generation of its cluster.
    fn renewed(self: &Arc<Self>, parent: &Arc<Cluster>, host: &str) -> Arc<Self> {
        if Arc::ptr_eq(parent, &self.parent) {
            return self.clone();
        }
        let settings = Arc::new(settings_for(parent.settings(), host));
        let cluster = parent.compile_beside(&settings, Some(&self.cluster));
        cluster.take_over(&self.cluster);
        let used = AtomicU64::new(self.used.load(Ordering::Relaxed));
        Arc::new(Host { parent: parent.clone(), cluster, used })
    }
}

/// Whether a request's own host is looked up for a cluster.
pub(crate) fn is_dynamic(cluster: &Cluster) -> bool {
    cluster.settings().discovery == model::Discovery::DynamicDns
}

/// As the cluster, but with the host as its only endpoint. The port is the cluster's: a client does not choose it.
fn settings_for(parent: &model::Cluster, host: &str) -> model::Cluster {
    // The dot has it looked up as it is, not in the search domains.
    let name = EndpointAddress::Name(format!("{host}.").into(), parent.name.port);
    let any = ([0; 4], 0).into();
    let endpoints = vec![Endpoint { address: name, ..Endpoint::at(any) }];
    model::Cluster { endpoints, ..parent.clone() }
}

/// The host of a request, where the pattern of a ServiceEntry covers it: `*.example.com`, or itself.
fn host_of(authority: &str, pattern: &str) -> Result<Box<str>, HostRefused> {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_covered = match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => host == pattern,
    };
    let is_name = host.len() <= 253
        && host.split('.').all(|label| (1..=63).contains(&label.len()))
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        // The last label of an address is a number, of a name it is not.
        && host.rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_alphabetic()));
    if is_covered && is_name { Ok(host.into()) } else { Err(HostRefused::Uncovered) }
}

#[cfg(test)]
mod tests {
    use portcullis_model::{ClusterName, Discovery};
    use portcullis_upstream::{ClusterHome, Outcome, Upkeep};
    use tokio::runtime::Handle;

    use super::*;
    use crate::ask::Family;
    use crate::scripted::Scripted;
    use crate::search::Search;
    use crate::system_conf::Way;

    fn hosts(asker: &Arc<Scripted>, allowed: &[&str]) -> DynamicHosts {
        let counts = Arc::<DiscoveryCounts>::default();
        let allowed = allowed.iter().map(|net| net.parse().unwrap()).collect();
        let search = Search { domains: vec!["svc".to_owned()], ndots: 5 };
        let names = Names::new(
            Way::for_test(asker, search),
            |_| true,
            allowed,
            counts.clone(),
            Handle::current(),
        );
        DynamicHosts::new(names, counts)
    }

    fn parent(before: Option<&Arc<Cluster>>) -> Arc<Cluster> {
        let plain = model::Cluster::for_test(&[]);
        let name = ClusterName { host: "*.dyn.test".into(), ..plain.name.clone() };
        let settings = model::Cluster { name, discovery: Discovery::DynamicDns, ..plain };
        Cluster::new(&Arc::new(settings), before)
    }

    #[test]
    fn only_names_that_the_pattern_covers_are_looked_up() {
        let host = |authority| host_of(authority, "*.dyn.test").ok().map(String::from);
        assert_eq!(host("A.Dyn.Test:8080").unwrap(), "a.dyn.test");
        assert_eq!(host("a.b.dyn.test.").unwrap(), "a.b.dyn.test");
        for other in [
            "dyn.test",
            ".dyn.test",
            "adyn.test",
            "a.dyn.test.evil.test",
            "169.254.169.254",
            "[::1]:80",
            "a_b.dyn.test",
            "a/b.dyn.test",
            "a..dyn.test",
            "",
        ] {
            assert_eq!(host(other), None, "{other}");
        }
        assert!(host_of("1.2.3.4", "1.2.3.4").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_looked_up_once_and_never_leads_inward() {
        let asker = Scripted::new();
        asker.say("a.dyn.test.", Family::V4, Ok((60, &["1.2.3.4", "10.0.0.1"])));
        asker.say("in.dyn.test.", Family::V4, Ok((60, &["169.254.169.254"])));
        let (hosts, parent) = (hosts(&asker, &[]), parent(None));
        let cluster = hosts.cluster_of(&parent, "a.dyn.test").await.unwrap();
        let addresses = cluster.endpoints()[0].addresses().unwrap();
        assert_eq!(addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1.2.3.4:80"]);
        let again = hosts.cluster_of(&parent, "A.dyn.test:99").await.unwrap();
        assert!(Arc::ptr_eq(&cluster, &again));
        assert_eq!(asker.asked(), 2);
        let refused = |host| hosts.cluster_of(&parent, host);
        assert!(matches!(refused("in.dyn.test").await, Err(HostRefused::NoAddress(_))));
        assert!(matches!(refused("none.dyn.test").await, Err(HostRefused::NoAddress(_))));
        assert!(matches!(refused("evil.test").await, Err(HostRefused::Uncovered)));
        // A newer generation knows it.
        let newer = self::parent(Some(&parent));
        hosts.follow(std::slice::from_ref(&newer));
        assert_eq!(hosts.known.load().len(), 3);
        let renewed = hosts.cluster_of(&newer, "a.dyn.test").await.unwrap();
        assert!(Arc::ptr_eq(&renewed.endpoints()[0], &cluster.endpoints()[0]));
        hosts.follow(&[]);
        assert!(hosts.known.load().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_address_of_a_host_comes_back() {
        let asker = Scripted::new();
        asker.say("a.dyn.test.", Family::V4, Ok((300, &["1.2.3.4"])));
        let (upkeep, ask) = Upkeep::new();
        tokio::spawn(upkeep.run());
        let mut settings = (**parent(None).settings()).clone();
        settings.outliers = Some(model::OutlierDetection::default());
        let home = ClusterHome { upkeep: Some(ask), ..ClusterHome::default() };
        let parent = Cluster::compile(&Arc::new(settings), None, &home);
        let hosts = hosts(&asker, &[]);
        let cluster = hosts.cluster_of(&parent, "a.dyn.test").await.unwrap();
        let endpoint = cluster.endpoints().remove(0);
        for _ in 0..5 {
            cluster.record(&endpoint, Outcome::Broken);
        }
        assert!(cluster.pick_endpoint(&[]).is_none());
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert!(cluster.pick_endpoint(&[]).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn new_hosts_come_no_faster_than_they_may() {
        let asker = Scripted::new();
        let (hosts, parent) = (hosts(&asker, &[]), parent(None));
        let mut refused = Vec::new();
        for n in 0..=MOST_NEW {
            refused.push(hosts.cluster_of(&parent, &format!("h{n}.dyn.test")).await.err().unwrap());
        }
        assert_eq!(refused.pop(), Some(HostRefused::TooManyNew));
        assert!(refused.iter().all(|each| matches!(each, HostRefused::NoAddress(_))));
        let again = hosts.cluster_of(&parent, &format!("h{}.dyn.test", MOST_NEW - 1)).await;
        assert!(matches!(again, Err(HostRefused::NoAddress(_))), "it is known");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let next = hosts.cluster_of(&parent, "next.dyn.test").await;
        assert!(matches!(next, Err(HostRefused::NoAddress(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_allowed_may_lead_inward() {
        let asker = Scripted::new();
        asker.say("in.dyn.test.", Family::V4, Ok((60, &["10.0.0.1"])));
        let hosts = hosts(&asker, &["10.0.0.0/8"]);
        assert!(hosts.cluster_of(&parent(None), "in.dyn.test").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_are_bounded_and_give_way_when_nobody_asks_for_them() {
        let asker = Scripted::new();
        let (hosts, parent) = (hosts(&asker, &[]), parent(None));
        let named = |n: usize| format!("h{n}.dyn.test");
        for n in 0..=MOST_HOSTS {
            asker.say(&format!("{}.", named(n)), Family::V4, Ok((300, &["1.2.3.4"])));
        }
        for n in 0..MOST_HOSTS {
            assert!(hosts.cluster_of(&parent, &named(n)).await.is_ok());
        }
        let full = hosts.cluster_of(&parent, &named(MOST_HOSTS)).await;
        assert!(matches!(full, Err(HostRefused::Full)));
        tokio::time::sleep(UNUSED).await;
        assert!(hosts.cluster_of(&parent, &named(MOST_HOSTS)).await.is_ok());
        assert_eq!(hosts.known.load().len(), MOST_HOSTS);
    }
}
