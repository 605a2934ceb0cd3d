//! A stream with what was read from it ahead of time.

use std::borrow::Borrow;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Gives the bytes that were read ahead first, then those of the stream.
#[derive(Debug)]
pub(crate) struct Replayed<I> {
    read_ahead: Bytes,
    io: I,
}

impl<I> Replayed<I> {
    pub(crate) fn new(io: I, read_ahead: Bytes) -> Self {
        Replayed { read_ahead, io }
    }
}

impl Borrow<TcpStream> for Replayed<TcpStream> {
    fn borrow(&self) -> &TcpStream {
        &self.io
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Replayed<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read_ahead.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buffer);
        }
        let length = this.read_ahead.len().min(buffer.remaining());
        buffer.put_slice(&this.read_ahead.split_to(length));
        if this.read_ahead.is_empty() {
            // Its memory is of no more use.
            this.read_ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Replayed<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_was_read_ahead_comes_first() {
        let (mut client, server) = tokio::io::duplex(16);
        client.write_all(b" world").await.unwrap();
        client.shutdown().await.unwrap();
        let mut server = Replayed::new(server, Bytes::from_static(b"hello"));
        let mut first = [0; 2];
        server.read_exact(&mut first).await.unwrap();
        let mut rest = String::new();
        server.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&first, rest.as_str()), (b"he", "llo world"));
    }
}
