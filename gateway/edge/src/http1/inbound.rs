//! The body of a request: read only as far as somebody wants it.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use portcullis_message::http1::{
    BodyDecoder, Decoded, Expectation, Framing, FramingError, Limits, RequestHead, write_continue,
};
use portcullis_message::{Body, BodyError, BodySender, Demand, body_channel};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http1::wire::Wire;

/// The most of an unwanted body that is read for the sake of the connection.
const DRAINED: usize = 64 << 10;
/// What is read of a large body at once.
const AT_ONCE: u64 = 64 << 10;

/// The incoming side of one request after its head.
pub(crate) struct Inbound {
    decoder: BodyDecoder,
    /// Who reads the body; `None` once it has all of it, or wants no more.
    sender: Option<BodySender>,
    go_ahead: GoAhead,
    state: State,
}

/// Whether the client still waits for a 100 before it sends the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoAhead {
    Awaited,
    NotAwaited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The body is coming, or has come.
    Sound,
    /// Its end will never be found.
    Broken,
}

impl Inbound {
    /// The body of a request. What has come of it already needs no channel if it is the whole.
    pub(crate) fn open(head: &RequestHead, input: &mut BytesMut, limits: Limits) -> (Self, Body) {
        let mut inbound = Inbound {
            decoder: BodyDecoder::new(head.framing).with_trailer_limits(limits),
            sender: None,
            go_ahead: GoAhead::NotAwaited,
            state: State::Sound,
        };
        if head.framing.is_empty() {
            return (inbound, Body::Empty);
        }
        if let Framing::Length(length) = head.framing
            && length <= input.len() as u64
            && let Ok(Decoded::Data(data)) = inbound.decoder.decode(input)
        {
            return (inbound, Body::from(data));
        }
        let (sender, receiver) = body_channel(head.framing.length());
        inbound.sender = Some(sender);
        if head.expectation == Expectation::Continue && input.is_empty() {
            inbound.go_ahead = GoAhead::Awaited;
        }
        (inbound, Body::from(receiver))
    }

    /// Whether the client waits for a 100 before it sends the body.
    pub(crate) fn awaits_go_ahead(&self) -> bool {
        self.go_ahead == GoAhead::Awaited
    }

    /// Hands the body on as far as it is wanted; ready whenever that came a step further. An error means that
    /// the client left.
    pub(crate) fn poll_advance<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<I>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.decoder.is_ended() {
            return watch(wire, cx);
        }
        let Some(sender) = &mut self.sender else { return turn_deaf(wire) };
        match sender.poll_demand(cx) {
            Poll::Pending => return turn_deaf(wire),
            Poll::Ready(Demand::Gone) => {
                self.sender = None;
                return turn_deaf(wire);
            }
            Poll::Ready(_) => {}
        }
        match self.decoder.decode(&mut wire.input) {
            Ok(Decoded::NeedMore) => self.poll_more(wire, cx),
            Ok(decoded) => {
                self.hand_on(decoded);
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.break_off(error.into());
                Poll::Ready(Ok(()))
            }
        }
    }

    /// The final reply is about to be written: a client that was not told to go on will not be.
    pub(crate) fn begin_reply(&mut self) {
        if self.go_ahead == GoAhead::Awaited {
            self.break_off(BodyError::Disconnected);
        }
        if self.sender.as_ref().is_some_and(|sender| sender.demand() == Demand::Gone) {
            self.sender = None;
        }
    }

    /// Whether the request was read to its end.
    pub(crate) fn is_complete(&self) -> bool {
        self.decoder.is_ended()
    }

    /// Whether its end may still be found without reading too much.
    pub(crate) fn may_end(&self) -> bool {
        let much = self.decoder.remaining().is_some_and(|left| left > DRAINED as u64);
        self.is_complete() || (self.state == State::Sound && (!much || self.sender.is_some()))
    }

    /// Reads on to the end of a body that nobody wants; whether it was found within the cap.
    pub(crate) async fn drain<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<I>,
    ) -> io::Result<Drained> {
        self.sender = None;
        let mut drained = 0;
        while !self.is_complete() {
            if !self.may_end() || drained > DRAINED {
                return Ok(Drained::TooMuch);
            }
            let before = wire.input.len();
            let decoded = self.decoder.decode(&mut wire.input);
            // Framing counts too: small chunks can come in long lines.
            drained += before - wire.input.len();
            match decoded {
                Ok(Decoded::NeedMore) => {
                    if poll_fn(|cx| wire.poll_fill(1, cx)).await? == 0 {
                        return Ok(Drained::TooMuch);
                    }
                }
                Ok(_) => {}
                Err(_) => return Ok(Drained::TooMuch),
            }
        }
        Ok(Drained::Whole)
    }

    fn poll_more<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<I>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.go_ahead == GoAhead::Awaited {
            self.go_ahead = GoAhead::NotAwaited;
            write_continue(wire.front());
        }
        // Nothing but a 100 can be waiting while it matters.
        if !wire.output.is_empty() && wire.poll_write(cx)?.is_pending() {
            return Poll::Pending;
        }
        let room = self.decoder.remaining().map_or(AT_ONCE, |left| left.min(AT_ONCE));
        match ready!(wire.poll_fill(room as usize, cx)) {
            Ok(0) => self.break_off(FramingError::Truncated.into()),
            Ok(_) => {}
            Err(error) => self.break_off(error.into()),
        }
        Poll::Ready(Ok(()))
    }

    fn hand_on(&mut self, decoded: Decoded) {
        let Some(mut sender) = self.sender.take() else { return };
        match decoded {
            Decoded::Data(data) if self.decoder.is_ended() => sender.send_last(data),
            Decoded::Data(data) => {
                sender.send(data);
                self.sender = Some(sender);
            }
            Decoded::Trailers(trailers) => sender.send_trailers(trailers),
            Decoded::End => sender.finish(),
            Decoded::NeedMore => self.sender = Some(sender),
        }
    }

    fn break_off(&mut self, error: BodyError) {
        self.state = State::Broken;
        if let Some(sender) = self.sender.take() {
            sender.fail(error);
        }
    }
}

/// Whether an unwanted body was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// The next head follows.
    Whole,
    /// It was not found.
    TooMuch,
}

/// Waits while nothing may be read. Whether the client is still there is looked up once a second.
fn turn_deaf<I: AsyncRead + AsyncWrite + Unpin>(wire: &Wire<I>) -> Poll<io::Result<()>> {
    if wire.has_left() {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    wire.activity.turn_deaf();
    Poll::Pending
}

/// Waits for a client to leave. What it says ahead of its turn is kept, and no more is read: it may be more than
/// one request, so that its end is never come to.
fn watch<I: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<I>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if !wire.input.is_empty() {
        return turn_deaf(wire);
    }
    match ready!(wire.poll_fill(1, cx))? {
        0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        _ => Poll::Ready(Ok(())),
    }
}
