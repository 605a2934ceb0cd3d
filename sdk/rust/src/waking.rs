//! Tasks that are to be polled again, in the order in which they were woken.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Wake;

/// What a task does for its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    Request,
    Response,
    /// The context is a plugin object's.
    Background,
}

/// Wakes the task of a context. Tasks are used again for other contexts, and their alarms with them: a wake that comes
/// too late polls in vain, which every future must bear.
pub(crate) struct Alarm {
    context: AtomicU32,
    duty: Duty,
    rung: AtomicBool,
}

thread_local! {
    static RUNG: RefCell<VecDeque<Arc<Alarm>>> = const { RefCell::new(VecDeque::new()) };
}

impl Alarm {
    pub(crate) fn new(duty: Duty) -> Arc<Self> {
        Arc::new(Alarm { context: AtomicU32::new(0), duty, rung: AtomicBool::new(false) })
    }

    /// From now on it wakes the task of this context.
    pub(crate) fn assign(&self, context: u32) {
        self.context.store(context, Ordering::Relaxed);
        self.silence();
    }

    /// The task is about to be polled: what rang so far is heard.
    pub(crate) fn silence(&self) {
        self.rung.store(false, Ordering::Relaxed);
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::Relaxed) {
            RUNG.with_borrow_mut(|rung| rung.push_back(self.clone()));
        }
    }
}

/// The next task to poll; None when all sleep.
pub(crate) fn next_woken() -> Option<(u32, Duty)> {
    loop {
        let alarm = RUNG.with_borrow_mut(VecDeque::pop_front)?;
        if alarm.rung.swap(false, Ordering::Relaxed) {
            return Some((alarm.context.load(Ordering::Relaxed), alarm.duty));
        }
    }
}
