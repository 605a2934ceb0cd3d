//! How requests are shared among the endpoints of a cluster (DestinationRule's `loadBalancer`).

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;

/// How a cluster's endpoints share its requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Balancing {
    /// Which endpoint is next.
    pub balancer: Balancer,
    /// Preferences by where endpoints run; `None` where none are written.
    pub locality: Option<LocalityBalancing>,
    /// How new endpoints come to their share slowly.
    pub warmup: Option<Warmup>,
}

/// Which endpoint is next.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Balancer {
    /// `LEAST_REQUEST`: of two drawn by weight, the one with fewer active requests in the whole process.
    #[default]
    LeastRequest,
    /// `ROUND_ROBIN`: one after the other, by weight.
    RoundRobin,
    /// `RANDOM`: drawn by weight.
    Random,
    /// `PASSTHROUGH`: the address that the client asked for, where it is known.
    Passthrough,
    /// `consistentHash`: the same key goes to the same endpoint, as long as it is there.
    Hash {
        /// What is hashed.
        key: HashKey,
        /// How endpoints are found by a hash.
        ring: Ring,
    },
}

/// What a consistent hash is taken of.
#[derive(Clone, Debug, PartialEq)]
pub enum HashKey {
    /// A request header's value.
    Header(HeaderName),
    /// A cookie, made and sent to the client where it has none.
    Cookie(AffinityCookie),
    /// The client's address, as the access log shows it.
    SourceAddress,
    /// A query parameter.
    Query(Box<str>),
}

/// The cookie that keeps a client with its endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct AffinityCookie {
    /// Its name.
    pub name: Box<str>,
    /// Its `Path`.
    pub path: Option<Box<str>>,
    /// How long it lasts; zero is a session cookie; `None` makes no cookie, a client's own is used alone.
    pub ttl: Option<Duration>,
    /// Further attributes, as `SameSite=Lax`.
    pub attributes: Vec<(Box<str>, Option<Box<str>>)>,
}

/// How endpoints are found by a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// `ringHash`: a ring with at least so many entries (1024).
    Ring(u32),
    /// `maglev`: a table of so many entries (65537), a prime.
    Maglev(u32),
}

/// Preferences by where endpoints run (`localityLbSetting`). The gateway's own locality is the worker's matter.
#[derive(Clone, Debug, PartialEq)]
pub enum LocalityBalancing {
    /// `enabled: false`: localities mean nothing.
    Off,
    /// `distribute`: shares of the load for callers of a locality.
    Distribute(Arc<[Distribute]>),
    /// `failover`: the nearest first, and of regions those written.
    Failover(Arc<[Failover]>),
    /// `failoverPriority`: the more labels in common, the nearer.
    FailoverPriority(Arc<[Box<str>]>),
}

/// One entry of `distribute`.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribute {
    /// Callers of which locality, as `region/zone/*`.
    pub from: Box<str>,
    /// Localities with their shares, which sum to 100.
    pub to: Vec<(Box<str>, u32)>,
}

/// One entry of `failover`.
#[derive(Clone, Debug, PartialEq)]
pub struct Failover {
    /// From which region.
    pub from: Box<str>,
    /// To which.
    pub to: Box<str>,
}

/// How new endpoints come to their share slowly (`warmup`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    /// How long that takes.
    pub duration: Duration,
    /// The share at the beginning, in percent (10).
    pub minimum_percent: f64,
    /// The curve: 1 is a straight line, more is slower at first.
    pub aggression: f64,
}
