//! A connection of HTTP/1 for a request that found none idle.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::breakers::{Breaker, Entered, Overflow};
use crate::caller::Speaks;
use crate::cluster::Cluster;
use crate::dial::open_socket;
use crate::endpoint::{Endpoint, OpenConnection};
use crate::failure::{ConnectError, UpstreamFailure};
use crate::http1::Http1;
use crate::pooled::{Bounds, Places, PooledConnection};
use crate::shelf::{Shelf, patience};
use crate::tally::Listener;
use crate::terms::Terms;
use crate::waiting::{Given, InQueue, Waiter};

/// A new connection, or one that comes back meanwhile, whichever is first. The new one then goes to the shelf. Where the
/// cluster has as many connections as it may, the request waits for one of its worker's to come back or to close; a
/// worker that has none opens one all the same, since nobody would bring it any.
///
/// # Errors
/// No connection came about, or too many requests wait for one.
pub(crate) async fn open_or_wait(
    shelf: &Rc<Shelf>,
    cluster: &Arc<Cluster>,
    endpoint: &Arc<Endpoint>,
    terms: Terms,
) -> Given {
    let _pending = cluster.place_for(Breaker::Pending, endpoint)?;
    let place = shelf.waiting().join(endpoint.id, terms.clone());
    let (task, refused) = (None, None);
    let mut opening = Opening { shelf, cluster, endpoint, terms, place, task, refused };
    let waiting = poll_fn(|cx| opening.poll(cx));
    // A connect has the same time by itself; what comes back may take as long.
    match timeout(cluster.settings().pool.connect_timeout * 2, waiting).await {
        Ok(given) => given,
        Err(_) => {
            let cause = UpstreamFailure::Overflow(Overflow(Breaker::Connections));
            Err(ConnectError { address: endpoint.address(), cause })
        }
    }
}

/// A new connection, whatever lies idle.
///
/// # Errors
/// No connection came about, or the cluster has as many as it may.
pub(crate) async fn open_new(
    shelf: &Rc<Shelf>,
    cluster: &Arc<Cluster>,
    endpoint: &Arc<Endpoint>,
    terms: Terms,
) -> Result<PooledConnection, ConnectError> {
    let entered = cluster.place_for(Breaker::Connections, endpoint)?;
    let mine = shelf.tally().enter(endpoint.id);
    open(cluster.clone(), endpoint.clone(), terms, (entered, mine)).await
}

/// One request that waits.
struct Opening<'o> {
    shelf: &'o Rc<Shelf>,
    cluster: &'o Arc<Cluster>,
    endpoint: &'o Arc<Endpoint>,
    terms: Terms,
    place: InQueue,
    task: Option<Task>,
    refused: Option<Refused>,
}

impl Opening<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Given> {
        if let Poll::Ready(given) = self.place.poll_given(cx) {
            if let Some(task) = &mut self.task {
                // It goes on without this request.
                task.ends = Ends::ByItself;
            }
            return Poll::Ready(given);
        }
        if self.task.is_none() {
            match self.allowance() {
                Some(entered) => self.task = Some(self.open(entered)),
                None => self.refused.get_or_insert_with(|| Refused::new(self.shelf)).listen(cx),
            }
        }
        Poll::Pending
    }

    /// A place among the cluster's connections.
    fn allowance(&self) -> Option<Entered> {
        let has_none = self.shelf.tally().open(self.endpoint.id) == 0;
        // That it was refused is counted once.
        if self.refused.is_some() && !has_none && !self.cluster.has_room(Breaker::Connections) {
            return None;
        }
        match self.cluster.enter(Breaker::Connections) {
            Ok(entered) => Some(entered),
            Err(_) => has_none.then(|| self.cluster.enter_beyond(Breaker::Connections)),
        }
    }

    fn open(&self, entered: Entered) -> Task {
        let mine = self.shelf.tally().enter(self.endpoint.id);
        let (cluster, endpoint) = (self.cluster.clone(), self.endpoint.clone());
        let opened = open(cluster, endpoint, self.terms.clone(), (entered, mine));
        let opening = open_for(self.shelf.clone(), self.place.waiter(), opened);
        Task { handle: spawn_local(opening).abort_handle(), ends: Ends::WithItsRequest }
    }
}

/// How often a request that may open no connection looks whether another worker has left it a place: its own tells it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What wakes a request that may open no connection.
struct Refused {
    listener: Listener,
    timer: Pin<Box<Sleep>>,
}

impl Refused {
    fn new(shelf: &Shelf) -> Self {
        Refused { listener: shelf.tally().listen(), timer: Box::pin(sleep(LOOK_AGAIN)) }
    }

    fn listen(&mut self, cx: &mut Context<'_>) {
        self.listener.tell(cx.waker());
        while self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(Instant::now() + LOOK_AGAIN);
        }
    }
}

/// A connection that is coming about.
struct Task {
    handle: AbortHandle,
    ends: Ends,
}

/// What becomes of a connect when its request needs it no more.
#[derive(PartialEq)]
enum Ends {
    /// The request has gone for good: nobody asked for the connection.
    WithItsRequest,
    /// The request got another one; the next is likely to need this.
    ByItself,
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.ends == Ends::WithItsRequest {
            self.handle.abort();
        }
    }
}

async fn open_for(
    shelf: Rc<Shelf>,
    waiter: Rc<Waiter>,
    opened: impl Future<Output = Result<PooledConnection, ConnectError>>,
) {
    match opened.await {
        // Whoever waits longest gets it.
        Ok(connection) => shelf.put_new(connection),
        Err(error) => waiter.fail(error),
    }
}

async fn open(
    cluster: Arc<Cluster>,
    endpoint: Arc<Endpoint>,
    terms: Terms,
    places: Places,
) -> Result<PooledConnection, ConnectError> {
    let socket = open_socket(&cluster, &endpoint, Speaks::Http1, &terms.caller()).await?;
    let counted = OpenConnection::begin(&endpoint);
    let pool = &cluster.settings().pool;
    let (patience, bounds) = (patience(pool.idle_timeout), Bounds::of(pool));
    Ok(PooledConnection { http1: Http1::open(socket), counted, terms, patience, bounds, places })
}
