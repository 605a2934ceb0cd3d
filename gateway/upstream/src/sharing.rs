//! The HTTP/2 connections of one worker: by endpoint, shared by its requests, another where those there are full.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::task::spawn_local;

use crate::breakers::{Breaker, Entered};
use crate::caller::{Caller, Speaks};
use crate::cluster::Cluster;
use crate::dial::open_socket;
use crate::endpoint::{Endpoint, EndpointId, OpenConnection};
use crate::failure::{ConnectError, UpstreamFailure};
use crate::http2::{Http2, StreamPlace};
use crate::shelf::patience;
use crate::stream_wait::Wait;
use crate::terms::Terms;

/// How often unused connections are looked for, which is also the step in which idleness is measured.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How many requests count on one connection that is still to come about.
const MOST_WAITING: u32 = 100;

/// How many new connections a request sees filled by others before it gives up.
const MOST_ROUNDS: usize = 3;

/// How many connections to one endpoint are kept though some of them are unused; the oldest of those go first. Where
/// each serves one client or one authority alone, clients would open them without end.
const MOST_KEPT: usize = 256;

/// The shared connections of one worker.
#[derive(Default)]
pub(crate) struct Sharing {
    endpoints: RefCell<FxHashMap<EndpointId, Shared>>,
    sweeping: Cell<bool>,
}

/// Those to one endpoint.
struct Shared {
    endpoint: Arc<Endpoint>,
    connections: Vec<Connection>,
    openings: Vec<Rc<Opening>>,
}

struct Connection {
    http2: Rc<Http2>,
    terms: Terms,
    /// How many sweeps it may lie unused, and has.
    patience: u32,
    idle: u32,
}

/// A connection that is coming about, and who waits for it.
struct Opening {
    terms: Terms,
    outcome: RefCell<Option<Result<(), ConnectError>>>,
    done: Notify,
    waiting: Cell<u32>,
}

impl Sharing {
    /// A place on a connection to an endpoint, opened within the cluster's connect timeout where there is none. Requests
    /// that come meanwhile wait for the same one.
    ///
    /// # Errors
    /// No connection came about.
    pub(crate) async fn place(
        self: &Rc<Self>,
        cluster: &Arc<Cluster>,
        endpoint: &Arc<Endpoint>,
        caller: &Caller<'_>,
    ) -> Result<StreamPlace, ConnectError> {
        let terms = Terms::of(cluster, caller);
        let (mut rounds, mut wait) = (0, None::<Wait>);
        while rounds <= MOST_ROUNDS {
            if let Some(place) = self.take_live(endpoint.id, &terms).await {
                return Ok(place);
            }
            if let Some(wait) = &wait
                && !cluster.has_room(Breaker::Connections)
                && !self.has_none(endpoint.id)
            {
                wait.look_again().await?;
                continue;
            }
            match self.opening(cluster, endpoint, &terms) {
                Ok(opening) => {
                    rounds += 1;
                    opening.wait().await?;
                }
                Err(full) if wait.is_none() && is_overflow(&full) => {
                    wait = Some(Wait::begin(cluster, endpoint, full)?);
                }
                Err(error) => return Err(error),
            }
        }
        Err(takes_no_stream(endpoint))
    }

    /// Lets go of the connections to all but these endpoints. What is under way on them goes on.
    pub(crate) fn retain(&self, keep: impl Fn(&Endpoint) -> bool) {
        self.endpoints.borrow_mut().retain(|_, shared| keep(&shared.endpoint));
    }

    /// How many connections nothing is under way on.
    pub(crate) fn idle(&self) -> usize {
        let shared = self.endpoints.borrow();
        let connections = shared.values().flat_map(|shared| &shared.connections);
        connections.filter(|connection| connection.http2.is_unused()).count()
    }

    fn has_none(&self, endpoint: EndpointId) -> bool {
        let endpoints = self.endpoints.borrow();
        endpoints
            .get(&endpoint)
            .is_none_or(|shared| shared.connections.is_empty() && shared.openings.is_empty())
    }

    async fn take_live(&self, endpoint: EndpointId, terms: &Terms) -> Option<StreamPlace> {
        let (place, rested) = self.take(endpoint, terms)?;
        if !rested {
            return Some(place);
        }
        // The runtime looks at the sockets before this goes on.
        tokio::task::yield_now().await;
        if place.connection().is_usable() {
            return Some(place);
        }
        drop(place);
        self.take(endpoint, terms).map(|(place, _)| place)
    }

    /// A place, and whether its connection has lain unused across a sweep.
    fn take(&self, endpoint: EndpointId, terms: &Terms) -> Option<(StreamPlace, bool)> {
        let mut endpoints = self.endpoints.borrow_mut();
        let shared = endpoints.get_mut(&endpoint)?;
        // One that was made under other rules of TLS, or another identity, takes no more.
        shared.connections.retain(|connection| {
            connection.terms.transport == terms.transport && connection.http2.is_usable()
        });
        let mut meant = shared.connections.iter_mut().filter(|each| each.terms == *terms);
        meant.find_map(|connection| {
            let place = connection.http2.take_place()?;
            Some((place, std::mem::take(&mut connection.idle) > 0))
        })
    }

    /// A connection that is coming about and has room, or a new one.
    fn opening(
        self: &Rc<Self>,
        cluster: &Arc<Cluster>,
        endpoint: &Arc<Endpoint>,
        terms: &Terms,
    ) -> Result<Rc<Opening>, ConnectError> {
        let mut endpoints = self.endpoints.borrow_mut();
        let shared = endpoints.entry(endpoint.id).or_insert_with(|| Shared::new(endpoint));
        if shared.takes_none(terms) {
            return Err(takes_no_stream(endpoint));
        }
        let most = shared.most_for_one(cluster, terms);
        let joins = |other: &&Rc<Opening>| other.waiting.get() < most && other.terms == *terms;
        if let Some(opening) = shared.openings.iter().find(joins) {
            return Ok(opening.clone());
        }
        let entered = match cluster.enter(Breaker::Connections) {
            Ok(entered) => entered,
            // A worker that has none opens one all the same.
            Err(_) if shared.connections.is_empty() && shared.openings.is_empty() => {
                cluster.enter_beyond(Breaker::Connections)
            }
            Err(overflow) => {
                let cause = UpstreamFailure::Overflow(overflow);
                return Err(ConnectError { address: endpoint.address(), cause });
            }
        };
        let opening = Rc::new(Opening::new(terms.clone()));
        shared.openings.push(opening.clone());
        let opened = open(cluster.clone(), endpoint.clone(), terms.clone(), entered);
        spawn_local(open_into(self.clone(), endpoint.clone(), opening.clone(), opened));
        Ok(opening)
    }

    fn finish(
        self: &Rc<Self>,
        endpoint: &Arc<Endpoint>,
        opening: &Rc<Opening>,
        outcome: Result<Connection, ConnectError>,
    ) {
        let mut endpoints = self.endpoints.borrow_mut();
        let shared = endpoints.entry(endpoint.id).or_insert_with(|| Shared::new(endpoint));
        shared.openings.retain(|other| !Rc::ptr_eq(other, opening));
        let outcome = outcome.map(|connection| shared.keep(connection));
        *opening.outcome.borrow_mut() = Some(outcome);
        opening.done.notify_waiters();
        if !self.sweeping.replace(true) {
            spawn_local(sweep_until_empty(Rc::downgrade(self)));
        }
    }

    /// Lets go of what has lain unused too long, is too old or has ended; says whether anything is left.
    fn sweep(&self) -> Swept {
        let mut endpoints = self.endpoints.borrow_mut();
        endpoints.retain(|_, shared| {
            if shared.endpoint.is_removed() {
                shared.connections.clear();
            }
            shared.connections.retain_mut(Connection::is_kept);
            !shared.connections.is_empty() || !shared.openings.is_empty()
        });
        if endpoints.is_empty() { Swept::Empty } else { Swept::SomeLeft }
    }
}

#[derive(PartialEq)]
enum Swept {
    Empty,
    SomeLeft,
}

impl Shared {
    fn new(endpoint: &Arc<Endpoint>) -> Self {
        Shared { endpoint: endpoint.clone(), connections: Vec::new(), openings: Vec::new() }
    }

    /// How many requests may count on one connection that is still to come about: as many as there will be places on
    /// it, by what the upstream allows on those that there are.
    fn most_for_one(&self, cluster: &Cluster, terms: &Terms) -> u32 {
        let set = cluster.settings().pool.max_concurrent_streams.unwrap_or(MOST_WAITING);
        let allowed = self.streams_on_each(terms).max().unwrap_or(MOST_WAITING);
        MOST_WAITING.min(set).min(allowed).max(1)
    }

    /// Whether the upstream has allowed no stream on any of several connections, so that one more would be no better.
    fn takes_none(&self, terms: &Terms) -> bool {
        const ENOUGH: usize = 2;
        let allowed = self.streams_on_each(terms);
        allowed.clone().count() >= ENOUGH && allowed.max() == Some(0)
    }

    fn streams_on_each(&self, terms: &Terms) -> impl Iterator<Item = u32> + Clone {
        let alike = self.connections.iter().filter(move |connection| connection.terms == *terms);
        alike.map(|connection| connection.http2.most_streams())
    }

    fn keep(&mut self, connection: Connection) {
        while self.connections.len() >= MOST_KEPT {
            let unused = self.connections.iter().position(|each| each.http2.is_unused());
            let Some(oldest) = unused else { break };
            self.connections.remove(oldest);
        }
        self.connections.push(connection);
    }
}

fn is_overflow(error: &ConnectError) -> bool {
    matches!(error.cause, UpstreamFailure::Overflow(_))
}

fn takes_no_stream(endpoint: &Endpoint) -> ConnectError {
    let cause = UpstreamFailure::ConnectFailed("the upstream takes no stream".to_owned());
    ConnectError { address: endpoint.address(), cause }
}

impl Connection {
    fn is_kept(&mut self) -> bool {
        self.idle = if self.http2.was_idle() { self.idle.saturating_add(1) } else { 0 };
        self.idle < self.patience && self.http2.is_usable()
    }
}

impl Opening {
    fn new(terms: Terms) -> Self {
        let outcome = RefCell::new(None);
        Opening { terms, outcome, done: Notify::new(), waiting: Cell::new(0) }
    }

    async fn wait(&self) -> Result<(), ConnectError> {
        self.waiting.set(self.waiting.get() + 1);
        // Whoever it wakes finds the outcome: all of this is on one thread.
        if self.outcome.borrow().is_none() {
            self.done.notified().await;
        }
        self.outcome.borrow().clone().unwrap_or(Ok(()))
    }
}

/// Opens a connection for all who wait for it. It is kept also where they have gone meanwhile.
async fn open_into(
    sharing: Rc<Sharing>,
    endpoint: Arc<Endpoint>,
    opening: Rc<Opening>,
    opened: impl Future<Output = Result<Connection, ConnectError>>,
) {
    let outcome = opened.await;
    sharing.finish(&endpoint, &opening, outcome);
}

async fn open(
    cluster: Arc<Cluster>,
    endpoint: Arc<Endpoint>,
    terms: Terms,
    entered: Entered,
) -> Result<Connection, ConnectError> {
    let settings = &cluster.settings().pool;
    let opened = open_socket(&cluster, &endpoint, Speaks::Http2, &terms.caller()).await?;
    let counted = (OpenConnection::begin(&endpoint), entered);
    let shaking = Http2::open(opened, settings, counted);
    let failed = |cause| ConnectError { address: endpoint.address(), cause };
    match tokio::time::timeout(settings.connect_timeout, shaking).await {
        Ok(Ok(http2)) => {
            Ok(Connection { http2, terms, patience: patience(settings.idle_timeout), idle: 0 })
        }
        Ok(Err(cause)) => Err(failed(cause)),
        Err(_) => Err(failed(UpstreamFailure::ConnectTimeout)),
    }
}

/// The one sweep task of a worker's shared connections. It ends with them, so that an idle gateway never wakes.
async fn sweep_until_empty(sharing: Weak<Sharing>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(sharing) = sharing.upgrade() else { return };
        if sharing.sweep() == Swept::Empty {
            sharing.sweeping.set(false);
            return;
        }
    }
}
