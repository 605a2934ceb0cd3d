//! When keys are fetched again.

use std::time::Duration;

/// How long keys are good whose server does not say.
const USUAL: Duration = Duration::from_secs(20 * 60);
/// Whatever a server says, it is asked no more often, and no less.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The pauses after failures, and between fetches for keys that tokens name and nobody has: they double.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The pace of one place.
#[derive(Debug)]
pub(super) struct Schedule {
    /// How long to wait for the next fetch.
    pub(super) next: Duration,
    /// How long to wait at least, where a token names a key that is not there.
    pub(super) soonest: Duration,
    failures: u32,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Schedule { next: USUAL, soonest: FIRST_PAUSE, failures: 0 }
    }

    /// Other keys came than before.
    pub(super) fn changed(&mut self, fresh: Option<Duration>) {
        *self = Schedule { next: period(fresh), ..Schedule::new() };
    }

    /// The same keys came again; whoever asks for others in vain gets slower.
    pub(super) fn unchanged(&mut self, fresh: Option<Duration>) {
        self.next = period(fresh);
        self.soonest = (self.soonest * 2).min(LONGEST_PAUSE);
        self.failures = 0;
    }

    /// Nothing came.
    pub(super) fn failed(&mut self) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6));
        self.next = pause.min(LONGEST_PAUSE);
        self.soonest = self.next;
        self.failures = self.failures.saturating_add(1);
    }
}

fn period(fresh: Option<Duration>) -> Duration {
    fresh.map_or(USUAL, |fresh| fresh.clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_vain_questions_slow_it_down_and_news_resets_it() {
        let mut schedule = Schedule::new();
        let pauses: Vec<u64> = (0..8)
            .map(|_| {
                schedule.failed();
                schedule.next.as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        schedule.changed(None);
        assert_eq!((schedule.next, schedule.soonest), (USUAL, FIRST_PAUSE));
        for _ in 0..10 {
            schedule.unchanged(Some(Duration::ZERO));
        }
        assert_eq!((schedule.next, schedule.soonest), (SHORTEST, LONGEST_PAUSE));
        schedule.failed();
        assert_eq!(schedule.next, FIRST_PAUSE);
        schedule.changed(Some(Duration::MAX));
        assert_eq!(schedule.next, LONGEST);
    }
}
