//! The connections of one worker.

use std::rc::Rc;
use std::sync::Arc;

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::endpoint::{Endpoint, EndpointId};
use crate::failure::{ConnectError, UpstreamFailure};
use crate::lease::{Lease, Way};
use crate::opening::{open_new, open_or_wait};
use crate::pooled::{Origin, PooledConnection};
use crate::sharing::Sharing;
use crate::shelf::{Rested, Shelf};
use crate::spoken::Spoken;
use crate::terms::Terms;
use crate::waiting::Given;

/// The upstream connections of one worker. They never leave its thread; a clone is the same pools.
#[derive(Clone, Default)]
pub struct Pools {
    shelf: Rc<Shelf>,
    sharing: Rc<Sharing>,
}

impl Pools {
    /// Pools without a connection.
    pub fn new() -> Self {
        Pools::default()
    }

    /// Takes the most recently used idle connection to an endpoint, or a place on one that others use where HTTP/2 is
    /// spoken; where there is none, opens one within the cluster's connect timeout. From here on the request counts as
    /// active at the endpoint.
    ///
    /// # Errors
    /// No connection came about; another endpoint may be tried.
    pub async fn checkout(
        &self,
        cluster: &Arc<Cluster>,
        endpoint: &Arc<Endpoint>,
        spoken: Spoken,
    ) -> Result<Lease, ConnectError> {
        self.checkout_for(cluster, endpoint, spoken, Caller::default()).await
    }

    /// The same for a caller: a connection that an endpoint tells one from another by serves that one alone.
    ///
    /// # Errors
    /// As above.
    pub async fn checkout_for(
        &self,
        cluster: &Arc<Cluster>,
        endpoint: &Arc<Endpoint>,
        spoken: Spoken,
        caller: Caller<'_>,
    ) -> Result<Lease, ConnectError> {
        let active = cluster.begin_request(endpoint)?;
        let (way, origin) = match spoken {
            Spoken::Http1 => {
                let (connection, origin) = self.take_or_open(cluster, endpoint, &caller).await?;
                (Way::Http1(connection), origin)
            }
            // What it may wait for stays out of the future of those who speak HTTP/1.
            Spoken::Http2 => {
                let place = Box::pin(self.sharing.place(cluster, endpoint, &caller)).await?;
                let used = place.connection().is_used();
                (Way::Http2(place), if used { Origin::Reused } else { Origin::Opened })
            }
        };
        Ok(Lease { way, shelf: self.shelf.clone(), active, origin })
    }

    /// As [`checkout_for`](Self::checkout_for), but never on a connection of HTTP/1 that lay idle: for a request whose
    /// connection turned out to be closed. Only where no more may be opened it takes what comes back.
    ///
    /// # Errors
    /// As above.
    pub async fn checkout_fresh(
        &self,
        cluster: &Arc<Cluster>,
        endpoint: &Arc<Endpoint>,
        spoken: Spoken,
        caller: Caller<'_>,
    ) -> Result<Lease, ConnectError> {
        if spoken == Spoken::Http2 {
            return self.checkout_for(cluster, endpoint, spoken, caller).await;
        }
        let active = cluster.begin_request(endpoint)?;
        let terms = Terms::of(cluster, &caller);
        let opened = Box::pin(open_new(&self.shelf, cluster, endpoint, terms.clone())).await;
        let (connection, origin) = match opened {
            Ok(connection) => (connection, Origin::Opened),
            // Where it has to wait it takes what comes.
            Err(ConnectError { cause: UpstreamFailure::Overflow(_), .. }) => {
                Box::pin(open_or_wait(&self.shelf, cluster, endpoint, terms)).await?
            }
            Err(error) => return Err(error),
        };
        Ok(Lease { way: Way::Http1(connection), shelf: self.shelf.clone(), active, origin })
    }

    async fn take_or_open(
        &self,
        cluster: &Arc<Cluster>,
        endpoint: &Arc<Endpoint>,
        caller: &Caller<'_>,
    ) -> Given {
        let terms = Terms::of(cluster, caller);
        if let Some(connection) = self.take_live(endpoint.id, &terms).await {
            return Ok((connection, Origin::Reused));
        }
        // Rare beside what is taken, so it stays out of the future of those.
        Box::pin(open_or_wait(&self.shelf, cluster, endpoint, terms)).await
    }

    /// Closes the idle connections to endpoints that have left their clusters, as it also comes about by itself
    /// within a second. Those in use go on.
    pub fn drop_removed(&self) {
        self.shelf.retain(|endpoint| !endpoint.is_removed());
        self.sharing.retain(|endpoint| !endpoint.is_removed());
    }

    /// Closes all idle connections.
    pub fn close_idle(&self) {
        self.shelf.retain(|_| false);
        self.sharing.retain(|_| false);
    }

    /// How many connections lie idle.
    pub fn idle(&self) -> usize {
        self.shelf.len() + self.sharing.idle()
    }

    async fn take_live(&self, endpoint: EndpointId, terms: &Terms) -> Option<PooledConnection> {
        loop {
            let mut taken = self.shelf.take(endpoint, terms)?;
            if taken.rested == Rested::Long {
                // The runtime looks at the sockets before this goes on.
                tokio::task::yield_now().await;
            }
            if taken.connection.http1.is_quiet() {
                return Some(taken.connection);
            }
        }
    }
}
