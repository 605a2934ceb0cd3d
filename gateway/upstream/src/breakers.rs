//! Circuit breakers: what all workers together may have under way at a cluster.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use portcullis_model::ConnectionPool;

/// What is limited. Repeats have [their own](crate::Repeats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Open connections (`tcp.maxConnections`).
    Connections,
    /// Requests that wait for a connection (`http.http1MaxPendingRequests`).
    Pending,
    /// Requests under way (`http.http2MaxRequests`).
    Requests,
}

impl Breaker {
    /// All of them.
    pub const ALL: [Breaker; 3] = [Breaker::Connections, Breaker::Pending, Breaker::Requests];

    /// The word that metrics and `/clusters` have for it.
    pub fn word(self) -> &'static str {
        match self {
            Breaker::Connections => "connections",
            Breaker::Pending => "pending",
            Breaker::Requests => "requests",
        }
    }

    /// The limit that is set; `None` is none.
    pub fn limit(self, pool: &ConnectionPool) -> Option<u32> {
        match self {
            Breaker::Connections => pool.max_connections,
            Breaker::Pending => pool.max_pending,
            Breaker::Requests => pool.max_requests,
        }
    }
}

/// As much is under way at the cluster as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit of {} reached", .0.word())]
pub struct Overflow(pub Breaker);

/// What is under way at a cluster, in all its generations. Requests are counted only from when they are limited on: that
/// costs each of them something, and connections are few beside them.
#[derive(Debug, Default)]
pub(crate) struct Breakers {
    gauges: [Gauge; 3],
    counts_requests: AtomicBool,
}

#[derive(Debug, Default)]
struct Gauge {
    now: AtomicU32,
    refused: AtomicU64,
}

/// A place under a limit, for as long as it lives.
#[must_use = "the place is given up when this is dropped"]
#[derive(Default)]
pub struct Entered(Option<(Arc<Breakers>, Breaker)>);

impl Breakers {
    /// Takes a place, beside so many that are taken by what is not counted.
    pub(crate) fn enter(
        self: &Arc<Self>,
        breaker: Breaker,
        limit: Option<u32>,
        uncounted: u32,
    ) -> Result<Entered, Overflow> {
        let Some(limit) = limit else { return Ok(self.enter_beyond(breaker)) };
        let Some(gauge) = self.gauges.get(breaker as usize) else { return Ok(Entered(None)) };
        // Counted first and looked at then: never too many get in, at worst one too few.
        if gauge.now.fetch_add(1, Ordering::Relaxed).saturating_add(uncounted) >= limit {
            gauge.now.fetch_sub(1, Ordering::Relaxed);
            gauge.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Overflow(breaker));
        }
        Ok(Entered(Some((self.clone(), breaker))))
    }

    /// Takes a place whatever the limit is.
    pub(crate) fn enter_beyond(self: &Arc<Self>, breaker: Breaker) -> Entered {
        if breaker == Breaker::Requests && !self.counts_requests.load(Ordering::Relaxed) {
            return Entered(None);
        }
        let Some(gauge) = self.gauges.get(breaker as usize) else { return Entered(None) };
        gauge.now.fetch_add(1, Ordering::Relaxed);
        Entered(Some((self.clone(), breaker)))
    }

    /// Has requests counted from here on; says whether that is news.
    pub(crate) fn begin_counting(&self) -> bool {
        !self.counts_requests.swap(true, Ordering::Relaxed)
    }

    /// Requests need not be counted any more.
    pub(crate) fn end_counting(&self) {
        self.counts_requests.store(false, Ordering::Relaxed);
    }

    /// How many places are taken, and how often there was none left.
    pub(crate) fn reading(&self, breaker: Breaker) -> (u32, u64) {
        self.gauges.get(breaker as usize).map_or((0, 0), |gauge| {
            (gauge.now.load(Ordering::Relaxed), gauge.refused.load(Ordering::Relaxed))
        })
    }
}

impl Entered {
    /// Whether it is counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some((breakers, breaker)) = &self.0
            && let Some(gauge) = breakers.gauges.get(*breaker as usize)
        {
            gauge.now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entered").field(&self.0.as_ref().map(|(_, breaker)| breaker)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let breakers = Arc::new(Breakers::default());
        let enter = || breakers.enter(Breaker::Requests, Some(2), 0);
        let (first, _second) = (enter().unwrap(), enter().unwrap());
        assert_eq!(enter().err(), Some(Overflow(Breaker::Requests)));
        assert_eq!(breakers.reading(Breaker::Requests), (2, 1));
        drop(first);
        assert!(enter().is_ok());
        assert!(breakers.enter(Breaker::Requests, Some(2), 1).is_err());
        assert!(breakers.enter(Breaker::Pending, Some(0), 0).is_err());
    }

    #[test]
    fn where_there_is_no_limit_requests_alone_are_not_counted() {
        let breakers = Arc::new(Breakers::default());
        let enter = || Breaker::ALL.map(|breaker| breakers.enter(breaker, None, 0).unwrap());
        let now = || Breaker::ALL.map(|breaker| breakers.reading(breaker).0);
        let uncounted = enter();
        assert_eq!(now(), [1, 1, 0]);
        assert!(breakers.begin_counting() && !breakers.begin_counting());
        let counted = enter();
        drop(uncounted);
        assert_eq!(now(), [1, 1, 1]);
        drop(counted);
        assert_eq!(now(), [0; 3]);
    }
}
