//! The clock of the time budgets: a thread that advances the engine's epoch every millisecond while any
//! guest runs, and sleeps without a wake-up while none does.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;

/// The length of a tick, the resolution of every time budget.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// The thread looks whether anything ran only every so many ticks.
const TICKS_BETWEEN_LOOKS: u32 = 32;

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const RAN: u8 = 2;

/// Drives the epochs of wasmtime engines. Dropping it ends its thread.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
}

struct Shared {
    asleep: AtomicBool,
    ended: AtomicBool,
    thread: OnceLock<Thread>,
    watches: Mutex<Vec<Weak<AtomicU8>>>,
    engines: Mutex<Vec<wasmtime::Engine>>,
}

/// One instance's mark that its guest runs. Each has its own, so that workers write no shared memory; a worker's
/// sandboxes of one plugin, of which one runs at a time, have one together.
#[derive(Clone)]
pub(crate) struct Watch {
    mark: Arc<AtomicU8>,
    shared: Arc<Shared>,
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

    /// A watch for one instance.
    pub(crate) fn watch(&self) -> Watch {
        let mark = Arc::new(AtomicU8::new(IDLE));
        self.shared.watches.lock().push(Arc::downgrade(&mark));
        Watch { mark, shared: self.shared.clone() }
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
        self.mark.store(RUNNING, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.shared.wake();
        }
    }

    /// The guest has returned.
    pub(crate) fn end(&self) {
        self.mark.store(RAN, Ordering::Release);
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
        while !self.ended.load(Ordering::SeqCst) {
            for _ in 0..TICKS_BETWEEN_LOOKS {
                thread::park_timeout(TICK);
                self.engines.lock().iter().for_each(wasmtime::Engine::increment_epoch);
            }
            if !self.anything_ran() {
                self.sleep();
            }
        }
    }

    /// Sleeps until a guest begins. A guest that begins while we fall asleep either sees `asleep` and wakes
    /// us, or its mark is seen by the second look: both sides store before they load.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while !self.anything_ran() && !self.ended.load(Ordering::SeqCst) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn anything_ran(&self) -> bool {
        let mut any = false;
        self.watches.lock().retain(|watch| {
            let Some(mark) = watch.upgrade() else { return false };
            match mark.load(Ordering::SeqCst) {
                IDLE => {}
                RUNNING => any = true,
                _ => {
                    any = true;
                    let _ = mark.compare_exchange(RAN, IDLE, Ordering::SeqCst, Ordering::SeqCst);
                }
            }
            true
        });
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_up_and_never_cut_early() {
        assert_eq!(ticks(Duration::from_millis(10)), 11);
        assert_eq!(ticks(Duration::from_micros(1)), 2);
        assert_eq!(ticks(Duration::ZERO), 1);
        assert_eq!(ticks(Duration::MAX), u64::MAX / 2);
    }

    #[test]
    fn a_guest_that_begins_is_seen_and_forgotten_after_its_end() {
        let shared = Arc::new(Shared {
            asleep: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            thread: OnceLock::new(),
            watches: Mutex::default(),
            engines: Mutex::default(),
        });
        let watch = Ticker { shared: shared.clone() }.watch();
        assert!(!shared.anything_ran());
        watch.begin();
        assert!(shared.anything_ran() && shared.anything_ran());
        watch.end();
        assert!(shared.anything_ran());
        assert!(!shared.anything_ran());
        drop(watch);
        assert!(!shared.anything_ran());
        assert!(shared.watches.lock().is_empty());
    }
}
