//! A TCP stream that hears the upstream out: a failed write is reported only after all that had been
//! received was read.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The stream of an upstream connection.
///
/// An upstream that refuses an upload answers (413, say) and closes while we still write. The write then
/// fails although the answer waits in our receive buffer. So a write to a connection that the peer has
/// left stays pending; reading brings the answer, and the error once nothing is left to read.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    write_error: Option<io::Error>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Socket { stream, write_error: None }
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// Writes as much as the peer takes, from one or more pieces.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.write_error.is_some() {
            return Poll::Pending;
        }
        let stream = Pin::new(&mut self.stream);
        let written = match pieces {
            [piece] => stream.poll_write(cx, piece),
            pieces => stream.poll_write_vectored(cx, pieces),
        };
        match written {
            Poll::Ready(Err(error)) if peer_has_left(&error) => {
                // The peer's reset makes the socket readable, so whoever reads it is woken.
                self.write_error = Some(error);
                Poll::Pending
            }
            written => written,
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// The error that a write met.
    pub(crate) fn write_error(&self) -> Option<&io::Error> {
        self.write_error.as_ref()
    }

    /// Whether nothing came while nothing was expected, neither bytes nor the end. It asks the system
    /// only where the runtime was told that something is there to read.
    pub(crate) fn is_quiet(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0]);
        nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Socket::new(stream), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn an_answer_is_read_although_writing_failed() {
        let (mut socket, mut peer) = pair().await;
        let pieces = [IoSlice::new(b"un"), IoSlice::new(b"read")];
        assert_eq!(poll_fn(|cx| socket.poll_write(cx, &pieces)).await.unwrap(), 6);
        peer.write_all(b"answer").await.unwrap();
        // Closed with bytes unread: a reset.
        drop(peer);
        let more = [IoSlice::new(b"more")];
        assert!(poll_fn(|cx| Poll::Ready(socket.poll_write(cx, &more).is_pending())).await);
        let mut answer = Vec::new();
        let error = socket.read_to_end(&mut answer).await.unwrap_err();
        assert_eq!(answer, b"answer");
        assert!(peer_has_left(&error), "{error}");
    }

    #[tokio::test]
    async fn bytes_and_the_end_break_the_quiet() {
        let (socket, mut peer) = pair().await;
        assert!(socket.is_quiet());
        peer.write_all(b"x").await.unwrap();
        socket.stream.readable().await.unwrap();
        assert!(!socket.is_quiet());
        let (socket, peer) = pair().await;
        drop(peer);
        socket.stream.readable().await.unwrap();
        assert!(!socket.is_quiet());
    }
}
