//! The connections of one worker.

use std::rc::Rc;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::endpoint::{ActiveRequest, Endpoint, EndpointId, OpenConnection};
use crate::failure::ConnectError;
use crate::http1::Http1;
use crate::lease::{Lease, Origin, Way};
use crate::sharing::Sharing;
use crate::shelf::{PooledConnection, Rested, Shelf, patience};
use crate::spoken::Spoken;
use crate::transport::{Caller, Reservation, Speaks, open_socket};

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
        let active = ActiveRequest::begin(endpoint);
        let (way, origin) = match spoken {
            Spoken::Http1 => self.take_or_open(cluster, endpoint, caller).await?,
            // What it may wait for stays out of the future of those who speak HTTP/1.
            Spoken::Http2 => {
                let place = Box::pin(self.sharing.place(cluster, endpoint, &caller)).await?;
                let used = place.connection().is_used();
                (Way::Http2(place), if used { Origin::Reused } else { Origin::Opened })
            }
        };
        Ok(Lease { way, shelf: self.shelf.clone(), active, origin })
    }

    async fn take_or_open(
        &self,
        cluster: &Cluster,
        endpoint: &Arc<Endpoint>,
        caller: Caller<'_>,
    ) -> Result<(Way, Origin), ConnectError> {
        let reserved = cluster.transport().reservation(&caller).map(Box::new);
        let taken = self.take_live(cluster, endpoint.id, reserved.as_deref()).await;
        Ok(match taken {
            Some(connection) => (Way::Http1(connection), Origin::Reused),
            // Rare beside what is taken, so it stays out of the future of those.
            None => {
                let opened = Box::pin(open(cluster, endpoint, caller, reserved)).await?;
                (Way::Http1(opened), Origin::Opened)
            }
        })
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

    async fn take_live(
        &self,
        cluster: &Cluster,
        endpoint: EndpointId,
        reserved: Option<&Reservation>,
    ) -> Option<PooledConnection> {
        loop {
            let mut taken = self.shelf.take(endpoint, reserved)?;
            if taken.connection.transport != cluster.transport().number() {
                // It was made under other rules of TLS, or another identity.
                continue;
            }
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

async fn open(
    cluster: &Cluster,
    endpoint: &Arc<Endpoint>,
    caller: Caller<'_>,
    reserved: Option<Box<Reservation>>,
) -> Result<PooledConnection, ConnectError> {
    let socket = open_socket(cluster, endpoint, Speaks::Http1, &caller).await?;
    let counted = OpenConnection::begin(endpoint);
    let patience = patience(cluster.settings().pool.idle_timeout);
    let transport = cluster.transport().number();
    Ok(PooledConnection { http1: Http1::open(socket), counted, patience, transport, reserved })
}
