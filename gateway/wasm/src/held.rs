//! The streams of one instance that are held, with what of them callbacks of other contexts can reach and have
//! asked for.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use portcullis_exchange::Exchange;
use rustc_hash::FxHashMap;

use crate::effects::{Direction, LocalReply, Resumed};

/// What of a held half of a stream is left with the instance, for callbacks of other contexts to read and change.
#[derive(Debug)]
pub struct Parked {
    /// The record; `None` where another held plugin of the same stream has it.
    pub exchange: Option<Box<Exchange>>,
    /// What is held of the body.
    pub body: Bytes,
    /// Whether a callback changed the body meanwhile.
    pub body_changed: bool,
}

/// By the context's number. It lies beside the guest, and in its store while a callback runs.
#[derive(Default)]
pub(crate) struct HeldStreams(FxHashMap<u32, HeldStream>);

#[derive(Default)]
struct HeldStream {
    request: Half,
    response: Half,
    reply: Option<Box<LocalReply>>,
    closing: bool,
}

#[derive(Default)]
struct Half {
    parked: Option<Parked>,
    resumed: bool,
    waker: Option<Waker>,
}

impl HeldStreams {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything of a stream is here, or anything was asked of one that it was not told.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.values().any(HeldStream::is_busy)
    }

    /// Leaves a half of a stream here.
    pub(crate) fn park(&mut self, stream: u32, direction: Direction, parked: Parked) {
        self.0.entry(stream).or_default().half_mut(direction).parked = Some(parked);
    }

    /// Takes it back.
    pub(crate) fn unpark(&mut self, stream: u32, direction: Direction) -> Option<Parked> {
        self.0.get_mut(&stream)?.half_mut(direction).parked.take()
    }

    /// Nothing of the stream is held any more.
    pub(crate) fn forget(&mut self, stream: u32) {
        self.0.remove(&stream);
    }

    /// Whether the stream was asked for something; else `waker` will tell. What is told is told once.
    pub(crate) fn poll(
        &mut self,
        stream: u32,
        direction: Direction,
        cx: &Context<'_>,
    ) -> Poll<Resumed> {
        let held = self.0.entry(stream).or_default();
        if held.closing {
            return Poll::Ready(Resumed::Close);
        }
        if let Some(reply) = held.reply.take() {
            return Poll::Ready(Resumed::Reply(reply));
        }
        let half = held.half_mut(direction);
        if std::mem::take(&mut half.resumed) {
            return Poll::Ready(Resumed::Continue);
        }
        half.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether a half that is here was let go, for whoever takes it back before it was held.
    pub(crate) fn take_resumed(&mut self, stream: u32, direction: Direction) -> bool {
        let held = self.0.get_mut(&stream);
        held.is_some_and(|held| std::mem::take(&mut held.half_mut(direction).resumed))
    }

    /// What was asked of the stream outside its own callbacks, for one that was not held then.
    pub(crate) fn take_overdue(&mut self, stream: u32) -> (Option<Box<LocalReply>>, bool) {
        self.0.get_mut(&stream).map_or((None, false), |held| (held.reply.take(), held.closing))
    }

    /// `continue_stream`. One that is not held is not kept from being held later.
    pub(crate) fn resume(&mut self, stream: u32, direction: Direction) {
        let Some(held) = self.0.get_mut(&stream) else { return };
        let half = held.half_mut(direction);
        if half.parked.is_some() {
            half.resumed = true;
            half.wake();
        }
    }

    /// `send_local_response`; the first one stands.
    pub(crate) fn answer(&mut self, stream: u32, reply: Box<LocalReply>) {
        let held = self.0.entry(stream).or_default();
        held.reply.get_or_insert(reply);
        held.wake();
    }

    /// `close_stream`
    pub(crate) fn close(&mut self, stream: u32) {
        let held = self.0.entry(stream).or_default();
        held.closing = true;
        held.wake();
    }

    /// Whether a reply waits to be told.
    pub(crate) fn is_answered(&self, stream: u32) -> bool {
        self.0.get(&stream).is_some_and(|held| held.reply.is_some())
    }

    /// Has everyone look again: the instance has failed.
    pub(crate) fn wake_all(&mut self) {
        self.0.values_mut().for_each(HeldStream::wake);
    }

    /// The record of a stream as this half has it; the other half's where this one is not here.
    pub(crate) fn exchange(&self, stream: u32, direction: Direction) -> Option<&Exchange> {
        let held = self.0.get(&stream)?;
        let [first, second] = match direction {
            Direction::Request => [&held.request, &held.response],
            Direction::Response => [&held.response, &held.request],
        };
        [first, second].into_iter().find_map(|half| half.parked.as_ref()?.exchange.as_deref())
    }

    /// The same, to change it.
    pub(crate) fn exchange_mut(
        &mut self,
        stream: u32,
        direction: Direction,
    ) -> Option<&mut Exchange> {
        let held = self.0.get_mut(&stream)?;
        let [first, second] = match direction {
            Direction::Request => [&mut held.request, &mut held.response],
            Direction::Response => [&mut held.response, &mut held.request],
        };
        [first, second].into_iter().find_map(|half| half.parked.as_mut()?.exchange.as_deref_mut())
    }

    /// What of a body is held here.
    pub(crate) fn body(&self, stream: u32, direction: Direction) -> Option<&Bytes> {
        self.0.get(&stream)?.half(direction).parked.as_ref().map(|parked| &parked.body)
    }

    /// Puts another body in its place.
    pub(crate) fn set_body(&mut self, stream: u32, direction: Direction, body: Bytes) {
        let half = self.0.get_mut(&stream).map(|held| held.half_mut(direction));
        if let Some(parked) = half.and_then(|half| half.parked.as_mut()) {
            parked.body = body;
            parked.body_changed = true;
        }
    }
}

impl HeldStream {
    fn is_busy(&self) -> bool {
        let parked = self.request.parked.is_some() || self.response.parked.is_some();
        parked || self.closing || self.reply.is_some()
    }

    fn half(&self, direction: Direction) -> &Half {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    fn half_mut(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    fn wake(&mut self) {
        self.request.wake();
        self.response.wake();
    }
}

impl Half {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
