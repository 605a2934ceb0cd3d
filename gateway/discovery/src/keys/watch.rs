//! Following the places that keys come from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use portcullis_filters::{RemoteKeys, RemoteLocation};
use portcullis_supply::{DocumentSource, SupplyError};
use portcullis_telemetry::KeyCounts;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::fetch::{fetch, read};
use super::schedule::Schedule;
use crate::guard::may_fetch;

/// How long a configuration waits for keys that are new to it.
const FIRST_ANSWERS: Duration = Duration::from_secs(2);

/// What is told when keys begin to be missing, or no longer are.
pub type KeyNews = Arc<dyn Fn() + Send + Sync>;

/// What fetching keys is given.
#[derive(Clone, Debug, Default)]
pub struct KeySettings {
    /// Who vouches for servers, in PEM.
    pub authorities: Vec<u8>,
    /// Networks of this machine or its link from which keys may be fetched nevertheless.
    pub allowed: Vec<IpNet>,
}

/// Keeps fetched keys fresh.
pub struct Keys {
    parts: Arc<Parts>,
    runtime: Handle,
    followed: Mutex<BTreeMap<RemoteLocation, Followed>>,
}

struct Parts {
    source: DocumentSource,
    counts: Arc<KeyCounts>,
    news: KeyNews,
}

struct Followed {
    keys: Arc<RemoteKeys>,
    task: AbortHandle,
    asked: watch::Receiver<bool>,
}

impl Keys {
    /// Begins with no place. Its work is done on `runtime`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        settings: KeySettings,
        counts: Arc<KeyCounts>,
        runtime: Handle,
        news: KeyNews,
    ) -> Result<Self, SupplyError> {
        let KeySettings { authorities, allowed } = settings;
        let may = move |address| may_fetch(address, &allowed);
        let source = DocumentSource::new(&authorities, may)?;
        let parts = Arc::new(Parts { source, counts, news });
        Ok(Keys { parts, runtime, followed: Mutex::default() })
    }

    /// From now on these keys are kept fresh and no others.
    pub fn follow<'k>(&self, keys: impl IntoIterator<Item = &'k Arc<RemoteKeys>>) {
        let mut followed = self.followed.lock();
        let mut before = std::mem::take(&mut *followed);
        for keys in keys {
            let known = before.remove(keys.location());
            let next = match known {
                Some(known) if Arc::ptr_eq(&known.keys, keys) => known,
                other => {
                    other.into_iter().for_each(|other| other.task.abort());
                    self.begin(keys)
                }
            };
            followed.insert(keys.location().clone(), next);
        }
        before.into_values().for_each(|gone| gone.task.abort());
        self.count(&followed);
    }

    /// Waits until each place was asked once, but no longer than two seconds: until keys are there, tokens of their
    /// issuer are refused.
    pub async fn first_answers(&self) {
        let asked: Vec<_> = self.followed.lock().values().map(|each| each.asked.clone()).collect();
        let all = async {
            for mut asked in asked {
                // Its end is an answer too.
                let _ = asked.wait_for(|asked| *asked).await;
            }
        };
        let _ = timeout(FIRST_ANSWERS, all).await;
        self.count(&self.followed.lock());
    }

    fn begin(&self, keys: &Arc<RemoteKeys>) -> Followed {
        let (tell, asked) = watch::channel(false);
        let task = self.runtime.spawn(keep_fresh(self.parts.clone(), keys.clone(), tell));
        Followed { keys: keys.clone(), task: task.abort_handle(), asked }
    }

    fn count(&self, followed: &BTreeMap<RemoteLocation, Followed>) {
        let failing = followed.values().filter(|each| each.keys.failure().is_some()).count();
        let without = followed.values().filter(|each| !each.keys.has_keys()).count();
        self.parts.counts.set_sources(followed.len(), failing, without);
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.followed.lock().values().for_each(|each| each.task.abort());
    }
}

/// Fetches keys, again and again.
async fn keep_fresh(parts: Arc<Parts>, keys: Arc<RemoteKeys>, tell: watch::Sender<bool>) {
    let (mut schedule, mut last) = (Schedule::new(), Vec::new());
    let missed = Arc::new(Notify::new());
    let told = missed.clone();
    keys.watch(move || told.notify_one());
    loop {
        let was_failing = keys.failure().is_some();
        parts.fetch_once(&keys, &mut schedule, &mut last).await;
        tell.send_replace(true);
        if keys.failure().is_some() != was_failing {
            (parts.news)();
        }
        wait(&keys, &schedule, &missed).await;
    }
}

/// Until the keys are to be fetched again: in time, or sooner where a token names a key that is not there.
async fn wait(keys: &RemoteKeys, schedule: &Schedule, missed: &Notify) {
    let since = Instant::now();
    // Who asked before the fetch has had it.
    keys.take_wanted();
    let miss = async {
        while !keys.take_wanted() {
            missed.notified().await;
        }
    };
    if timeout(schedule.next, miss).await.is_ok() {
        sleep_until(since + schedule.soonest.min(schedule.next)).await;
    }
}

impl Parts {
    async fn fetch_once(&self, keys: &RemoteKeys, schedule: &mut Schedule, last: &mut Vec<u8>) {
        let location = keys.location();
        let fetched = fetch(&self.source, location).await;
        let url = location.url.as_str();
        let taken = fetched.and_then(|document| {
            if document.body == *last && keys.has_keys() {
                return Ok((None, document));
            }
            read(&document.body, url).map(|read| (Some(read), document))
        });
        match taken {
            Ok((Some(read), document)) => {
                let (usable, left_out) = (read.set().len(), read.set().left_out().len());
                tracing::info!(url, usable, left_out, "keys for tokens fetched");
                keys.replace(read);
                schedule.changed(document.fresh);
                *last = document.body;
                self.counts.fetched("new");
            }
            Ok((None, document)) => {
                keys.confirm();
                schedule.unchanged(document.fresh);
                self.counts.fetched("same");
            }
            Err(error) => {
                if keys.failure().is_none() {
                    let has_keys = keys.has_keys();
                    tracing::warn!(url, has_keys, "keys for tokens could not be fetched: {error}");
                }
                self.counts.fetched(error.result());
                keys.fail(error.to_string());
                schedule.failed();
            }
        }
    }
}
