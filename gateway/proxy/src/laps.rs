//! How long callbacks took that follow each other.

use std::time::{Duration, Instant};

/// A clock that is read once for each callback: where one ends the next begins.
#[derive(Default)]
pub(crate) struct Laps(Option<Instant>);

impl Laps {
    /// A callback begins; when the last one has ended.
    pub(crate) fn begin(&mut self) -> Instant {
        *self.0.get_or_insert_with(Instant::now)
    }

    /// It ends: how long it took.
    pub(crate) fn end(&mut self) -> Duration {
        let now = Instant::now();
        self.0.replace(now).map_or(Duration::ZERO, |began| now.saturating_duration_since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_follow_each_other_without_a_gap() {
        let mut laps = Laps::default();
        let first = laps.begin();
        let took = laps.end();
        assert_eq!(laps.begin(), first + took);
        let next = laps.end();
        assert_eq!(laps.begin(), first + took + next);
    }
}
