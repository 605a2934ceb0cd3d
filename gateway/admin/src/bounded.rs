//! Connections of a side port: so many, and none that keeps us waiting.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

/// Connections of one port at once. Whoever comes beyond that takes the place of the oldest: a probe has to get
/// through whatever else lies about.
const MOST: usize = 512;

/// From being accepted, or answered, to the end of the next request's head.
const HEAD: Duration = Duration::from_secs(30);

/// What a head ends with. HTTP/2's preface does too; after it, silence counts from the last bytes sent.
const END: &[u8] = b"\r\n\r\n";

/// The connections of one port.
#[derive(Debug, Default)]
pub(crate) struct Places(VecDeque<oneshot::Sender<()>>);

impl Places {
    /// Gives a connection a place.
    pub(crate) fn enter(&mut self, stream: TcpStream) -> Bounded {
        if self.0.len() >= MOST {
            self.0.retain(|place| !place.is_closed());
        }
        if self.0.len() >= MOST {
            // Its connection ends.
            self.0.pop_front();
        }
        let (place, evicted) = oneshot::channel();
        self.0.push_back(place);
        Bounded { stream, evicted, time: Box::pin(sleep(HEAD)), seen: 0 }
    }
}

/// A connection with its time.
#[derive(Debug)]
pub(crate) struct Bounded {
    stream: TcpStream,
    evicted: oneshot::Receiver<()>,
    time: Pin<Box<Sleep>>,
    /// Bytes of [`END`] seen in a row; all of them while a request is being answered.
    seen: usize,
}

impl Bounded {
    fn awaits_head(&self) -> bool {
        self.seen < END.len()
    }

    fn look_at(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.awaits_head() {
                return;
            }
            let fits = END.get(self.seen) == Some(byte);
            self.seen = if fits { self.seen + 1 } else { usize::from(*byte == b'\r') };
        }
    }

    fn answered(&mut self) {
        self.seen = 0;
        self.time.as_mut().reset(Instant::now() + HEAD);
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if Pin::new(&mut this.evicted).poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if this.awaits_head() && this.time.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.look_at(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.answered();
        Poll::Ready(Ok(written))
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

    /// Both ends of a connection.
    async fn pair(places: &mut Places) -> (TcpStream, Bounded) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (client, places.enter(stream))
    }

    async fn read_error(bounded: &mut Bounded) -> io::ErrorKind {
        loop {
            if let Err(error) = bounded.read_u8().await {
                return error.kind();
            }
        }
    }

    #[tokio::test]
    async fn a_dribbled_head_has_its_time() {
        let mut places = Places::default();
        let (mut client, mut bounded) = pair(&mut places).await;
        let said = b"GET / HTTP/1.1\r\nx: \r";
        client.write_all(said).await.unwrap();
        for _ in said {
            bounded.read_u8().await.unwrap();
        }
        bounded.time.as_mut().reset(Instant::now());
        assert_eq!(read_error(&mut bounded).await, io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn an_answer_takes_as_long_as_it_takes() {
        let mut places = Places::default();
        let (mut client, mut bounded) = pair(&mut places).await;
        client.write_all(b"GET / HTTP/1.1\r\n\r").await.unwrap();
        client.write_all(b"\n").await.unwrap();
        for _ in 0..b"GET / HTTP/1.1\r\n\r\n".len() {
            bounded.read_u8().await.unwrap();
        }
        bounded.time.as_mut().reset(Instant::now());
        client.write_all(b"!").await.unwrap();
        assert_eq!(bounded.read_u8().await.unwrap(), b'!');
        bounded.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        assert!(bounded.awaits_head() && !bounded.time.is_elapsed());
    }

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let mut places = Places::default();
        let (_client, mut oldest) = pair(&mut places).await;
        let mut others = Vec::new();
        for _ in 1..MOST {
            others.push(pair(&mut places).await);
        }
        let (mut client, mut newest) = pair(&mut places).await;
        assert_eq!(read_error(&mut oldest).await, io::ErrorKind::ConnectionAborted);
        client.write_all(b"x").await.unwrap();
        assert_eq!(newest.read_u8().await.unwrap(), b'x');
        drop(others);
        // Those who left make room without anybody's being sent away.
        let _next = pair(&mut places).await;
        client.write_all(b"y").await.unwrap();
        assert_eq!(newest.read_u8().await.unwrap(), b'y');
    }
}
