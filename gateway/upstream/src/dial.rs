//! Opening a connection to an endpoint: TCP, and what its cluster has on it.

use tokio::time::{Instant, timeout_at};

use crate::caller::{Caller, Speaks};
use crate::cluster::Cluster;
use crate::connect::connect;
use crate::endpoint::Endpoint;
use crate::failure::{ConnectError, UpstreamFailure};
use crate::socket::Socket;

/// Opens a connection to an endpoint, ready for HTTP or for bytes, all within the cluster's connect timeout.
///
/// # Errors
/// No connection came about: nothing that a client said was sent.
pub(crate) async fn open_socket(
    cluster: &Cluster,
    endpoint: &Endpoint,
    speaks: Speaks,
    caller: &Caller<'_>,
) -> Result<Socket, ConnectError> {
    let transport = cluster.transport();
    if transport.is_bare() {
        let (stream, address) = connect(endpoint, &cluster.settings().pool).await?;
        return Ok(Socket::plain(stream, address));
    }
    transport.check().map_err(|cause| ConnectError { address: endpoint.address(), cause })?;
    let deadline = Instant::now() + cluster.settings().pool.connect_timeout;
    let (stream, address) = connect(endpoint, &cluster.settings().pool).await?;
    let failed = |cause| ConnectError { address, cause };
    // Beside a handshake an allocation is nothing, and it keeps other futures small.
    let dressed = Box::pin(transport.dress(stream, address, endpoint.id, speaks, caller));
    match timeout_at(deadline, dressed).await {
        Ok(socket) => socket.map_err(failed),
        Err(_) => Err(failed(UpstreamFailure::Tls("handshake timeout".to_owned()))),
    }
}
