//! A connection that has left HTTP: bytes both ways, after the upstream switched protocols.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::endpoint::{ActiveRequest, OpenConnection};
use crate::pooled::Places;
use crate::socket::Socket;

/// An upstream connection after its 101. It never goes back to a pool; dropping it closes it. The request
/// counts as active at its endpoint until then.
#[derive(Debug)]
pub struct UpstreamTunnel {
    pub(crate) socket: Socket,
    /// What came with the 101.
    pub(crate) read_ahead: BytesMut,
    pub(crate) _counted: (OpenConnection, Places),
    pub(crate) _active: ActiveRequest,
}

impl AsyncRead for UpstreamTunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read_ahead.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buffer);
        }
        let length = this.read_ahead.len().min(buffer.remaining());
        buffer.put_slice(this.read_ahead.get(..length).unwrap_or_default());
        this.read_ahead.advance(length);
        if this.read_ahead.is_empty() {
            this.read_ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// A write that fails leaves what had come readable.
impl AsyncWrite for UpstreamTunnel {
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
