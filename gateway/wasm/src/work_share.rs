//! How much of a worker's time the long callbacks of one plugin take, and when that is too much.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A shorter callback stalls nobody: it is work like any other, and comes with requests.
const LONG: Duration = Duration::from_millis(1);
/// The share is taken over about so long.
const PERIOD: Duration = Duration::from_secs(5);

/// A bucket that long callbacks fill and time empties at the rate of the share. Once it is full, the plugin does not
/// run on this worker until it is half empty. It stays on its worker's thread.
#[derive(Debug)]
pub(crate) struct WorkShare {
    percent: u32,
    level: Cell<Duration>,
    at: Cell<Option<Instant>>,
    cooling: Cell<bool>,
}

/// Whether a callback was one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charged {
    /// The plugin may go on.
    Within,
    /// It has to cool down from now on.
    Exceeded,
}

impl WorkShare {
    /// An empty one for so many percent; 100 is no limit.
    pub(crate) fn of(percent: u8) -> Self {
        WorkShare {
            percent: percent.into(),
            level: Cell::default(),
            at: Cell::default(),
            cooling: Cell::default(),
        }
    }

    /// A callback has taken so long, up to now.
    pub(crate) fn charge(&self, now: Instant, took: Duration) -> Charged {
        if took <= LONG { Charged::Within } else { self.charge_unasked(now, took) }
    }

    /// The same of a callback that no request or connection brings: the plugin sees to it by itself, so that short
    /// ones count too. An element of a queue may beget the next.
    pub(crate) fn charge_unasked(&self, now: Instant, took: Duration) -> Charged {
        if self.percent >= 100 {
            return Charged::Within;
        }
        self.drain(now);
        self.level.set(self.level.get() + took);
        if self.level.get() <= self.capacity() || self.cooling.replace(true) {
            return Charged::Within;
        }
        Charged::Exceeded
    }

    /// Whether it may not run now. The clock is read only while it has to cool down.
    pub(crate) fn is_cooling(&self) -> bool {
        self.cooling.get() && self.is_cooling_at(Instant::now())
    }

    fn is_cooling_at(&self, now: Instant) -> bool {
        self.drain(now);
        self.cooling.set(self.cooling.get() && self.level.get() > self.capacity() / 2);
        self.cooling.get()
    }

    fn capacity(&self) -> Duration {
        PERIOD * self.percent / 100
    }

    fn drain(&self, now: Instant) {
        let passed = self.at.replace(Some(now)).map_or(Duration::ZERO, |at| now.duration_since(at));
        self.level.set(self.level.get().saturating_sub(passed * self.percent / 100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn who_takes_more_than_its_share_cools_down() {
        let (share, start) = (WorkShare::of(20), Instant::now());
        let mut now = start;
        let mut charged = Charged::Within;
        let mut callbacks = 0;
        while charged == Charged::Within {
            now += ms(9);
            charged = share.charge(now, ms(9));
            callbacks += 1;
        }
        // It fills by 9 ms and loses a fifth of that.
        assert!((135..145).contains(&callbacks), "{callbacks}");
        assert!(share.is_cooling_at(now + ms(2_400)));
        assert!(!share.is_cooling_at(now + ms(2_600)), "half of a second is gone after 2.5 s");
        assert!(!share.is_cooling());
    }

    #[test]
    fn who_keeps_to_its_share_goes_on_for_ever() {
        let (share, mut now) = (WorkShare::of(20), Instant::now());
        for _ in 0..10_000 {
            now += ms(50);
            assert_eq!(share.charge(now, ms(9)), Charged::Within);
        }
    }

    #[test]
    fn short_callbacks_are_work_like_any_other() {
        let (share, mut now) = (WorkShare::of(1), Instant::now());
        for _ in 0..10_000 {
            now += LONG;
            assert_eq!(share.charge(now, LONG), Charged::Within);
        }
    }

    #[test]
    fn short_callbacks_that_nobody_asked_for_add_up() {
        let (share, mut now) = (WorkShare::of(20), Instant::now());
        let charged = (0..1_000_000).find(|_| {
            now += LONG / 10;
            share.charge_unasked(now, LONG / 10) == Charged::Exceeded
        });
        // It fills by 100 us and loses a fifth of that.
        assert!(charged.is_some_and(|nth| (12_000..13_000).contains(&nth)), "{charged:?}");
        assert!(share.is_cooling_at(now));
    }

    #[test]
    fn a_whole_share_is_no_limit() {
        let (share, now) = (WorkShare::of(100), Instant::now());
        assert!((0..1000).all(|_| share.charge(now, ms(100)) == Charged::Within));
    }
}
