//! Connections that only ask an endpoint whether it is well.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::caller::{Caller, Speaks};
use crate::cluster::Cluster;
use crate::dial::open_socket;
use crate::endpoint::Endpoint;
use crate::failure::ConnectError;
use crate::socket::Socket;

/// A connection as the cluster's requests have them, TLS and PROXY header included, which counts nowhere. It is for
/// the control runtime.
#[derive(Debug)]
pub struct ProbeConnection {
    socket: Socket,
}

/// What is asked on a [`ProbeConnection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeSpeaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Nothing: that it comes about is enough.
    Nothing,
}

impl ProbeConnection {
    /// Connects within the cluster's connect timeout.
    ///
    /// # Errors
    /// No connection came about, or its TLS handshake failed.
    pub async fn open(
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
        Ok(ProbeConnection { socket })
    }
}

impl AsyncRead for ProbeConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ProbeConnection {
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
