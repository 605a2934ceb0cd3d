//! The breaker of one plugin object: after too many failures in too short a time its failure policy answers without
//! running it, until a trial succeeds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_model::BreakerLimits;

/// A trial that is not heard of again has so long to succeed before there is another.
const LONGEST_TRIAL: Duration = Duration::from_secs(1);
const CLOSED: u64 = 0;

/// Shared by all workers. While it is closed, passing costs one load; the lock is taken at failures alone.
pub(crate) struct Breaker {
    limits: BreakerLimits,
    origin: Instant,
    /// In milliseconds since the origin; `CLOSED` while it is closed.
    open_until: AtomicU64,
    /// The same, while a trial is under way.
    trial_until: AtomicU64,
    failures: Mutex<VecDeque<u64>>,
}

/// Whether the plugin may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It may.
    Free,
    /// It may, once, for all to see whether it works again.
    Trial,
    /// Its failure policy answers.
    Refused,
}

impl Breaker {
    /// A closed one.
    pub(crate) fn new(limits: BreakerLimits) -> Self {
        Breaker {
            limits,
            origin: Instant::now(),
            open_until: AtomicU64::new(CLOSED),
            trial_until: AtomicU64::new(CLOSED),
            failures: Mutex::default(),
        }
    }

    /// Whether a request may run the plugin.
    pub(crate) fn pass(&self) -> Passage {
        match self.open_until.load(Relaxed) {
            CLOSED => Passage::Free,
            until => self.pass_open(until, self.now()),
        }
    }

    fn pass_open(&self, open_until: u64, now: u64) -> Passage {
        let trial = self.trial_until.load(Relaxed);
        if now < open_until || now < trial {
            return Passage::Refused;
        }
        let next = now + millis(LONGEST_TRIAL);
        match self.trial_until.compare_exchange(trial, next, Relaxed, Relaxed) {
            Ok(_) => Passage::Trial,
            Err(_) => Passage::Refused,
        }
    }

    /// Whether it is not closed.
    pub(crate) fn is_open(&self) -> bool {
        self.open_until.load(Relaxed) != CLOSED
    }

    /// The plugin trapped, or went over a budget. Whether that opens the breaker.
    pub(crate) fn fail(&self) -> Opened {
        if self.limits.failures == 0 { Opened::No } else { self.fail_at(self.now()) }
    }

    fn fail_at(&self, now: u64) -> Opened {
        let window = millis(self.limits.window);
        let mut failures = self.failures.lock();
        failures.push_back(now);
        while failures.front().is_some_and(|at| at + window <= now) {
            failures.pop_front();
        }
        let until = self.open_until.load(Relaxed);
        let failed_trial = until != CLOSED && now >= until;
        if !failed_trial && (until != CLOSED || failures.len() < self.limits.failures as usize) {
            return Opened::No;
        }
        failures.clear();
        self.trial_until.store(CLOSED, Relaxed);
        self.open_until.store(now + window, Relaxed);
        Opened::Yes
    }

    /// A trial went well.
    pub(crate) fn close(&self) {
        self.failures.lock().clear();
        self.trial_until.store(CLOSED, Relaxed);
        self.open_until.store(CLOSED, Relaxed);
    }

    /// Never `CLOSED`.
    fn now(&self) -> u64 {
        millis(self.origin.elapsed()) + 1
    }
}

/// Whether a failure has opened the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// With this one; also a trial that failed.
    Yes,
    /// It is as it was.
    No,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerLimits { failures: 3, window: Duration::from_secs(10) })
    }

    fn pass_at(breaker: &Breaker, now: u64) -> Passage {
        match breaker.open_until.load(Relaxed) {
            CLOSED => Passage::Free,
            until => breaker.pass_open(until, now),
        }
    }

    #[test]
    fn so_many_failures_within_the_window_open_it() {
        let breaker = breaker();
        assert_eq!((breaker.fail_at(1), breaker.fail_at(5_000)), (Opened::No, Opened::No));
        assert_eq!(breaker.fail_at(10_001), Opened::No, "the first is forgotten");
        assert_eq!(pass_at(&breaker, 10_001), Passage::Free);
        assert_eq!(breaker.fail_at(10_002), Opened::Yes);
        assert_eq!(pass_at(&breaker, 10_003), Passage::Refused);
        assert_eq!(breaker.fail_at(10_004), Opened::No, "of a request that was in it already");
        assert_eq!(pass_at(&breaker, 20_001), Passage::Refused);
    }

    fn opened() -> Breaker {
        let breaker = breaker();
        assert_eq!([1, 1, 1].map(|at| breaker.fail_at(at)).last(), Some(&Opened::Yes));
        breaker
    }

    #[test]
    fn one_trial_decides() {
        let breaker = opened();
        assert_eq!(pass_at(&breaker, 10_001), Passage::Trial);
        assert_eq!(pass_at(&breaker, 10_002), Passage::Refused, "there is one at a time");
        assert_eq!(breaker.fail_at(10_003), Opened::Yes);
        assert_eq!(pass_at(&breaker, 20_002), Passage::Refused);
        assert_eq!(pass_at(&breaker, 20_003), Passage::Trial);
        breaker.close();
        assert_eq!(pass_at(&breaker, 20_004), Passage::Free);
        assert_eq!(breaker.fail_at(20_005), Opened::No, "it counts anew");
    }

    #[test]
    fn a_trial_that_nobody_hears_of_again_is_followed_by_another() {
        let breaker = opened();
        assert_eq!(pass_at(&breaker, 10_001), Passage::Trial);
        assert_eq!(pass_at(&breaker, 11_000), Passage::Refused);
        assert_eq!(pass_at(&breaker, 11_001), Passage::Trial);
    }

    #[test]
    fn it_can_be_off() {
        let breaker = Breaker::new(BreakerLimits { failures: 0, window: Duration::ZERO });
        assert!((0..1000).all(|_| breaker.fail() == Opened::No));
        assert_eq!(breaker.pass(), Passage::Free);
    }
}
