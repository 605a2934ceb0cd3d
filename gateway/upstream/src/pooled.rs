//! A connection of HTTP/1 with what the pools know of it.

use std::time::{Duration, Instant};

use portcullis_model::ConnectionPool;

use crate::breakers::Entered;
use crate::endpoint::OpenConnection;
use crate::http1::Http1;
use crate::random::draw_below;
use crate::tally::Mine;
use crate::terms::Terms;

/// An open connection and the endpoint that it goes to.
#[derive(Debug)]
pub(crate) struct PooledConnection {
    pub(crate) http1: Box<Http1>,
    pub(crate) counted: OpenConnection,
    pub(crate) terms: Terms,
    /// How many sweeps it may lie unused.
    pub(crate) patience: u32,
    /// Where its cluster limits what one connection serves.
    pub(crate) bounds: Option<Box<Bounds>>,
    pub(crate) places: Places,
}

/// Where a leased connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was opened for this request.
    Opened,
    /// It served another before.
    Reused,
}

/// A connection's places: among its cluster's connections, and among its worker's.
pub(crate) type Places = (Entered, Mine);

/// What a connection may still do.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// When it takes no further request.
    expires: Option<Instant>,
    /// Requests that it may still take, the present one included.
    requests_left: u32,
}

impl Bounds {
    /// Those of a new connection; `None` where its cluster has no limits.
    pub(crate) fn of(pool: &ConnectionPool) -> Option<Box<Self>> {
        let limited =
            pool.max_connection_duration.is_some() || pool.max_requests_per_connection.is_some();
        limited.then(|| {
            Box::new(Bounds {
                expires: pool.max_connection_duration.map(expiry),
                requests_left: pool.max_requests_per_connection.unwrap_or(u32::MAX),
            })
        })
    }
}

impl PooledConnection {
    /// A request has ended on it; says whether it may take another.
    pub(crate) fn has_served(&mut self) -> bool {
        match &mut self.bounds {
            None => true,
            Some(bounds) => {
                bounds.requests_left = bounds.requests_left.saturating_sub(1);
                bounds.requests_left > 0 && !self.is_expired()
            }
        }
    }

    /// Whether it is too old.
    pub(crate) fn is_expired(&self) -> bool {
        let expires = self.bounds.as_ref().and_then(|bounds| bounds.expires);
        expires.is_some_and(|expires| expires <= Instant::now())
    }
}

/// When a connection is too old: a tenth earlier at most, so that those that were opened together do not go together.
pub(crate) fn expiry(longest: Duration) -> Instant {
    let tenth = u64::try_from(longest.as_millis() / 10).unwrap_or(u64::MAX);
    let early = if tenth == 0 { 0 } else { draw_below(tenth) };
    let now = Instant::now();
    now.checked_add(longest.saturating_sub(Duration::from_millis(early))).unwrap_or(now)
}
