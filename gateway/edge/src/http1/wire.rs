//! The two directions of a connection with their buffers.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use portcullis_message::http1::DATE_LENGTH;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::activity::Activity;
use crate::http1::output::Output;
use crate::http1::workbench::{BUFFER, Workbench};

/// A connection as it came.
pub(crate) struct Arrived<I> {
    pub(crate) io: I,
    /// What was read from it ahead of time.
    pub(crate) read_ahead: Bytes,
    /// Has its end look like a failure: for a body that only the end of the connection ends.
    pub(crate) reset: fn(&I),
    /// Whether its client is known to have left, with bytes unread.
    pub(crate) left: fn(&I) -> bool,
}

/// How long a client that we leave gets to read our last words, and to stop talking.
const LINGER: Duration = Duration::from_secs(2);

/// How much of what it still says is taken meanwhile.
const LINGER_BYTES: usize = 1 << 20;

/// A connection with what was read and not understood yet, and what is to be written.
pub(crate) struct Wire<I> {
    pub(super) io: I,
    reset: fn(&I),
    left: fn(&I) -> bool,
    pub(crate) input: BytesMut,
    pub(crate) output: Output,
    bench: Rc<Workbench>,
    pub(crate) activity: Rc<Activity>,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Wire<I> {
    pub(crate) fn new(arrived: Arrived<I>, bench: Rc<Workbench>, activity: Rc<Activity>) -> Self {
        let Arrived { io, read_ahead, reset, left } = arrived;
        let input = BytesMut::from(read_ahead);
        Wire { io, reset, left, input, output: Output::default(), bench, activity }
    }

    /// Reads once, with room for `room` bytes; 0 is the end.
    pub(crate) fn poll_fill(
        &mut self,
        room: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.input.capacity() == 0 {
            self.input = self.bench.take();
        }
        if self.input.capacity() - self.input.len() < room {
            self.input.reserve(room);
        }
        pin!(self.io.read_buf(&mut self.input)).poll(cx)
    }

    /// Waits for the first bytes of the next head, holding no buffer meanwhile.
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let outcome = self.poll_fill(BUFFER / 2, cx);
        if outcome.is_pending() && self.input.is_empty() {
            self.rest();
        }
        outcome
    }

    /// Writes all that is there.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.output.len();
        let outcome = self.output.poll_write(&mut self.io, cx);
        let waiting = self.output.len();
        self.activity.wrote(before - waiting, waiting);
        outcome
    }

    /// Where the head of a reply is written to.
    pub(crate) fn front(&mut self) -> &mut BytesMut {
        if self.output.front.capacity() == 0 {
            self.output.front = self.bench.take();
        }
        &mut self.output.front
    }

    /// Puts the interim replies that came meanwhile where they go out next.
    pub(crate) fn take_interim_replies(&mut self) {
        if let Some(replies) = self.activity.take_interim_replies() {
            self.front().extend_from_slice(&replies);
        }
    }

    /// The date of now, as a field value.
    pub(crate) fn date(&self) -> [u8; DATE_LENGTH] {
        self.bench.date()
    }

    /// Gives the buffers back.
    pub(super) fn rest(&mut self) {
        self.bench.put_back(std::mem::take(&mut self.input));
        if self.output.is_empty() {
            self.bench.put_back(std::mem::take(&mut self.output.front));
        }
    }

    /// Whether the client is known to have left, though its bytes are not read to their end.
    pub(crate) fn has_left(&self) -> bool {
        (self.left)(&self.io)
    }

    /// Has the connection end in a reset, whenever it is dropped.
    pub(crate) fn reset(&self) {
        (self.reset)(&self.io);
    }

    /// Ends the connection.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_end(cx)).await
    }

    /// Ends the connection, whose client may still be talking: a close with unread bytes would reset it, and
    /// could take our last reply from the client.
    pub(crate) async fn close_slowly(mut self) -> io::Result<()> {
        self.input = BytesMut::new();
        poll_fn(|cx| self.poll_end(cx)).await?;
        let mut taken = 0;
        let listening = poll_fn(|cx| {
            while taken < LINGER_BYTES {
                self.input.clear();
                match ready!(self.poll_fill(BUFFER, cx)) {
                    Ok(length) if length > 0 => taken += length,
                    _ => break,
                }
            }
            Poll::Ready(())
        });
        // Whether it stopped or its time is over: the connection ends.
        let _ = tokio::time::timeout(LINGER, listening).await;
        Ok(())
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<I> Drop for Wire<I> {
    fn drop(&mut self) {
        self.bench.put_back(std::mem::take(&mut self.input));
        self.bench.put_back(std::mem::take(&mut self.output.front));
    }
}
