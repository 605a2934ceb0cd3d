//! How many repeats a cluster takes: a share of its requests of late, and of those under way.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use portcullis_model as model;

/// Over so many seconds repeats are held against requests, the present one included.
const WINDOW: u32 = 10;

/// A repeat for so many requests.
const REQUESTS_FOR_EACH: u64 = 5;

/// So many a second are always allowed.
const ALWAYS: u64 = 3;

/// What a cluster's requests and repeats were of late, for the whole process and all generations. Nobody waits for
/// anybody: a second's count is one atomic.
#[derive(Debug, Default)]
pub struct Repeats {
    requests: Seconds,
    counted: Seconds,
    under_way: AtomicUsize,
}

/// One repeat, under way as long as this lives.
#[derive(Debug)]
pub struct RepeatUnderWay(Arc<Repeats>);

/// Counts of the last seconds. Each place holds a second's number in its upper half and the count in its lower one.
#[derive(Debug, Default)]
struct Seconds([AtomicU64; 16]);

/// Whether a repeat counts against the share of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// It is of something that no upstream has seen, or cannot have.
    Free,
    /// An upstream may have seen it.
    Counted,
}

impl Repeats {
    /// A request goes to the cluster for the first time.
    pub fn note_request(&self, now: Instant) {
        self.requests.add(second_of(now));
    }

    /// Takes room for one repeat; `None` where there is none. `active` says how many requests are under way to the
    /// cluster, and is asked only where its settings have a budget by that.
    ///
    /// What an upstream may have seen adds at most a fifth to the requests of the last ten seconds, three a second
    /// always allowed. `retryBudget` and `maxRetries` apply besides, to all repeats, with Envoy's meaning.
    pub fn take(
        self: &Arc<Self>,
        cost: Cost,
        now: Instant,
        settings: &model::Cluster,
        active: impl FnOnce() -> usize,
    ) -> Option<RepeatUnderWay> {
        let under_way = self.under_way.fetch_add(1, Relaxed);
        // From here on it is given back when it is dropped.
        let repeat = RepeatUnderWay(self.clone());
        if under_way >= most_under_way(settings, active) {
            return None;
        }
        match cost {
            Cost::Free => Some(repeat),
            Cost::Counted => self.count(second_of(now)).then_some(repeat),
        }
    }

    /// Repeats under way.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Relaxed)
    }

    /// Counts first and takes it back where it was too many, so that no two see the same room.
    fn count(&self, second: u32) -> bool {
        let this_second = self.counted.add(second);
        let within = || {
            let allowed = self.requests.sum(second) / REQUESTS_FOR_EACH;
            self.counted.sum(second) <= allowed
        };
        let room = this_second <= ALWAYS || within();
        if !room {
            self.counted.take_back(second);
        }
        room
    }
}

impl Drop for RepeatUnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

fn most_under_way(settings: &model::Cluster, active: impl FnOnce() -> usize) -> usize {
    let fixed = settings.pool.max_retries.map_or(usize::MAX, |most| most as usize);
    let Some(budget) = &settings.retry_budget else { return fixed };
    let share = (active() as f64 * budget.percent / 100.0) as usize;
    fixed.min(share.max(budget.min_concurrency as usize))
}

impl Seconds {
    /// Counts one; how many that makes this second.
    fn add(&self, second: u32) -> u64 {
        let Some(place) = self.place(second) else { return 0 };
        loop {
            let seen = place.load(Relaxed);
            if seen >> 32 == u64::from(second) {
                return (place.fetch_add(1, Relaxed) & u64::from(u32::MAX)) + 1;
            }
            let begun = u64::from(second) << 32 | 1;
            if place.compare_exchange(seen, begun, Relaxed, Relaxed).is_ok() {
                return 1;
            }
        }
    }

    /// Takes one back that was just counted.
    fn take_back(&self, second: u32) {
        if let Some(place) = self.place(second) {
            place.fetch_sub(1, Relaxed);
        }
    }

    /// The counts of the window that ends with a second.
    fn sum(&self, second: u32) -> u64 {
        let within = |place: &AtomicU64| {
            let seen = place.load(Relaxed);
            let age = second.wrapping_sub((seen >> 32) as u32);
            if age < WINDOW { seen & u64::from(u32::MAX) } else { 0 }
        };
        self.0.iter().map(within).sum()
    }

    fn place(&self, second: u32) -> Option<&AtomicU64> {
        self.0.get(second as usize % self.0.len())
    }
}

/// Seconds since the first that anybody asked for, plus a window, so that what is empty is old.
fn second_of(now: Instant) -> u32 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = *FIRST.get_or_init(Instant::now);
    WINDOW.wrapping_add(now.saturating_duration_since(first).as_secs() as u32)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_model::RetryBudget;

    use super::*;

    /// A moment that is not before the first second.
    fn begin() -> (Arc<Repeats>, Instant) {
        (Arc::default(), Instant::now() + Duration::from_secs(1))
    }

    fn settings() -> model::Cluster {
        model::Cluster::for_test(&[])
    }

    /// How many of these counted repeats are let through at a moment.
    fn let_through(repeats: &Arc<Repeats>, tried: usize, now: Instant) -> usize {
        let none = || 0;
        let take = |_| repeats.take(Cost::Counted, now, &settings(), none).is_some();
        (0..tried).map(take).filter(|taken| *taken).count()
    }

    #[test]
    fn three_a_second_are_always_allowed() {
        let (repeats, now) = begin();
        for second in 0..20 {
            assert_eq!(let_through(&repeats, 10, now + Duration::from_secs(second)), 3);
        }
    }

    #[test]
    fn repeats_add_a_fifth_to_the_requests_of_ten_seconds() {
        let (repeats, now) = begin();
        (0..1000).for_each(|_| repeats.note_request(now));
        assert_eq!(let_through(&repeats, 1000, now), 200);
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(let_through(&repeats, 1000, later(8)), 3);
        // The requests are forgotten, and so are the repeats.
        assert_eq!(let_through(&repeats, 1000, later(20)), 3);
        (0..50).for_each(|_| repeats.note_request(later(40)));
        assert_eq!(let_through(&repeats, 1000, later(49)), 10);
    }

    #[test]
    fn what_is_free_is_not_counted() {
        let (repeats, now) = begin();
        let take = || repeats.take(Cost::Free, now, &settings(), || 0);
        assert!((0..1000).all(|_| take().is_some()));
        assert_eq!(let_through(&repeats, 10, now), 3);
        assert_eq!(repeats.under_way(), 0);
    }

    #[test]
    fn workers_together_stay_within_the_share() {
        let (repeats, now) = begin();
        (0..1000).for_each(|_| repeats.note_request(now));
        let counts = std::thread::scope(|scope| {
            let worker = || scope.spawn(|| let_through(&repeats, 500, now));
            let workers: Vec<_> = (0..4).map(|_| worker()).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum::<usize>()
        });
        assert!((190..=200).contains(&counts), "{counts}");
    }

    #[test]
    fn a_retry_budget_is_a_share_of_what_is_under_way() {
        let (repeats, now) = begin();
        let mut settings = settings();
        settings.retry_budget = Some(RetryBudget { percent: 20.0, min_concurrency: 3 });
        let take = |active: usize, settings: &model::Cluster| {
            repeats.take(Cost::Free, now, settings, || active)
        };
        let held: Vec<_> = (0..10).filter_map(|_| take(30, &settings)).collect();
        assert_eq!((held.len(), repeats.under_way()), (6, 6));
        drop(held);
        let held: Vec<_> = (0..10).filter_map(|_| take(1, &settings)).collect();
        assert_eq!(held.len(), 3);
        settings.pool.max_retries = Some(4);
        assert!(take(1000, &settings).is_some());
        let _more = take(1000, &settings);
        assert!(take(1000, &settings).is_none());
    }
}
