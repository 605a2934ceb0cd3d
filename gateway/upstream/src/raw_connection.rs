//! Connections that are no pool's: for bytes that are passed on as they come, and for health checks.

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

/// A connection to an endpoint that is nobody else's.
#[derive(Debug)]
pub struct RawConnection {
    socket: Socket,
    /// What it counts as at its endpoint and under the cluster's limit, for as long as it lives.
    _counted: Option<(ActiveRequest, OpenConnection, Entered)>,
}

/// What a health check speaks on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeSpeaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Nothing: that it comes about is enough.
    Nothing,
}

impl RawConnection {
    /// Connects within the cluster's connect timeout, for bytes that are passed on. From here on it counts as active at
    /// the endpoint.
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
        Ok(RawConnection { socket, _counted: Some((active, open, place)) })
    }

    /// Connects as the cluster's requests do, TLS and PROXY header included, to ask whether an endpoint is well. It
    /// counts nowhere.
    ///
    /// # Errors
    /// No connection came about, or its TLS handshake failed.
    pub async fn open_probe(
        cluster: &Cluster,
        endpoint: &Endpoint,
        speaks: ProbeSpeaks,
        authority: &str,
    ) -> Result<Self, ConnectError> {
        let speaks = match speaks {
            ProbeSpeaks::Http1 => Speaks::Http1,
            ProbeSpeaks::Http2 => Speaks::Http2,
            ProbeSpeaks::Nothing => Speaks::Bytes,
        };
        let caller = Caller { authority: Some(authority), connection: None };
        let socket = open_socket(cluster, endpoint, speaks, &caller).await?;
        Ok(RawConnection { socket, _counted: None })
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
