//! One direction of an exchange: the pieces that arrive, what the filter holds back of them, what has gone on.

use std::collections::VecDeque;

use super::guest::Guest;
use super::instance::Instance;
use super::message::Message;
use crate::abi::StreamKind;
use crate::host::{Half, Headers, LocalReply, Reach, Stream, with_state};

const PAUSE: u32 = 1;
/// What Envoy holds for a filter unless it is told otherwise.
const MOST_HELD: usize = 1024 * 1024;

/// A part of a message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Head(Last),
    Body(Vec<u8>, Last),
    Trailers(Headers),
}

/// Whether something follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Yes,
    No,
}

/// Where the filter paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Halt {
    #[default]
    None,
    /// Everything behind the head is held back too.
    Head,
    /// The body gathers, and the filter is told of each further piece.
    Body,
    Trailers,
}

#[derive(Debug)]
pub(crate) struct Direction {
    kind: StreamKind,
    context: u32,
    /// The filter has seen some of it.
    pub(crate) has_begun: bool,
    pub(crate) arriving: VecDeque<Piece>,
    pub(crate) halt: Halt,
    /// The last piece was seen by the filter.
    is_last_seen: bool,
    pub(crate) passed: Option<Message>,
}

impl Piece {
    /// A whole message; empty pieces of a body are none.
    pub(crate) fn of_message(body: Vec<Vec<u8>>, trailers: Option<Headers>) -> VecDeque<Self> {
        let mut pieces = Piece::of_open_message(body);
        match (trailers, pieces.back_mut()) {
            (Some(trailers), _) => pieces.push_back(Piece::Trailers(trailers)),
            (None, Some(Piece::Head(last) | Piece::Body(_, last))) => *last = Last::Yes,
            (None, _) => {}
        }
        pieces
    }

    /// The beginning of one.
    pub(crate) fn of_open_message(body: Vec<Vec<u8>>) -> VecDeque<Self> {
        let body = body.into_iter().filter(|piece| !piece.is_empty());
        let body = body.map(|piece| Piece::Body(piece, Last::No));
        std::iter::once(Piece::Head(Last::No)).chain(body).collect()
    }
}

impl Direction {
    pub(crate) fn new(kind: StreamKind, context: u32) -> Self {
        Direction {
            kind,
            context,
            has_begun: false,
            arriving: VecDeque::new(),
            halt: Halt::None,
            is_last_seen: false,
            passed: None,
        }
    }

    /// Shows the filter the next piece that it may see; false when there is none.
    pub(crate) fn deliver_next(&mut self, instance: &Instance) -> bool {
        if matches!(self.halt, Halt::Head | Halt::Trailers) {
            return false;
        }
        let Some(piece) = self.arriving.pop_front() else { return false };
        self.has_begun = true;
        let (halt, last) = match piece {
            Piece::Head(last) => (Halt::Head, last),
            Piece::Body(bytes, last) => {
                self.open(|half| half.buffer.content.extend_from_slice(&bytes));
                (Halt::Body, last)
            }
            Piece::Trailers(trailers) => {
                self.open(|half| half.trailers.content = trailers);
                (Halt::Trailers, Last::Yes)
            }
        };
        self.is_last_seen = last == Last::Yes;
        self.reach(halt, Reach::Change);
        let action = instance.call(self.context, |guest| self.tell(guest, halt, last));
        self.act(halt, action);
        true
    }

    fn tell(&self, guest: &dyn Guest, halt: Halt, last: Last) -> u32 {
        let (context, end) = (self.context, u32::from(last == Last::Yes));
        let (size, count) = with_state(|state| {
            let half = state.streams.get_mut(&context).map(|stream| stream.half(self.kind));
            half.map_or((0, 0), |half| {
                (half.buffer.content.len(), half.trailers.content.len() as u32)
            })
        });
        match (self.kind, halt) {
            (_, Halt::None) => 0,
            (StreamKind::Request, Halt::Head) => guest.on_request_headers(context, end),
            (StreamKind::Request, Halt::Body) => guest.on_request_body(context, size, end),
            (StreamKind::Request, Halt::Trailers) => guest.on_request_trailers(context, count),
            (StreamKind::Response, Halt::Head) => guest.on_response_headers(context, end),
            (StreamKind::Response, Halt::Body) => guest.on_response_body(context, size, end),
            (StreamKind::Response, Halt::Trailers) => guest.on_response_trailers(context, count),
        }
    }

    /// A reply or an end that the filter asked for stops the message whatever it returned.
    fn act(&mut self, halt: Halt, action: Option<u32>) {
        let (is_stopped, held) = with_state(|state| {
            let stream = state.streams.get_mut(&self.context);
            stream.map_or((true, 0), |stream| {
                let is_stopped = stream.reply.is_some() || stream.closed;
                (is_stopped, stream.half(self.kind).buffer.content.len())
            })
        });
        match action {
            None => {}
            Some(_) if is_stopped => {}
            Some(PAUSE) if held > MOST_HELD => self.refuse_large_body(),
            Some(PAUSE) => self.halt = halt,
            Some(_) => {
                self.halt = halt;
                self.release();
            }
        }
    }

    /// What is held goes on. A message that is not held needs no leave.
    pub(crate) fn release(&mut self) {
        let halt = std::mem::take(&mut self.halt);
        if halt == Halt::None {
            return;
        }
        self.reach(halt, Reach::None);
        let (mut headers, mut body, mut trailers) = Default::default();
        self.open(|half| match halt {
            Halt::None => {}
            Halt::Head => headers = half.headers.content.clone(),
            Halt::Body => body = std::mem::take(&mut half.buffer.content),
            Halt::Trailers => {
                body = std::mem::take(&mut half.buffer.content);
                trailers = half.trailers.content.clone();
            }
        });
        let passed = self.passed.get_or_insert_default();
        if halt == Halt::Head {
            passed.headers = headers;
        }
        passed.body.extend(body);
        passed.trailers = trailers;
        passed.is_complete = self.is_last_seen;
    }

    /// Nothing more of it reaches the filter or passes it.
    pub(crate) fn stop(&mut self) {
        self.arriving.clear();
        self.halt = Halt::None;
        self.reach(Halt::Head, Reach::None);
        self.reach(Halt::Trailers, Reach::None);
    }

    fn refuse_large_body(&self) {
        let (status, details) = match self.kind {
            StreamKind::Request => (413, "request_payload_too_large"),
            StreamKind::Response => (500, "response_payload_too_large"),
        };
        let (headers, body) = (Headers::new(), Vec::new());
        let reply = LocalReply { status, details: details.to_owned(), headers, body };
        self.with_stream(|stream| stream.reply = Some(reply));
    }

    /// A body that is held is in reach of the trailers' callback too.
    fn reach(&self, part: Halt, reach: Reach) {
        self.open(|half| match part {
            Halt::None => {}
            Halt::Head => half.headers.reach = reach,
            Halt::Body => half.buffer.reach = reach,
            Halt::Trailers => {
                half.buffer.reach = reach;
                half.trailers.reach = reach;
            }
        });
    }

    fn open(&self, change: impl FnOnce(&mut Half)) {
        self.with_stream(|stream| change(stream.half(self.kind)));
    }

    fn with_stream(&self, change: impl FnOnce(&mut Stream)) {
        with_state(|state| {
            if let Some(stream) = state.streams.get_mut(&self.context) {
                change(stream);
            }
        });
    }
}
