//! Sessions that a worker may resume, by endpoint: a ticket is of use only to the one who gave it.

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustls::client::{ClientSessionMemoryCache, Resumption};

use crate::endpoint::EndpointId;

/// For how many endpoints a worker keeps sessions.
const MOST_ENDPOINTS: usize = 1024;
/// How many server names an endpoint has sessions for.
const NAMES: usize = 4;

thread_local! {
    /// Each belongs to one thread, so that its lock is never waited for.
    static SESSIONS: RefCell<FxHashMap<(u64, EndpointId), Arc<ClientSessionMemoryCache>>> =
        RefCell::default();
}

/// The sessions with an endpoint under one identity and one set of rules, which the number stands for.
pub(crate) fn sessions_with(rules: u64, endpoint: EndpointId) -> Resumption {
    SESSIONS.with_borrow_mut(|sessions| {
        let key = (rules, endpoint);
        if sessions.len() >= MOST_ENDPOINTS && !sessions.contains_key(&key) {
            sessions.clear();
        }
        let kept =
            sessions.entry(key).or_insert_with(|| Arc::new(ClientSessionMemoryCache::new(NAMES)));
        Resumption::store(kept.clone())
    })
}
