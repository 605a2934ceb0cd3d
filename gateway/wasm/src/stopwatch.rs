//! Of which callbacks of an instance the time is taken: reading the clock costs as much as a short one.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use portcullis_telemetry::PluginPhase;

/// A callback is short below this.
const SHORT: Duration = Duration::from_micros(50);
/// The first callbacks of an instance are all timed.
const FIRST: u32 = 256;
/// So are those that follow one that was not short.
const AFTER_LONG: u32 = 1024;
/// Of the others one in so many, drawn at random: a guest that knew which could be quick just then.
const ONE_IN: u32 = 8;

/// It stays on the worker's thread.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    /// So many more are timed in any case.
    due: Cell<u32>,
    dice: Cell<u32>,
    /// Callbacks that were not timed and are not counted yet, by phase: the counts themselves lie further away.
    untimed: [Cell<u32>; PluginPhase::ALL.len()],
}

impl Stopwatch {
    /// Of a fresh instance.
    pub(crate) fn new() -> Self {
        let seed = RandomState::new().hash_one(0_u8) as u32;
        Stopwatch { due: Cell::new(FIRST), dice: Cell::new(seed | 1), untimed: Default::default() }
    }

    /// Whether the next callback is timed.
    pub(crate) fn times_next(&self) -> bool {
        let due = self.due.get();
        if due > 0 {
            self.due.set(due - 1);
            return true;
        }
        self.throw() < u32::MAX / ONE_IN
    }

    /// One that was timed took so long.
    pub(crate) fn note(&self, took: Duration) {
        if took >= SHORT {
            self.due.set(AFTER_LONG);
        }
    }

    /// One that was not timed has ended.
    pub(crate) fn add_untimed(&self, phase: PluginPhase) {
        if let Some(count) = self.untimed.get(phase as usize) {
            count.set(count.get().saturating_add(1));
        }
    }

    /// How many of those there were since this was last asked.
    pub(crate) fn take_untimed(&self, phase: PluginPhase) -> u32 {
        self.untimed.get(phase as usize).map_or(0, Cell::take)
    }

    /// Marsaglia's xorshift.
    fn throw(&self) -> u32 {
        let mut dice = self.dice.get();
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        self.dice.set(dice);
        dice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(watch: &Stopwatch, of: usize) -> usize {
        (0..of).filter(|_| watch.times_next()).count()
    }

    #[test]
    fn short_callbacks_are_timed_now_and_then() {
        let watch = Stopwatch::new();
        assert_eq!(timed(&watch, FIRST as usize), FIRST as usize);
        watch.note(SHORT - Duration::from_nanos(1));
        let few = timed(&watch, 80_000);
        assert!((9_000..11_000).contains(&few), "{few}");
    }

    #[test]
    fn a_long_one_has_those_after_it_timed() {
        let watch = Stopwatch::new();
        timed(&watch, FIRST as usize);
        watch.note(SHORT);
        assert_eq!(timed(&watch, AFTER_LONG as usize), AFTER_LONG as usize);
        assert!(timed(&watch, 1000) < 1000);
    }
}
