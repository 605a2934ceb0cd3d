//! Waiting for time to pass, by the host's ticks: they are asked for only while somebody waits.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::abi::Level;
use crate::hooks::with_hooks;
use crate::{host, place};

/// Waits for a duration. Hosts tick every millisecond at best, Portcullis every ten.
///
/// ```
/// use std::time::Duration;
/// use portcullis_sdk::prelude::*;
///
/// # struct Patient;
/// # impl Filter for Patient {
/// #     type Configuration = NoConfiguration;
/// #     type State = ();
/// #     type RequestBody = Unread;
/// #     type ResponseBody = Unread;
/// #     fn new(_: NoConfiguration, _: &mut Setup) -> Result<Self, ConfigurationError> { Ok(Patient) }
/// async fn background(&self) -> Result<(), Error> {
///     loop {
///         portcullis_sdk::info!("still here");
///         sleep(Duration::from_secs(60)).await;
///     }
/// }
/// # }
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { duration, timer: None }
}

/// The future of [`sleep`].
#[derive(Debug)]
pub struct Sleep {
    duration: Duration,
    timer: Option<Rc<Timer>>,
}

#[derive(Debug)]
struct Timer {
    root: u32,
    /// Nanoseconds since 1970.
    due: u64,
    waker: RefCell<Option<Waker>>,
    fired: Cell<bool>,
}

#[derive(Default)]
struct Timers {
    waiting: Vec<Rc<Timer>>,
    /// By plugin object: when its next tick comes.
    ticks: Vec<(u32, u64)>,
}

thread_local! {
    static TIMERS: RefCell<Timers> =
        const { RefCell::new(Timers { waiting: Vec::new(), ticks: Vec::new() }) };
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let duration = self.duration;
        let timer = self.timer.get_or_insert_with(|| begin(duration));
        if timer.fired.get() {
            return Poll::Ready(());
        }
        timer.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer
            && !timer.fired.get()
        {
            TIMERS.with_borrow_mut(|timers| {
                timers.waiting.retain(|waiting| !Rc::ptr_eq(waiting, timer))
            });
        }
    }
}

fn begin(duration: Duration) -> Rc<Timer> {
    with_hooks(|hooks| hooks.tick.set(Some(tick)));
    let (root, now) = (place::root(), host::now_nanoseconds());
    let due = now.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let timer = Rc::new(Timer { root, due, waker: RefCell::new(None), fired: Cell::new(false) });
    let sooner = TIMERS.with_borrow_mut(|timers| {
        timers.waiting.push(timer.clone());
        timers.expect_tick(root, due)
    });
    if sooner {
        set_period(due.saturating_sub(now));
    }
    timer
}

impl Timers {
    /// Whether the next tick would come too late.
    fn expect_tick(&mut self, root: u32, due: u64) -> bool {
        match self.ticks.iter_mut().find(|(known, _)| *known == root) {
            Some((_, tick)) if *tick <= due => false,
            Some((_, tick)) => {
                *tick = due;
                true
            }
            None => {
                self.ticks.push((root, due));
                true
            }
        }
    }

    /// The timers of all plugin objects that are due.
    fn take_due(&mut self, now: u64) -> Vec<Rc<Timer>> {
        self.waiting.extract_if(.., |timer| timer.due <= now).collect()
    }

    /// When a plugin object's next timer is due.
    fn next_due(&self, root: u32) -> Option<u64> {
        self.waiting.iter().filter(|timer| timer.root == root).map(|timer| timer.due).min()
    }
}

/// Wakes who waited long enough, and asks for the next tick, if there is one to wait for.
fn tick(root: u32) {
    let now = host::now_nanoseconds();
    for timer in TIMERS.with_borrow_mut(|timers| timers.take_due(now)) {
        timer.fired.set(true);
        if let Some(waker) = timer.waker.take() {
            waker.wake();
        }
    }
    let next = TIMERS.with_borrow_mut(|timers| {
        timers.ticks.retain(|(known, _)| *known != root);
        let next = timers.next_due(root);
        timers.ticks.extend(next.map(|due| (root, due)));
        next
    });
    match next {
        Some(due) => set_period(due.saturating_sub(now)),
        None => set_ticks(0),
    }
}

/// A tick too early is repeated, one too late is late for all: rounded up.
fn set_period(nanoseconds: u64) {
    let milliseconds = nanoseconds.div_ceil(1_000_000).max(1);
    set_ticks(u32::try_from(milliseconds).unwrap_or(u32::MAX));
}

fn set_ticks(milliseconds: u32) {
    if let Err(error) = host::set_tick_period(milliseconds) {
        host::log(Level::Error, &format!("nobody is woken any more: {error}"));
    }
}
