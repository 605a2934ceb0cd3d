//! Opening a TCP connection to an endpoint.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::failure::{ConnectError, UpstreamFailure};

/// When a silent connection is first probed, and how often then: a dead node is noticed within two
/// minutes, and firewalls between keep their entries.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// Connects within a time, with `TCP_NODELAY` and keep-alive probes.
pub(crate) async fn connect(
    address: SocketAddr,
    within: Duration,
) -> Result<TcpStream, ConnectError> {
    let failed = |cause| ConnectError { address, cause };
    match tokio::time::timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => set_options(stream)
            .map_err(|error| failed(UpstreamFailure::ConnectFailed(error.to_string()))),
        Ok(Err(error)) => Err(failed(UpstreamFailure::from_connect(&error))),
        Err(_) => Err(failed(UpstreamFailure::ConnectTimeout)),
    }
}

fn set_options(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}
