//! A callback about a message: which of the guest's functions it is, what that is given, and what its result says.

use bytes::Bytes;
use portcullis_model::HeadersPause;
use wasmtime::{Store, TypedFunc};

use crate::abi::{Callbacks, HeadersCallback};
use crate::effects::{Action, Direction, Effects, EndOfStream, LocalReply, StreamId};
use crate::state::{GuestState, Phase};
use crate::strict_maps::note_held_back;
use crate::vm::Vm;

/// What a callback is about.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) phase: Phase,
    pub(crate) stream: StreamId,
    pub(crate) end: EndOfStream,
}

/// What a callback has asked for, as data.
pub(crate) fn effects(
    vm: &mut Vm,
    stream: StreamId,
    action: Action,
    body: Option<Bytes>,
) -> Effects {
    let state = vm.store.data_mut();
    if action != Action::Continue {
        note_held_back(state);
    }
    if state.wishes.are_none() && state.held.is_empty() {
        return Effects { action, reply: None, body: None };
    }
    let wishes = std::mem::take(&mut state.wishes);
    let effects =
        Effects { action, reply: wishes.reply, body: body.filter(|_| wishes.body_changed) };
    let own = Late { reply: None, closing: wishes.close, resumed: wishes.resume };
    let (reply, closing) = state.held.take_overdue(stream.0);
    with(with(effects, own), Late { reply, closing, resumed: false })
}

/// What is asked of a stream beside what its callback returned.
pub(crate) struct Late {
    pub(crate) reply: Option<Box<LocalReply>>,
    pub(crate) closing: bool,
    pub(crate) resumed: bool,
}

/// The effects of a callback together with that. A reply that is there already stands.
pub(crate) fn with(effects: Effects, late: Late) -> Effects {
    let reply = effects.reply.or(late.reply);
    let action = match effects.action {
        Action::Close => Action::Close,
        _ if late.closing => Action::Close,
        _ if reply.is_some() => Action::Pause,
        Action::Pause | Action::PauseHead | Action::PauseReading if late.resumed => {
            Action::Continue
        }
        action => action,
    };
    Effects { action, reply, body: effects.body }
}

/// What of a message has come: how many fields of a head or of trailers, how many bytes of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    Head(u32),
    Body(usize),
    Trailers(usize),
}

/// A callback with what it is given.
enum Entry<'c> {
    Two(&'c TypedFunc<(u32, u32), u32>, (u32, u32)),
    Three(&'c TypedFunc<(u32, u32, u32), u32>, (u32, u32, u32)),
    /// The guest has none.
    Absent,
}

impl Asked {
    pub(crate) fn call(
        self,
        callbacks: &Callbacks,
        seen: &Seen,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<u32> {
        match self.entry(callbacks, seen) {
            Entry::Two(call, given) => call.call(store, given),
            Entry::Three(call, given) => call.call(store, given),
            Entry::Absent => Ok(0),
        }
    }

    /// On a stack of its own.
    pub(crate) async fn call_slowly(
        self,
        callbacks: &Callbacks,
        seen: &Seen,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<u32> {
        match self.entry(callbacks, seen) {
            Entry::Two(call, given) => call.call_async(store, given).await,
            Entry::Three(call, given) => call.call_async(store, given).await,
            Entry::Absent => Ok(0),
        }
    }

    fn entry<'c>(self, callbacks: &'c Callbacks, seen: &Seen) -> Entry<'c> {
        let (stream, end) = (seen.stream.0, u32::from(seen.end == EndOfStream::Yes));
        let is_request = seen.phase.direction() == Some(Direction::Request);
        match self {
            Asked::Head(fields) => {
                let of = match is_request {
                    true => &callbacks.request_headers,
                    false => &callbacks.response_headers,
                };
                match of {
                    Some(HeadersCallback::WithEnd(call)) => {
                        Entry::Three(call, (stream, fields, end))
                    }
                    Some(HeadersCallback::Plain(call)) => Entry::Two(call, (stream, fields)),
                    None => Entry::Absent,
                }
            }
            Asked::Body(size) => {
                let of = match is_request {
                    true => &callbacks.request_body,
                    false => &callbacks.response_body,
                };
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                of.as_ref().map_or(Entry::Absent, |call| Entry::Three(call, (stream, size, end)))
            }
            Asked::Trailers(fields) => {
                let of = match is_request {
                    true => &callbacks.request_trailers,
                    false => &callbacks.response_trailers,
                };
                let fields = u32::try_from(fields).unwrap_or(u32::MAX);
                of.as_ref().map_or(Entry::Absent, |call| Entry::Two(call, (stream, fields)))
            }
        }
    }
}

/// What a callback's number says. C++ and Higress filters return Envoy's own for heads: 1 holds the head alone where
/// the settings allow it, 2 goes on, 3 and 4 hold everything; for bodies: 1 holds and buffers, 2 holds and reads no
/// more than fits, 3 drops the piece.
pub(crate) fn action_of(raw: u32, asked: &Asked, state: &GuestState) -> Action {
    match (asked, raw) {
        (_, 0) | (Asked::Head(_), 2) => Action::Continue,
        (Asked::Head(_), 1) => on_paused(state),
        (Asked::Head(_) | Asked::Trailers(_), _) | (Asked::Body(_), 1) => Action::Pause,
        (Asked::Body(_), 2) => Action::PauseReading,
        (Asked::Body(_), _) => Action::Discard,
    }
}

fn on_paused(state: &GuestState) -> Action {
    match state.facts.settings.compatibility.headers_pause {
        HeadersPause::Everything => Action::Pause,
        HeadersPause::Head => Action::PauseHead,
    }
}
