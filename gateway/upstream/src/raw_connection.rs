//! Connections whose bytes are passed on as they come.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use portcullis_exchange::UpstreamTlsFacts;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::breakers::{Breaker, Entered};
use crate::caller::{Caller, Speaks};
use crate::cluster::Cluster;
use crate::dial::open_socket;
use crate::endpoint::{ActiveRequest, Endpoint, OpenConnection};
use crate::failure::ConnectError;
use crate::socket::Socket;

/// A connection to an endpoint that is nobody else's; it counts at the endpoint for as long as it lives.
#[derive(Debug)]
pub struct RawConnection {
    socket: Socket,
    _active: ActiveRequest,
    _open: OpenConnection,
    /// Its place under the cluster's limit.
    _place: Entered,
}

impl RawConnection {
    /// Connects within the cluster's connect timeout. From here on it counts as active at the endpoint.
    ///
    /// # Errors
    /// No connection came about; another endpoint may be tried.
    pub async fn open(
        cluster: &Cluster,
        endpoint: &Arc<Endpoint>,
        caller: Caller<'_>,
    ) -> Result<Self, ConnectError> {
        let active = ActiveRequest::begin_apart(endpoint);
        let place = cluster.place_for(Breaker::Connections, endpoint)?;
        let socket = open_socket(cluster, endpoint, Speaks::Bytes, &caller).await?;
        let open = OpenConnection::begin(endpoint);
        Ok(RawConnection { socket, _active: active, _open: open, _place: place })
    }

    /// Where it goes to. An endpoint that is a name may lead elsewhere by now.
    pub fn peer(&self) -> SocketAddr {
        self.socket.peer()
    }

    /// Our own address on the connection.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.socket.local_address()
    }

    /// What its TLS handshake settled; `None` in plain text.
    pub fn tls(&self) -> Option<&Arc<UpstreamTlsFacts>> {
        self.socket.tls_facts()
    }

    /// Has its end tell the upstream that something failed.
    pub fn end_with_reset(&self) {
        let _ = SockRef::from(self.socket.tcp()).set_linger(Some(Duration::ZERO));
    }
}

impl AsyncRead for RawConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buffer)
    }
}

/// A write that fails leaves what had come readable.
impl AsyncWrite for RawConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().socket.poll_write_or_fail(cx, &[IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket.poll_shutdown(cx)
    }
}
