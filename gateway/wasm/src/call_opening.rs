//! Whether a guest may make another call: how many there are, what they hold, and who brought it about.

use crate::abi::Status;
use crate::call_end::CallError;
use crate::call_memory::{NoRoom, Room};
use crate::errands::{Brought, CallId, CallKind, MOST_CALLS};
use crate::state::{GuestState, Phase};

/// What a call costs the host beside its bytes, about: a task, a place in a connection.
const CALL_BYTES: usize = 16 << 10;
/// What a message costs beside its bytes.
const MESSAGE_BYTES: usize = 64;
/// So many calls of one request may be made because an earlier one was answered.
const MOST_LINKS: u32 = 16;

/// A call that may be made.
pub(crate) struct Opened {
    pub(crate) id: CallId,
    pub(crate) room: Room,
    pub(crate) brought: Brought,
}

/// A number and room for a call that sends so many bytes.
///
/// # Errors
/// SDKs take this status for what it is: the call was not made.
pub(crate) fn open_call(
    state: &mut GuestState,
    kind: CallKind,
    bytes: usize,
) -> Result<Opened, CallError> {
    let refused = |why| Err(CallError::Refused(Status::InternalFailure, why));
    if state.errands.calls.len() >= MOST_CALLS {
        return refused("too many calls are in flight");
    }
    let brought = who_brings(state);
    if brought == Brought::ByItself && state.errands.must_rest {
        return refused("the plugin takes too much of the worker's time by itself");
    }
    let Ok(room) = state.facts.call_memory.take(CALL_BYTES.saturating_add(bytes)) else {
        return refused("the plugin's calls hold too much memory");
    };
    let id = state.errands.open_call(kind);
    Ok(Opened { id, room, brought })
}

/// Room for a message of so many bytes on a call that is open.
pub(crate) fn room_for_message(state: &GuestState, bytes: usize) -> Result<Room, NoRoom> {
    state.facts.call_memory.take(MESSAGE_BYTES.saturating_add(bytes))
}

fn who_brings(state: &mut GuestState) -> Brought {
    if !state.streams.contains(&state.effective) {
        return Brought::ByItself;
    }
    if state.phase != Phase::CallResponse {
        return Brought::ByRequest;
    }
    let links = state.errands.links.entry(state.effective).or_default();
    *links = links.saturating_add(1);
    if *links > MOST_LINKS { Brought::ByItself } else { Brought::ByRequest }
}
