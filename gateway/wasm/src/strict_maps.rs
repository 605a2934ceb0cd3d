//! Which header maps Envoy has at hand, for plugins that want to be refused what Envoy refuses.
//!
//! There a map is at hand in its own callback, and from then on only where that callback held it back; in `on_log` all
//! are. (Envoy's `Context::decodeHeaders` and its like forget the map of what went on at once.)

use rustc_hash::FxHashSet;

use crate::state::{GuestState, Phase};

/// What callbacks of streams have held back; empty for plugins that are served leniently.
#[derive(Default)]
pub(crate) struct HeldBack(FxHashSet<(u32, Phase)>);

impl HeldBack {
    /// The callback that runs holds back what it is about.
    pub(crate) fn note(&mut self, stream: u32, phase: Phase) {
        self.0.insert((stream, phase));
    }

    /// How much is held back.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A stream has ended.
    pub(crate) fn forget(&mut self, stream: u32) {
        if !self.0.is_empty() {
            self.0.retain(|(held, _)| *held != stream);
        }
    }
}

/// Whether the map that the callback of this phase is about is at hand in Envoy, for the stream that host calls mean.
pub(crate) fn is_at_hand(state: &GuestState, phase: Phase) -> bool {
    let now = state.means_what_runs() && (state.phase == phase || state.phase == Phase::Log);
    now || state.held_back.0.contains(&(state.effective, phase))
}
