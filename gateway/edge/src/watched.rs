//! The I/O of an HTTP/2 connection as hyper sees it: it notes when bytes pass, and holds the client's frames to
//! their budgets.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use portcullis_message::{Flood, FrameGuard, FrameLimits, RefusedStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::yield_now;

use crate::activity::Activity;
use crate::replayed::Replayed;

/// Told of each stream that the HTTP/2 library refused.
pub(crate) type OnRefused = Box<dyn Fn(RefusedStream)>;

/// What is read of a client that was sent away, so that it gets to read why.
const LINGER: usize = 256 << 10;

/// How many small frames of DATA a stream's task surely hands on in one turn: the runtime gives it no more than 128
/// steps, and most frames take one.
const HANDED_ON: u32 = 64;

/// A stream under the frame guard, reporting to an [`Activity`].
pub(crate) struct Watched<I> {
    io: Replayed<I>,
    activity: Rc<Activity>,
    guard: FrameGuard,
    flood: Option<Flood>,
    refused: OnRefused,
    /// Requests beyond which nothing is read for a while.
    most_requests: u32,
    rested: bool,
    /// Turns that the streams' tasks still get before more is read.
    turns: u32,
}

impl<I> Watched<I> {
    /// `streams` is the most that a client may have open.
    pub(crate) fn new(
        io: I,
        read_ahead: Bytes,
        activity: Rc<Activity>,
        (limits, streams): (FrameLimits, u32),
        refused: OnRefused,
    ) -> Self {
        Watched {
            io: Replayed::new(io, read_ahead),
            activity,
            guard: FrameGuard::new(limits),
            flood: None,
            refused,
            most_requests: streams,
            rested: false,
            turns: 0,
        }
    }

    /// Why the connection was ended, where it was for what the client sent.
    pub(crate) fn flood(&self) -> Option<Flood> {
        self.flood
    }

    /// A stream that was reset keeps its place until its work has ended: the tasks of such streams run before
    /// more is read. They are woken already, so one rest is enough. The tasks of streams with many small messages
    /// get the turns that they need to hand these on, for the library ends a connection that has too many waiting.
    fn rests(&mut self, cx: &mut Context<'_>) -> bool {
        let too_many = self.activity.open_requests() > self.most_requests;
        self.rested = too_many && !self.rested;
        let rests = self.rested || self.turns > 0;
        self.turns = self.turns.saturating_sub(1);
        // A task that has used up its steps is woken after all others, and so is this one.
        rests && pin!(yield_now()).poll(cx).is_pending()
    }

    fn judge(&mut self, came: &[u8]) -> io::Result<()> {
        if !came.is_empty() {
            self.activity.heard();
        }
        let judged = self.guard.receive(came, self.activity.seconds());
        self.turns = self.guard.take_small_data() / HANDED_ON;
        judged.map_err(|flood| {
            self.flood = Some(flood);
            io::Error::other(flood.details())
        })
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let before = self.guard.data_sent();
        self.guard.send(bytes, &self.refused);
        self.activity.sent(self.guard.data_sent() - before);
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Watched<I> {
    /// Ends the connection in the middle of what its client is sending: GOAWAY, where our last frame is out, and
    /// then some of the rest is read, since a close with unread bytes would take the GOAWAY from the client.
    pub(crate) async fn send_away(&mut self) -> io::Result<()> {
        if self.flood.is_some() && self.guard.may_send_frame() {
            self.io.write_all(&goaway(self.guard.last_stream())).await?;
        }
        self.io.shutdown().await?;
        let mut rest = BytesMut::with_capacity(16 << 10);
        let mut read = 0;
        while read < LINGER {
            rest.clear();
            match self.io.read_buf(&mut rest).await? {
                0 => break,
                length => read += length,
            }
        }
        Ok(())
    }
}

/// The frame with the error ENHANCE_YOUR_CALM (RFC 9113 section 6.8).
fn goaway(last_stream: u32) -> BytesMut {
    let mut frame = BytesMut::from(&b"\0\0\x08\x07\0\0\0\0\0"[..]);
    frame.put_u32(last_stream);
    frame.put_u32(11);
    frame
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rests(cx) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        Poll::Ready(this.judge(buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(Pin::new(&mut this.io).poll_write(cx, bytes))?;
        this.wrote(bytes.get(..length).unwrap_or_default());
        Poll::Ready(Ok(length))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, slices))?;
        let mut left = length;
        for slice in slices {
            let part = slice.get(..left.min(slice.len())).unwrap_or_default();
            this.wrote(part);
            left -= part.len();
        }
        Poll::Ready(Ok(length))
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
