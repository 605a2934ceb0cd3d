//! Which header maps Envoy has at hand, for plugins that want to be refused what Envoy refuses.
//!
//! There a map is at hand in its own callback, and from then on only where that callback held it back; in `on_log` all
//! are. (Envoy's `Context::decodeHeaders` and its like forget the map of what went on at once.)

use crate::state::{GuestState, Phase};

/// The callback that ran does not let go on what it was about.
pub(crate) fn note_held_back(state: &mut GuestState) {
    if state.is_strict() {
        state.held_back.insert((state.running, state.phase));
    }
}

/// A stream has ended.
pub(crate) fn forget_held_back(state: &mut GuestState, stream: u32) {
    if !state.held_back.is_empty() {
        state.held_back.retain(|(held, _)| *held != stream);
    }
}

/// Whether the map that the callback of this phase is about is at hand in Envoy, for the stream that host calls mean.
pub(crate) fn is_at_hand(state: &GuestState, phase: Phase) -> bool {
    let now = state.means_what_runs() && (state.phase == phase || state.phase == Phase::Log);
    now || state.held_back.contains(&(state.effective, phase))
}
