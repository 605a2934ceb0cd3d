//! How long callbacks took that follow each other.

use std::time::{Duration, Instant};

use portcullis_telemetry::PluginPhase;
use portcullis_wasm::{Instance, StreamId};

/// A clock that is read once for each callback at most: where one ends the next begins.
#[derive(Default)]
pub(crate) struct Laps(Option<Instant>);

/// A callback that has begun: when, where its time is taken.
pub(crate) struct Lap(Option<Instant>);

/// A callback whose time was taken.
pub(crate) struct Timed {
    pub(crate) took: Duration,
    /// How many there were of its phase before whose was not.
    pub(crate) untimed: u32,
}

impl Laps {
    /// A callback begins.
    pub(crate) fn begin(&mut self, instance: &Instance) -> Lap {
        Lap(instance.times_next().then(|| self.time_of_begin()))
    }

    /// It ends: how long it took, where that was measured or noticed.
    pub(crate) fn end(
        &mut self,
        lap: &Lap,
        instance: &Instance,
        phase: PluginPhase,
    ) -> Option<Timed> {
        let took = match lap.0 {
            Some(began) => self.time_since(began),
            None => {
                self.0 = None;
                instance.end_untimed(phase)?
            }
        };
        Some(Timed { took, untimed: instance.take_untimed(phase) })
    }

    /// The same, which is charged to its stream.
    pub(crate) fn end_charged(
        &mut self,
        lap: &Lap,
        (instance, stream): (&Instance, StreamId),
        phase: PluginPhase,
    ) -> Option<Timed> {
        let timed = self.end(lap, instance, phase)?;
        if let Some(began) = lap.0 {
            instance.charge(stream, began, timed.took);
        }
        Some(timed)
    }

    /// When the last one has ended.
    fn time_of_begin(&mut self) -> Instant {
        *self.0.get_or_insert_with(Instant::now)
    }

    fn time_since(&mut self, began: Instant) -> Duration {
        let now = Instant::now();
        self.0 = Some(now);
        now.saturating_duration_since(began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_follow_each_other_without_a_gap() {
        let mut laps = Laps::default();
        let first = laps.time_of_begin();
        let took = laps.time_since(first);
        assert_eq!(laps.time_of_begin(), first + took);
        let next = laps.time_since(first + took);
        assert_eq!(laps.time_of_begin(), first + took + next);
    }
}
