//! A TCP stream that hears the upstream out: a failed write is reported only after all that had been
//! received was read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The stream of an upstream connection.
///
/// An upstream that refuses an upload answers (413, say) and closes while we still write. The write then
/// fails although the answer waits in our receive buffer, and hyper would give the connection up with it
/// unread. So a write to a connection that the peer has left stays pending; reading brings the answer,
/// and the error once nothing is left to read.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    write_error: Option<io::Error>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Socket { stream, write_error: None }
    }

    fn write(
        &mut self,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.write_error.is_some() {
            return Poll::Pending;
        }
        match write(Pin::new(&mut self.stream)) {
            Poll::Ready(Err(error)) if peer_has_left(&error) => {
                // The peer's reset makes the socket readable, so whoever reads it is woken.
                self.write_error = Some(error);
                Poll::Pending
            }
            written => written,
        }
    }
}

fn peer_has_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
    )
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = polled
            && buffer.filled().len() == before
            && let Some(error) = this.write_error.take()
        {
            return Poll::Ready(Err(error));
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(|stream| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_although_writing_failed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut socket = Socket::new(stream);
        let (mut peer, _) = listener.accept().await.unwrap();
        socket.write_all(b"unread").await.unwrap();
        peer.write_all(b"answer").await.unwrap();
        // Closed with bytes unread: a reset.
        drop(peer);
        let waits = std::future::poll_fn(|cx| {
            Poll::Ready(Pin::new(&mut socket).poll_write(cx, b"more").is_pending())
        });
        assert!(waits.await);
        let mut answer = Vec::new();
        let error = socket.read_to_end(&mut answer).await.unwrap_err();
        assert_eq!(answer, b"answer");
        assert!(peer_has_left(&error), "{error}");
    }
}
