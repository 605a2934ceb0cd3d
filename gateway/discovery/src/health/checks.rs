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

use super::round::{Asking, Round};

/// Questions that the whole process has under way at a time; what is due beyond waits.
const MOST_UNDER_WAY: usize = 64;

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
    settled: watch::Receiver<bool>,
    task: AbortHandle,
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
        let settled: Vec<_> = self.asked.lock().values().map(|each| each.settled.clone()).collect();
        for mut settled in settled {
            // One that is asked no more is not waited for.
            let _ = settled.wait_for(|settled| *settled).await;
        }
    }

    fn begin(&self, cluster: &Arc<Cluster>, check: &HealthCheck) -> Asked {
        let (newest, of_newest) = watch::channel(cluster.clone());
        let (settling, settled) = watch::channel(false);
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
