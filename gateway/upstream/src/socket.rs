//! The stream of an upstream connection, plain or TLS, that hears the upstream out: a failed write is reported only
//! after all that had been received was read.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use portcullis_exchange::UpstreamTlsFacts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tls_stream::{Sending, TlsStream};

/// The stream of an upstream connection.
///
/// An upstream that refuses an upload answers (413, say) and closes while we still write. The write then
/// fails although the answer waits in our receive buffer. So a write to a connection that the peer has
/// left stays pending; reading brings the answer, and the error once nothing is left to read.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    peer: SocketAddr,
    write_error: Option<io::Error>,
}

/// What protects the bytes on their way.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>, Arc<UpstreamTlsFacts>),
}

impl Socket {
    /// On a stream in plain text, to this address.
    pub(crate) fn plain(stream: TcpStream, peer: SocketAddr) -> Self {
        Socket { stream: Stream::Plain(stream), peer, write_error: None }
    }

    /// On a stream after its handshake.
    pub(crate) fn tls(stream: TlsStream, facts: Arc<UpstreamTlsFacts>, peer: SocketAddr) -> Self {
        Socket { stream: Stream::Tls(Box::new(stream), facts), peer, write_error: None }
    }

    /// Where it was connected to.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The TCP stream, whatever is on it.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls, _) => tls.tcp(),
        }
    }

    /// What the handshake settled; `None` in plain text.
    pub(crate) fn tls_facts(&self) -> Option<&Arc<UpstreamTlsFacts>> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(_, facts) => Some(facts),
        }
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.tcp().local_addr().ok()
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
        let written = match (&mut self.stream, pieces) {
            (Stream::Plain(tcp), [piece]) => Pin::new(tcp).poll_write(cx, piece),
            (Stream::Plain(tcp), pieces) => Pin::new(tcp).poll_write_vectored(cx, pieces),
            (Stream::Tls(tls, _), pieces) => tls.poll_write(cx, pieces),
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

    /// Sends what TLS holds back. Reading does so too, hence whoever reads on need not.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (&mut self.stream, &self.write_error) {
            (Stream::Tls(tls, _), None) => tls.poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls, _) => tls.poll_shutdown(cx),
        }
    }

    /// The same for who is told of a failed write at once, while what had come stays readable.
    pub(crate) fn poll_write_or_fail(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.poll_write(cx, pieces) {
            Poll::Pending if self.write_error.is_some() => {
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
            polled => polled,
        }
    }

    /// The error that a write met.
    pub(crate) fn write_error(&self) -> Option<&io::Error> {
        self.write_error.as_ref()
    }

    /// Whether nothing came while nothing was expected, neither bytes nor the end. It asks the system
    /// only where the runtime was told that something is there to read.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match &mut self.stream {
            Stream::Plain(tcp) => {
                let nothing = tcp.try_read(&mut [0]);
                nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Stream::Tls(tls, _) => tls.is_quiet(),
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
        let polled = match &mut this.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Stream::Tls(tls, _) => {
                let failed = this.write_error.is_some();
                tls.poll_read(cx, buffer, if failed { Sending::Failed } else { Sending::On })
            }
        };
        if let Poll::Ready(Ok(())) = polled
            && buffer.filled().len() == before
            && let Some(error) = this.write_error.take()
        {
            return Poll::Ready(Err(error));
        }
        polled
    }
}

/// For what takes any stream. A write that fails stays pending, as [`Socket`] has it; reading tells.
impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_shutdown(cx)
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
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        (Socket::plain(stream, address), listener.accept().await.unwrap().0)
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
        let (mut socket, mut peer) = pair().await;
        assert!(socket.is_quiet());
        peer.write_all(b"x").await.unwrap();
        socket.tcp().readable().await.unwrap();
        assert!(!socket.is_quiet());
        let (mut socket, peer) = pair().await;
        drop(peer);
        socket.tcp().readable().await.unwrap();
        assert!(!socket.is_quiet());
    }
}
