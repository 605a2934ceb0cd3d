//! Opening a TCP connection to an endpoint.

use std::io;
use std::net::SocketAddr;

use portcullis_model::{ConnectionPool, Keepalive};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::eyeballs::connect_first;
use crate::failure::{ConnectError, UpstreamFailure};

/// Connects within the connect timeout, with `TCP_NODELAY` and probes of silent connections. Says to which of the
/// endpoint's addresses.
///
/// # Errors
/// No connection came about.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    pool: &ConnectionPool,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    match timeout(pool.connect_timeout, attempt(endpoint)).await {
        Ok(Ok((stream, address))) => match set_options(&stream, &pool.keepalive) {
            Ok(()) => Ok((stream, address)),
            Err(error) => Err(failed(address, &error)),
        },
        Ok(Err((address, error))) => Err(failed(address, &error)),
        Err(_) => Err(ConnectError {
            address: endpoint.address(),
            cause: UpstreamFailure::ConnectTimeout,
        }),
    }
}

async fn attempt(endpoint: &Endpoint) -> Result<(TcpStream, SocketAddr), (SocketAddr, io::Error)> {
    match endpoint.addresses() {
        None => {
            let address = endpoint.address();
            let connected = TcpStream::connect(address).await;
            connected.map(|stream| (stream, address)).map_err(|error| (address, error))
        }
        // Few have several, so the race stays out of the others' future.
        Some(addresses) => Box::pin(connect_first(&addresses, TcpStream::connect)).await,
    }
}

fn failed(address: SocketAddr, error: &io::Error) -> ConnectError {
    ConnectError { address, cause: UpstreamFailure::from_connect(error) }
}

fn set_options(stream: &TcpStream, settings: &Keepalive) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut keepalive = TcpKeepalive::new().with_time(settings.after).with_interval(settings.every);
    if let Some(probes) = settings.probes {
        keepalive = keepalive.with_retries(probes);
    }
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn silent_connections_are_probed_as_is_written() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new(listener.local_addr().unwrap());
        let keepalive = Keepalive {
            after: Duration::from_secs(7),
            every: Duration::from_secs(3),
            probes: Some(4),
        };
        for (keepalive, expected) in [(keepalive, (7, 3)), (Keepalive::default(), (60, 15))] {
            let pool = ConnectionPool { keepalive, ..ConnectionPool::default() };
            let (stream, address) = connect(&endpoint, &pool).await.unwrap();
            assert_eq!(address, endpoint.address());
            let socket = SockRef::from(&stream);
            assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
            let times = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval());
            assert_eq!((times.0.unwrap().as_secs(), times.1.unwrap().as_secs()), expected);
            if let Some(probes) = keepalive.probes {
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), probes);
            }
        }
    }
}
