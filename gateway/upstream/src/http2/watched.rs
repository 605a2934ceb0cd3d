//! The stream of an HTTP/2 connection as the library sees it: it counts what was written, and holds the upstream's
//! frames to their limits.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use portcullis_message::{FrameLimits, ReplyGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;

/// What has passed on a connection, for those who share it.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Bytes that the system took.
    pub(crate) written: Cell<u64>,
    /// Bytes that came.
    pub(crate) read: Cell<u64>,
}

/// A stream whose frames are watched.
#[derive(Debug)]
pub(crate) struct Watched {
    socket: Socket,
    guard: ReplyGuard,
    passed: Rc<Passed>,
    since: Instant,
}

impl Watched {
    pub(crate) fn new(socket: Socket, limits: FrameLimits, passed: Rc<Passed>) -> Self {
        let guard = ReplyGuard::new(limits);
        Watched { socket, guard, passed, since: Instant::now() }
    }

    fn judge(&mut self, came: &[u8]) -> io::Result<()> {
        self.passed.read.set(self.passed.read.get().wrapping_add(came.len() as u64));
        let since = self.since;
        let second = || u32::try_from(since.elapsed().as_secs()).unwrap_or(u32::MAX);
        let judged = self.guard.receive(came, second);
        judged.map_err(|flood| io::Error::other(flood.details()))
    }

    fn wrote(&mut self, slices: &[IoSlice<'_>], length: usize) {
        self.passed.written.set(self.passed.written.get().wrapping_add(length as u64));
        let mut left = length;
        for slice in slices {
            let part = slice.get(..left.min(slice.len())).unwrap_or_default();
            self.guard.send(part);
            left -= part.len();
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
        Poll::Ready(this.judge(buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.socket.poll_write(cx, slices) {
            Poll::Ready(Ok(length)) => {
                this.wrote(slices, length);
                Poll::Ready(Ok(length))
            }
            // The peer has left. The library would not read on before it could write, and what came before that,
            // replies and a GOAWAY, counts. So what is written now goes nowhere, and reading tells of the end.
            Poll::Pending if this.socket.write_error().is_some() => {
                Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
            }
            polled => polled,
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket.poll_shutdown(cx)
    }
}
