//! The clusters whose endpoints are asked: one task each.

use std::sync::Arc;

use parking_lot::Mutex;
use portcullis_model::HealthCheck;
use portcullis_telemetry::DiscoveryCounts;
use portcullis_upstream::Cluster;
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::round::{Asking, Round, Settled};

/// Questions that the whole process has under way at a time; what is due beyond waits.
const MOST_UNDER_WAY: usize = 256;

/// The clusters that are asked, by label.
pub(crate) struct HealthChecks {
    asking: Asking,
    runtime: Handle,
    asked: Mutex<FxHashMap<Arc<str>, Asked>>,
}

/// One cluster. Dropped, it is asked no more.
struct Asked {
    check: HealthCheck,
    newest: watch::Sender<Arc<Cluster>>,
    settled: watch::Receiver<Settled>,
    task: AbortHandle,
}

impl Asked {
    /// The newest generation, and what tells of its endpoints.
    fn waits_for(&self) -> (Arc<Cluster>, watch::Receiver<Settled>) {
        (self.newest.borrow().clone(), self.settled.clone())
    }
}

/// Waits until each endpoint that a cluster has now was asked once.
async fn all_answered(cluster: &Cluster, mut settled: watch::Receiver<Settled>) {
    let of_now = |settled: &Settled| {
        settled.as_ref().is_some_and(|settled| Arc::ptr_eq(settled, &cluster.members()))
    };
    // One that is asked no more is not waited for.
    let _ = settled.wait_for(of_now).await;
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HealthChecks {
    pub(crate) fn new(counts: Arc<DiscoveryCounts>, runtime: Handle) -> Self {
        let places = Arc::new(Semaphore::new(MOST_UNDER_WAY));
        HealthChecks { asking: Asking { places, counts }, runtime, asked: Mutex::default() }
    }

    /// From now on the endpoints of these clusters are asked that have a health check, and of no others. What was
    /// found of an endpoint stays where its cluster's check stays as it was.
    pub(crate) fn follow(&self, clusters: &[Arc<Cluster>]) {
        let mut asked = self.asked.lock();
        let mut before = std::mem::take(&mut *asked);
        for cluster in clusters {
            let Some(check) = &cluster.settings().health_check else {
                if before.contains_key(&cluster.label) {
                    forget(cluster);
                }
                continue;
            };
            let entry = match before.remove(&cluster.label) {
                Some(entry) if entry.check == *check => {
                    entry.newest.send_replace(cluster.clone());
                    entry
                }
                _ => self.begin(cluster, check),
            };
            asked.insert(cluster.label.clone(), entry);
        }
    }

    /// Waits until every endpoint was asked once.
    pub(crate) async fn first_answers(&self) {
        let asked: Vec<_> = self.asked.lock().values().map(Asked::waits_for).collect();
        for (cluster, settled) in asked {
            all_answered(&cluster, settled).await;
        }
    }

    fn begin(&self, cluster: &Arc<Cluster>, check: &HealthCheck) -> Asked {
        let (newest, of_newest) = watch::channel(cluster.clone());
        let (settling, settled) = watch::channel(None);
        let round = Round::new(cluster.clone(), check.clone(), self.asking.clone());
        let task = self.runtime.spawn(round.go_on(of_newest, settling)).abort_handle();
        Asked { check: check.clone(), newest, settled, task }
    }
}

/// Nobody asks any more, so what was found says nothing.
fn forget(cluster: &Cluster) {
    for endpoint in cluster.endpoints() {
        cluster.set_healthy(&endpoint);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use portcullis_model as model;
    use portcullis_model::Probe;
    use portcullis_upstream::{EndpointState, ResolvedEndpoint, ResolvedPlace};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    /// A cluster of this name whose endpoints are asked over HTTP and may take a minute to answer.
    fn cluster(name: &str, endpoints: &[SocketAddr]) -> Arc<Cluster> {
        let endpoints: Vec<_> = endpoints.iter().map(|address| (*address, 1)).collect();
        let mut settings = model::Cluster::for_test(&endpoints);
        settings.name.host = name.into();
        let probe = Probe::Http { path: "/".into(), host: None };
        settings.health_check = Some(HealthCheck { probe, timeout: TIMEOUT, ..HealthCheck::tcp() });
        Cluster::new(&Arc::new(settings), None)
    }

    async fn answer(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    }

    fn is_well(cluster: &Cluster, nth: usize) -> bool {
        cluster.endpoints()[nth].state() == EndpointState::Healthy
    }

    #[tokio::test]
    async fn a_configuration_waits_for_the_answers_of_its_new_endpoints() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let well = listener.local_addr().unwrap();
        tokio::spawn(answer(listener));
        let checks = HealthChecks::new(Arc::default(), Handle::current());
        let first = cluster("shop.example", &[well]);
        checks.follow(std::slice::from_ref(&first));
        checks.first_answers().await;
        let refusing = tokio::net::TcpSocket::new_v4().unwrap();
        refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let ill = refusing.local_addr().unwrap();
        let settings = cluster("shop.example", &[well, ill]).settings().clone();
        let second = Cluster::new(&settings, Some(&first));
        checks.follow(std::slice::from_ref(&second));
        checks.first_answers().await;
        assert!(is_well(&second, 0) && !is_well(&second, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_that_names_lead_to_are_not_met_before_they_are_checked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let well = listener.local_addr().unwrap();
        tokio::spawn(answer(listener));
        let checks = HealthChecks::new(Arc::default(), Handle::current());
        let cluster = cluster("shop.example", &[well]);
        checks.follow(std::slice::from_ref(&cluster));
        checks.first_answers().await;
        let new = SocketAddr::from(([127, 0, 0, 1], 1));
        let found = [well, new].map(|address| ResolvedEndpoint {
            written: model::Endpoint::at(address),
            place: ResolvedPlace::At(address),
        });
        let begun = Instant::now();
        cluster.set_endpoints(found.into());
        // No time passes while this task is not done.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(is_well(&cluster, 0) && !is_well(&cluster, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_whose_endpoints_let_checks_wait_holds_up_no_other() {
        // Connections to it come about, as far as its queue goes, and that is all.
        let silent = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let at = |nth: u32| SocketAddr::from((Ipv4Addr::from(0x7f00_0001 + nth), port));
        let waits = cluster("waits.example", &(0..500).map(at).collect::<Vec<_>>());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let well = cluster("well.example", &[listener.local_addr().unwrap()]);
        tokio::spawn(answer(listener));
        let checks = HealthChecks::new(Arc::default(), Handle::current());
        checks.follow(std::slice::from_ref(&waits));
        // Each of its endpoints is due by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        checks.follow(&[waits, well.clone()]);
        let (cluster, settled) = checks.asked.lock()[&well.label].waits_for();
        all_answered(&cluster, settled).await;
        // The first of the others gives its place up after the connect timeout.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
