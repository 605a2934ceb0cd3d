//! The clock of the time budgets: a thread that looks at the guests that run and advances the engines' epochs, and
//! sleeps without a wake-up while none does.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, compiler_fence};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_model::PluginLimits;

/// The length of a tick, the resolution of every time budget.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// While all callbacks are short it looks as seldom as this: each look costs requests a few microseconds.
const CALM: Duration = Duration::from_millis(4);
/// After so many looks in a row at which nothing had run it sleeps.
const IDLE_LOOKS: u32 = 8;

/// Drives the epochs of wasmtime engines. Dropping it ends its thread.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
}

struct Shared {
    asleep: AtomicBool,
    ended: AtomicBool,
    thread: OnceLock<Thread>,
    watches: Mutex<Vec<Watched>>,
    engines: Mutex<Vec<wasmtime::Engine>>,
}

/// One instance's mark that its guest runs. Each has its own, so that workers write no shared memory; a worker's
/// sandboxes of one plugin, of which one runs at a time, have one together.
///
/// It is odd while the guest runs, and another number for each run.
#[derive(Clone)]
pub(crate) struct Watch {
    mark: Arc<AtomicU32>,
    shared: Arc<Shared>,
}

/// A mark as the thread knows it.
struct Watched {
    mark: Weak<AtomicU32>,
    /// At the last look.
    seen: u32,
    interval: Duration,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing has run since the last one.
    Nothing,
    /// Only what had ended; the next look is due after so long.
    Short(Duration),
    /// A run that had not begun at the last one.
    New(Duration),
    /// One that had.
    Long,
}

/// How many ticks a time is, rounded up; one more because the current tick has begun already.
pub(crate) fn ticks(time: Duration) -> u64 {
    let whole = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(whole).unwrap_or(u64::MAX / 2).saturating_add(1).min(u64::MAX / 2)
}

impl Ticker {
    /// Starts the thread for an engine.
    pub(crate) fn start(engine: wasmtime::Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            asleep: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            thread: OnceLock::new(),
            watches: Mutex::default(),
            engines: Mutex::new(vec![engine]),
        });
        let of_thread = shared.clone();
        let handle = thread::Builder::new()
            .name("plugin-clock".to_owned())
            .spawn(move || of_thread.run())?;
        let _ = shared.thread.set(handle.thread().clone());
        Ok(Ticker { shared })
    }

    /// Drives the epoch of another engine too.
    pub(crate) fn drive(&self, engine: wasmtime::Engine) {
        self.shared.engines.lock().push(engine);
    }

    /// A watch for one instance of a plugin with these limits.
    pub(crate) fn watch(&self, limits: &PluginLimits) -> Watch {
        let mark = Arc::new(AtomicU32::new(0));
        let watched = Watched { mark: Arc::downgrade(&mark), seen: 0, interval: interval(limits) };
        self.shared.watches.lock().push(watched);
        Watch { mark, shared: self.shared.clone() }
    }
}

/// How far looks may be apart while the plugin runs: what gives way does so in time, and a short budget is held too.
fn interval(limits: &PluginLimits) -> Duration {
    match limits.slice {
        Some(_) => TICK,
        None => (limits.callback / 2).clamp(TICK, CALM),
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.wake();
    }
}

impl Watch {
    /// The guest begins to run; the epoch advances until [`end`](Self::end) and a little beyond.
    pub(crate) fn begin(&self) {
        let run = (self.mark.load(Ordering::Relaxed) | 1).wrapping_add(2);
        self.mark.store(run, Ordering::Relaxed);
        // No barrier, which would cost more than many a callback: `sleep` waits until this store is seen.
        compiler_fence(Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::Relaxed) {
            self.shared.wake();
        }
    }

    /// The guest has returned.
    pub(crate) fn end(&self) {
        self.mark.store(self.mark.load(Ordering::Relaxed) & !1, Ordering::Release);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watch({})", self.mark.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn run(&self) {
        // `wake` must find us: it would do nothing before the spawner has stored the handle.
        let _ = self.thread.set(thread::current());
        let (mut idle, mut pause) = (0, CALM);
        while !self.ended.load(Ordering::SeqCst) {
            thread::park_timeout(pause);
            // A run that two looks have seen has met two ticks, which are at least one apart.
            self.engines.lock().iter().for_each(wasmtime::Engine::increment_epoch);
            let found = self.look();
            pause = found.pause_after(pause);
            idle = if found == Found::Nothing { idle + 1 } else { 0 };
            if idle >= IDLE_LOOKS {
                self.sleep();
                (idle, pause) = (0, TICK);
            }
        }
    }

    /// Sleeps until a guest begins. One that begins from now on sees that and wakes us. The mark of one that began
    /// just before is seen a while later: no processor keeps a store to itself for so long.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        thread::park_timeout(CALM);
        while self.look() == Found::Nothing && !self.ended.load(Ordering::SeqCst) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn look(&self) -> Found {
        let mut found = Found::Nothing;
        self.watches.lock().retain_mut(|watched| match watched.mark.upgrade() {
            None => false,
            Some(mark) => {
                let now = mark.load(Ordering::SeqCst);
                let before = std::mem::replace(&mut watched.seen, now);
                found = found.with(watched.found(before));
                true
            }
        });
        found
    }
}

impl Watched {
    fn found(&self, before: u32) -> Found {
        match (self.seen == before, self.seen % 2 == 1) {
            (true, false) => Found::Nothing,
            (true, true) => Found::Long,
            (false, false) => Found::Short(self.interval),
            (false, true) => Found::New(self.interval),
        }
    }
}

impl Found {
    /// Of two guests.
    fn with(self, other: Self) -> Self {
        use Found::{Long, New, Nothing, Short};
        match (self, other) {
            (Long, _) | (_, Long) => Long,
            (Nothing, found) | (found, Nothing) => found,
            (Short(one), Short(other)) => Short(one.min(other)),
            (New(one) | Short(one), New(other) | Short(other)) => New(one.min(other)),
        }
    }

    /// When to look again, after a pause of this length. On a busy machine some run is always new, so that one look
    /// at those has to do.
    fn pause_after(self, last: Duration) -> Duration {
        match self {
            Found::Nothing => CALM,
            Found::Long => TICK,
            Found::New(_) if last > TICK => TICK,
            Found::New(interval) | Found::Short(interval) => interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Arc<Shared> {
        Arc::new(Shared {
            asleep: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            thread: OnceLock::new(),
            watches: Mutex::default(),
            engines: Mutex::default(),
        })
    }

    #[test]
    fn times_round_up_and_never_cut_early() {
        assert_eq!(ticks(Duration::from_millis(10)), 11);
        assert_eq!(ticks(Duration::from_micros(1)), 2);
        assert_eq!(ticks(Duration::ZERO), 1);
        assert_eq!(ticks(Duration::MAX), u64::MAX / 2);
    }

    #[test]
    fn a_guest_that_begins_is_seen_and_forgotten_after_its_end() {
        let shared = shared();
        let watch = Ticker { shared: shared.clone() }.watch(&PluginLimits::default());
        assert_eq!(shared.look(), Found::Nothing);
        watch.begin();
        assert_eq!(shared.look(), Found::New(CALM));
        assert_eq!(shared.look(), Found::Long);
        watch.end();
        assert_eq!(shared.look(), Found::Short(CALM));
        assert_eq!(shared.look(), Found::Nothing);
        drop(watch);
        assert_eq!(shared.look(), Found::Nothing);
        assert!(shared.watches.lock().is_empty());
    }

    #[test]
    fn short_runs_are_told_from_a_long_one() {
        let shared = shared();
        let watch = Ticker { shared: shared.clone() }.watch(&PluginLimits::default());
        watch.begin();
        assert_eq!(shared.look(), Found::New(CALM));
        watch.end();
        watch.begin();
        assert_eq!(shared.look(), Found::New(CALM));
    }

    #[test]
    fn looks_are_close_where_something_may_be_long() {
        let tight = PluginLimits { callback: TICK, ..PluginLimits::default() };
        let slices = PluginLimits { slice: Some(TICK), ..PluginLimits::default() };
        assert_eq!([&tight, &slices, &PluginLimits::default()].map(interval), [TICK, TICK, CALM]);
        assert_eq!(Found::New(CALM).pause_after(CALM), TICK);
        assert_eq!(Found::New(CALM).pause_after(TICK), CALM);
        assert_eq!(Found::Short(CALM).with(Found::New(TICK)), Found::New(TICK));
        assert_eq!(Found::Short(CALM).with(Found::Long).pause_after(CALM), TICK);
    }
}
