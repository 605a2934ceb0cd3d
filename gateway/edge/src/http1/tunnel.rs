//! A connection that leaves HTTP after a 101.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::{Response, Version};
use portcullis_message::WEBSOCKET;
use portcullis_message::http1::{Framing, Persistence, ReplyStart, add_upgrade};
use portcullis_proxy::TunnelEnd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http1::wire::Wire;
use crate::tunnel::OpenTunnel;

/// Sends the 101 and carries what follows, until both sides have ended.
pub(crate) async fn carry<I, B>(
    wire: &mut Wire<I>,
    response: Response<B>,
    tunnel: OpenTunnel,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let date = wire.date();
    let start = ReplyStart {
        version: Version::HTTP_11,
        status: response.status(),
        headers: response.headers(),
        framing: Framing::Empty,
        persistence: Persistence::KeepAlive,
        date: &date,
    };
    start.write(wire.front());
    add_upgrade(wire.front(), &WEBSOCKET);
    poll_fn(|cx| wire.poll_write(cx)).await?;
    match tunnel.carry(Ends(wire)).await {
        TunnelEnd::Clean => Ok(()),
        TunnelEnd::Broken => {
            wire.reset();
            Err(io::Error::other("the tunnel broke off"))
        }
    }
}

/// The connection as a stream of bytes, from where the request ended.
struct Ends<'a, I>(&'a mut Wire<I>);

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Ends<'_, I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self.get_mut().0;
        if wire.input.is_empty() {
            wire.rest();
            return Pin::new(&mut wire.io).poll_read(cx, buffer);
        }
        let length = wire.input.len().min(buffer.remaining());
        buffer.put_slice(wire.input.get(..length).unwrap_or_default());
        wire.input.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Ends<'_, I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0.io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = &mut self.get_mut().0.io;
        ready!(Pin::new(&mut *io).poll_flush(cx))?;
        Pin::new(io).poll_shutdown(cx)
    }
}
