//! Endpoints: one place each that serves a cluster, with what the whole process counts and knows about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use portcullis_model::EndpointAddress;
use tokio::time::Instant;

use crate::breakers::Entered;
use crate::condition::{Condition, EndpointState};
use crate::moment::{instant_of, millis_of};
use crate::outcome::Outcomes;

/// An endpoint's number, unique in this process and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(u64);

/// One place that serves a cluster. All workers and generations share it.
#[derive(Debug)]
pub struct Endpoint {
    /// Its number.
    pub id: EndpointId,
    place: Place,
    /// Requests on their way to it or not answered to the end.
    pub active: AtomicUsize,
    /// How many of them the cluster's limit on requests has counted, or does not mean.
    counted: AtomicUsize,
    /// Open connections to it, idle ones included.
    pub connections: AtomicUsize,
    pub(crate) condition: Condition,
    pub(crate) outcomes: Outcomes,
    /// Since when it serves, in milliseconds: since it came, or since it was found well again.
    serves_since: AtomicU64,
}

/// Where an endpoint listens.
#[derive(Debug)]
enum Place {
    At(SocketAddr),
    /// A name, for new connections at one of these addresses, the preferred one first; never empty.
    Named(EndpointAddress, ArcSwap<Vec<SocketAddr>>),
}

impl Endpoint {
    /// An endpoint at an address, that nothing was sent to yet.
    pub(crate) fn new(address: SocketAddr) -> Arc<Self> {
        Endpoint::with_place(Place::At(address))
    }

    /// An endpoint that is a name, whose addresses come and go.
    pub(crate) fn named(name: EndpointAddress, addresses: Vec<SocketAddr>) -> Arc<Self> {
        Endpoint::with_place(Place::Named(name, ArcSwap::from_pointee(addresses)))
    }

    fn with_place(place: Place) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Arc::new(Endpoint {
            id: EndpointId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            place,
            active: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            condition: Condition::default(),
            outcomes: Outcomes::default(),
            serves_since: AtomicU64::new(millis_of(Instant::now())),
        })
    }

    /// Where the next connection to it goes. Where an endpoint is a name this changes in time, so what a
    /// connection goes to is that connection's to say.
    pub fn address(&self) -> SocketAddr {
        match &self.place {
            Place::At(address) => *address,
            Place::Named(_, addresses) => first(&addresses.load()),
        }
    }

    /// Every address that a connection to it may go to, the preferred one first; `None` where it is one
    /// address.
    pub fn addresses(&self) -> Option<Arc<Vec<SocketAddr>>> {
        match &self.place {
            Place::At(_) => None,
            Place::Named(_, addresses) => Some(addresses.load_full()),
        }
    }

    /// What it is known by within its cluster, whatever its name's addresses are.
    pub(crate) fn key(&self) -> EndpointAddress {
        match &self.place {
            Place::At(address) => EndpointAddress::Socket(*address),
            Place::Named(name, _) => name.clone(),
        }
    }

    /// Has further connections go to other addresses; those that are open stay.
    pub(crate) fn move_to(&self, new: Vec<SocketAddr>) {
        if let Place::Named(_, addresses) = &self.place
            && **addresses.load() != new
        {
            addresses.store(Arc::new(new));
        }
    }

    /// Requests on their way to it or not answered to the end.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Requests under way that a limit on them means and has not counted.
    pub(crate) fn uncounted(&self) -> usize {
        self.active().saturating_sub(self.counted.load(Ordering::Relaxed))
    }

    /// Open connections to it, idle ones included.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Whether it has left its cluster, so that its connections are of no further use when what is under
    /// way on them has ended.
    pub fn is_removed(&self) -> bool {
        self.condition.is_removed()
    }

    /// Whether it takes new requests, and if not, why.
    pub fn state(&self) -> EndpointState {
        self.condition.state()
    }

    /// Requests that it answered well, and those that it did not: 5xx, failures.
    pub fn totals(&self) -> (u64, u64) {
        self.outcomes.totals()
    }

    /// Since when it serves: since it came, or since it was found well again.
    pub fn serves_since(&self) -> Instant {
        instant_of(self.serves_since.load(Ordering::Relaxed))
    }

    pub(crate) fn serves_anew(&self, now: Instant) {
        self.serves_since.store(millis_of(now), Ordering::Relaxed);
    }
}

/// The first address; none can be asked for where there is none.
fn first(addresses: &[SocketAddr]) -> SocketAddr {
    addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// Counts one request as active for as long as it lives.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    endpoint: Arc<Endpoint>,
    under_limit: UnderLimit,
}

/// What an active request is to its cluster's limit on requests.
#[derive(Debug)]
enum UnderLimit {
    /// It is one of those that are limited, and counted where they are.
    Limited(Entered),
    /// It is a connection whose bytes are passed on.
    Apart,
}

impl UnderLimit {
    fn is_settled(&self) -> bool {
        match self {
            UnderLimit::Limited(place) => place.is_counted(),
            UnderLimit::Apart => true,
        }
    }
}

impl ActiveRequest {
    /// Of a request, with its place under the cluster's limit.
    pub(crate) fn begin(endpoint: &Arc<Endpoint>, place: Entered) -> Self {
        ActiveRequest::with(endpoint, UnderLimit::Limited(place))
    }

    /// Of a connection whose bytes are passed on, which no limit on requests means.
    pub(crate) fn begin_apart(endpoint: &Arc<Endpoint>) -> Self {
        ActiveRequest::with(endpoint, UnderLimit::Apart)
    }

    fn with(endpoint: &Arc<Endpoint>, under_limit: UnderLimit) -> Self {
        endpoint.active.fetch_add(1, Ordering::Relaxed);
        if under_limit.is_settled() {
            endpoint.counted.fetch_add(1, Ordering::Relaxed);
        }
        ActiveRequest { endpoint: endpoint.clone(), under_limit }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.endpoint.active.fetch_sub(1, Ordering::Relaxed);
        if self.under_limit.is_settled() {
            self.endpoint.counted.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Counts one open connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Endpoint>);

impl OpenConnection {
    pub(crate) fn begin(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(endpoint.clone())
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
