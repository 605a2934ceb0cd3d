//! When a plugin's missing instances are started, and among whose.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::background::Lane;

/// A start that takes longer is a slow one.
const QUICK: Duration = Duration::from_millis(100);

/// Of one plugin: whether a start waits for its turn, how long the last one took, and when to try again after one that
/// failed: after 1 s, then twice as long up to 32 s.
pub(crate) struct Restocking {
    queued: AtomicBool,
    is_slow: AtomicBool,
    origin: Instant,
    not_before_ms: AtomicU64,
    failures: AtomicU32,
}

impl Default for Restocking {
    fn default() -> Self {
        Restocking {
            queued: AtomicBool::new(false),
            is_slow: AtomicBool::new(false),
            origin: Instant::now(),
            not_before_ms: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        }
    }
}

impl Restocking {
    /// Whether a start may be queued now; then it is this one that is.
    pub(crate) fn queue(&self) -> bool {
        !self.is_too_early() && !self.queued.swap(true, Ordering::AcqRel)
    }

    /// It is done, or could not be queued.
    pub(crate) fn leave_queue(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// Where the next start belongs.
    pub(crate) fn lane(&self) -> Lane {
        if self.is_slow.load(Ordering::Relaxed) { Lane::Slow } else { Lane::Quick }
    }

    /// A start took so long, whatever came of it.
    pub(crate) fn took(&self, time: Duration) {
        self.is_slow.store(time > QUICK, Ordering::Relaxed);
    }

    /// A start failed; how long the next one waits.
    pub(crate) fn failed(&self) -> Duration {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(5);
        let pause = Duration::from_secs(1 << failures);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.not_before_ms.store(self.now_ms() + pause_ms, Ordering::Relaxed);
        pause
    }

    /// A start went well.
    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.not_before_ms.store(0, Ordering::Relaxed);
    }

    fn is_too_early(&self) -> bool {
        let not_before = self.not_before_ms.load(Ordering::Relaxed);
        not_before != 0 && self.now_ms() < not_before
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_start_waits_at_a_time_and_after_a_failure_none_for_a_while() {
        let restocking = Restocking::default();
        assert!(restocking.queue());
        assert!(!restocking.queue());
        restocking.leave_queue();
        let pauses: Vec<_> = (0..7).map(|_| restocking.failed().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 32]);
        assert!(!restocking.queue());
        restocking.succeeded();
        assert!(restocking.queue());
    }

    #[test]
    fn who_starts_slowly_waits_among_such() {
        let restocking = Restocking::default();
        assert_eq!(restocking.lane(), Lane::Quick);
        restocking.took(QUICK + Duration::from_millis(1));
        assert_eq!(restocking.lane(), Lane::Slow);
        restocking.took(QUICK);
        assert_eq!(restocking.lane(), Lane::Quick);
    }
}
