//! The connections of one worker.

use std::rc::Rc;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::connect::connect;
use crate::endpoint::{ActiveRequest, Endpoint, EndpointId, OpenConnection};
use crate::failure::ConnectError;
use crate::http1::Http1;
use crate::lease::{Lease, Origin};
use crate::shelf::{PooledConnection, Rested, Shelf, patience};
use crate::socket::Socket;

/// The upstream connections of one worker. They never leave its thread; a clone is the same pools.
#[derive(Clone, Default)]
pub struct Pools {
    shelf: Rc<Shelf>,
}

impl Pools {
    /// Pools without a connection.
    pub fn new() -> Self {
        Pools::default()
    }

    /// Takes the most recently used idle connection to an endpoint, or opens one within the cluster's
    /// connect timeout. From here on the request counts as active at the endpoint.
    ///
    /// # Errors
    /// No connection came about; another endpoint may be tried.
    pub async fn checkout(
        &self,
        cluster: &Cluster,
        endpoint: &Arc<Endpoint>,
    ) -> Result<Lease, ConnectError> {
        let active = ActiveRequest::begin(endpoint);
        let (connection, origin) = match self.take_live(endpoint.id).await {
            Some(connection) => (connection, Origin::Reused),
            None => (open(cluster, endpoint).await?, Origin::Opened),
        };
        Ok(Lease { connection, shelf: self.shelf.clone(), active, origin })
    }

    /// Closes the idle connections to endpoints that have left their clusters, as it also comes about by itself
    /// within a second. Those in use go on.
    pub fn drop_removed(&self) {
        self.shelf.retain(|endpoint| !endpoint.is_removed());
    }

    /// Closes all idle connections.
    pub fn close_idle(&self) {
        self.shelf.retain(|_| false);
    }

    /// How many connections lie idle.
    pub fn idle(&self) -> usize {
        self.shelf.len()
    }

    async fn take_live(&self, endpoint: EndpointId) -> Option<PooledConnection> {
        loop {
            let mut taken = self.shelf.take(endpoint)?;
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
) -> Result<PooledConnection, ConnectError> {
    let settings = cluster.settings();
    let stream = connect(endpoint.address(), settings.pool.connect_timeout).await?;
    let counted = OpenConnection::begin(endpoint);
    let patience = patience(settings.pool.idle_timeout);
    Ok(PooledConnection { http1: Http1::open(Socket::plain(stream)), counted, patience })
}
