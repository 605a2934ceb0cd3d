//! Time budgets: told by the ticks that pass, decided by the processor time that the guest's thread has had.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::ticker::ticks;

/// However little processor time a guest gets, it ends after so many budgets of ticks.
const MOST_BUDGETS: u64 = 100;
/// What runs for less is never looked at. The wall clock may say more of it, when others had the processor.
pub(crate) const UNSEEN: Duration = Duration::from_millis(1);

/// The budget of what runs in one guest, armed anew for each callback.
///
/// Ticks pass on a busy machine while the guest's thread waits for a processor. Therefore the first deadline, after
/// [`UNSEEN`] of ticks, only makes the thread's own clock be read, and the rest of the budget by that clock ends the
/// guest: an endless loop ends after about one budget, and nobody who used a millisecond less than one. A callback
/// shorter than that reads no clock at all.
#[derive(Debug)]
pub(crate) struct TimeBudget {
    /// The part before the first deadline, and what is left then.
    first: Duration,
    rest: Duration,
    first_ticks: u64,
    most_ticks: u64,
    /// The ticks handed out since it was armed.
    granted: u64,
    /// The thread's processor time when the deadline first came.
    marked: Option<Duration>,
    /// Of earlier callbacks that came to a deadline.
    long: Duration,
    /// Where what runs gives way.
    slices: Option<Slices>,
}

/// The slices of what gives way: the thread does other things between them, whose time is not the guest's. It has a
/// second holder, who tells when the next one begins.
#[derive(Clone, Debug)]
pub(crate) struct Slices {
    ticks: u64,
    shared: Arc<SharedSlices>,
}

/// In nanoseconds.
#[derive(Debug, Default)]
struct SharedSlices {
    /// The thread's processor time when the slice began.
    began: AtomicU64,
    /// What earlier slices took.
    used: AtomicU64,
}

impl Slices {
    /// Slices of this length, at least a tick.
    pub(crate) fn new(length: Duration) -> Self {
        Slices { ticks: ticks(length), shared: Arc::default() }
    }

    /// A slice begins.
    pub(crate) fn resume(&self, now: Duration) {
        self.shared.began.store(nanoseconds(now), Relaxed);
    }

    /// A slice ends: what all of them took.
    fn end(&self, now: Duration) -> Duration {
        let ran = nanoseconds(now).saturating_sub(self.shared.began.load(Relaxed));
        self.shared.began.store(nanoseconds(now), Relaxed);
        let before = self.shared.used.fetch_add(ran, Relaxed);
        Duration::from_nanos(before.saturating_add(ran))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What becomes of a guest whose deadline has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtDeadline {
    /// It goes on for so many ticks.
    Extend(u64),
    /// Others have their turn; then it goes on for so many ticks.
    GiveWay(u64),
    /// Its budget is used up.
    End,
}

impl TimeBudget {
    /// A budget of this length, not armed.
    pub(crate) fn new(length: Duration) -> Self {
        let first = UNSEEN.min(length / 2);
        TimeBudget {
            first,
            rest: length - first,
            first_ticks: ticks(first),
            most_ticks: ticks(length).saturating_mul(MOST_BUDGETS),
            granted: 0,
            marked: None,
            long: Duration::ZERO,
            slices: None,
        }
    }

    /// Begins anew; the ticks until the first deadline.
    pub(crate) fn arm(&mut self) -> u64 {
        self.note_long();
        self.granted = self.first_ticks;
        self.first_ticks
    }

    /// The same for what gives way after each slice.
    pub(crate) fn arm_slices(&mut self, slices: Slices) -> u64 {
        self.note_long();
        let ticks = slices.ticks;
        self.granted = ticks;
        self.slices = Some(slices);
        ticks
    }

    /// Whether what runs gives way after each slice.
    pub(crate) fn gives_way(&self) -> bool {
        self.slices.is_some()
    }

    /// The deadline has come: reads the clock of the thread that runs the guest, and decides.
    pub(crate) fn at_deadline(&mut self) -> AtDeadline {
        self.decide(processor_time())
    }

    /// The processor time of what ran since this was last asked for, without what was too short for a deadline to
    /// come.
    pub(crate) fn take_long(&mut self) -> Option<Duration> {
        self.note_long();
        let long = std::mem::take(&mut self.long);
        (!long.is_zero()).then_some(long)
    }

    fn note_long(&mut self) {
        if let Some(slices) = self.slices.take() {
            let used = slices.end(processor_time());
            self.long += if used < UNSEEN { Duration::ZERO } else { used };
        }
        if let Some(marked) = self.marked.take() {
            self.long += self.first + processor_time().saturating_sub(marked);
        }
    }

    fn decide(&mut self, now: Duration) -> AtDeadline {
        if let Some(slices) = &self.slices {
            let budget = self.first + self.rest;
            self.granted = self.granted.saturating_add(slices.ticks);
            return match slices.end(now) >= budget || self.granted >= self.most_ticks {
                true => AtDeadline::End,
                false => AtDeadline::GiveWay(slices.ticks),
            };
        }
        let used = now.saturating_sub(*self.marked.get_or_insert(now));
        let left = self.rest.saturating_sub(used);
        if left.is_zero() || self.granted >= self.most_ticks {
            return AtDeadline::End;
        }
        let more = ticks(left);
        self.granted = self.granted.saturating_add(more);
        AtDeadline::Extend(more)
    }
}

/// The processor time that this thread has had.
#[cfg(unix)]
pub(crate) fn processor_time() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

/// Where that is not told, the time that has passed since the first question: more than it has had.
#[cfg(not(unix))]
pub(crate) fn processor_time() -> Duration {
    static BEGIN: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    BEGIN.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use AtDeadline::{End, Extend};

    const AT: Duration = Duration::from_secs(7);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn armed() -> TimeBudget {
        let mut budget = TimeBudget::new(ms(10));
        assert_eq!(budget.arm(), 2);
        budget
    }

    #[test]
    fn a_loop_ends_at_the_second_deadline() {
        let mut budget = armed();
        assert_eq!(budget.decide(AT), Extend(10));
        assert_eq!(budget.decide(AT + ms(10)), End);
    }

    #[test]
    fn who_waits_for_a_processor_goes_on_for_what_is_left() {
        let mut budget = armed();
        assert_eq!(budget.decide(AT), Extend(10));
        assert_eq!(budget.decide(AT + ms(1)), Extend(9));
        assert_eq!(budget.decide(AT + ms(8)), Extend(2));
        assert_eq!(budget.decide(AT + Duration::from_micros(8_999)), Extend(2));
        assert_eq!(budget.decide(AT + ms(9)), End);
    }

    #[test]
    fn who_gets_no_processor_at_all_ends_in_time_too() {
        let mut budget = armed();
        let deadlines = (0..u64::MAX).find(|_| budget.decide(AT) == End);
        // Each but the first is for the ten ticks that are left of a budget of eleven.
        assert_eq!(deadlines, Some((11 * MOST_BUDGETS - 2).div_ceil(10)));
    }

    #[test]
    fn each_callback_has_a_budget_of_its_own() {
        let mut budget = armed();
        assert_eq!(budget.decide(AT), Extend(10));
        assert_eq!(budget.arm(), 2);
        assert_eq!(budget.decide(AT + ms(60)), Extend(10));
    }

    #[test]
    fn extreme_budgets_do_not_overflow() {
        let mut none = TimeBudget::new(Duration::ZERO);
        assert_eq!((none.arm(), none.decide(AT)), (1, End));
        let mut endless = TimeBudget::new(Duration::MAX);
        endless.arm();
        assert!(matches!(endless.decide(AT), Extend(_)));
        endless.decide(AT);
    }

    #[test]
    fn slices_add_up_without_what_ran_between_them() {
        let mut budget = TimeBudget::new(ms(10));
        let slices = Slices::new(ms(2));
        slices.resume(AT);
        assert_eq!(budget.arm_slices(slices.clone()), 3);
        assert_eq!(budget.decide(AT + ms(4)), AtDeadline::GiveWay(3));
        slices.resume(AT + ms(500));
        assert_eq!(budget.decide(AT + ms(505)), AtDeadline::GiveWay(3));
        slices.resume(AT + ms(900));
        assert_eq!(budget.decide(AT + ms(901)), End);
    }

    #[test]
    fn the_clock_advances_while_this_thread_computes() {
        let begin = processor_time();
        while processor_time() == begin {
            std::hint::spin_loop();
        }
    }
}
