//! DNS as a test wants it, without a network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::ask::{Ask, Asking, Family, LookupFailure, Records};

type Script = BTreeMap<(String, bool), Option<Result<Records, LookupFailure>>>;

/// Answers by name and family; what nothing was said of does not exist.
pub(crate) struct Scripted {
    script: Mutex<Script>,
    asked: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Scripted { script: Mutex::default(), asked: AtomicUsize::new(0) })
    }

    /// What is said from now on: seconds and addresses.
    pub(crate) fn say(
        &self,
        name: &str,
        family: Family,
        said: Result<(u64, &[&str]), LookupFailure>,
    ) {
        let records = said.map(|(ttl, addresses)| Records {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ttl: Duration::from_secs(ttl),
        });
        self.script.lock().insert((name.to_owned(), family == Family::V4), Some(records));
    }

    /// Nothing is said from now on.
    pub(crate) fn silence(&self, name: &str, family: Family) {
        self.script.lock().insert((name.to_owned(), family == Family::V4), None);
    }

    /// How many questions came.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Ask for Scripted {
    fn ask<'a>(&'a self, name: &'a str, family: Family) -> Asking<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let said = self.script.lock().get(&(name.to_owned(), family == Family::V4)).cloned();
        Box::pin(async move {
            match said {
                Some(Some(said)) => said,
                Some(None) => std::future::pending().await,
                None => Err(LookupFailure::NoSuchName),
            }
        })
    }
}
