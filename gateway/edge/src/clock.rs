//! A worker's coarse time, and how far its drain has come.

use std::cell::Cell;

/// A worker's coarse time and how far its drain has come.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    seconds: Cell<u32>,
    stage: Cell<Stage>,
}

/// How far the drain has come. It only ever goes forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// No drain.
    #[default]
    Serving,
    /// New connections are still welcome; each one is asked to go after its next response.
    Draining,
    /// Nothing new comes in; whoever is between two requests goes.
    Closing,
}

impl Clock {
    /// Seconds since the worker's start, as of the last tick.
    pub(crate) fn seconds(&self) -> u32 {
        self.seconds.get()
    }

    /// So many seconds have passed since the last tick. Of a longer stop only two count: nobody could be heard
    /// meanwhile.
    pub(crate) fn pass(&self, seconds: u32) {
        self.seconds.set(self.seconds.get().saturating_add(seconds.min(2)));
    }

    #[cfg(test)]
    pub(crate) fn set_seconds(&self, seconds: u32) {
        self.seconds.set(seconds);
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage.get()
    }

    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.set(stage.max(self.stage.get()));
    }
}
