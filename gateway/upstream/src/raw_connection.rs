//! Connections whose bytes are passed on as they come.

use std::sync::Arc;

use tokio::net::TcpStream;

use crate::cluster::Cluster;
use crate::connect::connect;
use crate::endpoint::{ActiveRequest, Endpoint, OpenConnection};
use crate::failure::ConnectError;

/// A connection to an endpoint that is nobody else's; it counts at the endpoint for as long as it lives.
#[derive(Debug)]
pub struct RawConnection {
    /// The connection.
    pub stream: TcpStream,
    _active: ActiveRequest,
    _open: OpenConnection,
}

impl RawConnection {
    /// Connects within the cluster's connect timeout. From here on it counts as active at the endpoint.
    ///
    /// # Errors
    /// No connection came about; another endpoint may be tried.
    pub async fn open(cluster: &Cluster, endpoint: &Arc<Endpoint>) -> Result<Self, ConnectError> {
        let active = ActiveRequest::begin(endpoint);
        let stream = connect(endpoint.address(), cluster.settings().pool.connect_timeout).await?;
        let open = OpenConnection::begin(endpoint);
        Ok(RawConnection { stream, _active: active, _open: open })
    }
}
