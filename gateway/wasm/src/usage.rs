//! What one instance has done so far: the time of its requests, and whether it is worn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use portcullis_model::PluginLimits;
use rustc_hash::FxHashMap;

use crate::limits::MemoryAccount;
use crate::work_share::{Charged, WorkShare};

/// A shorter callback does not count: to add them up would cost more than they do.
const COUNTED: Duration = Duration::from_micros(50);
/// One that served fewer requests is not replaced for its memory, so that a start is not paid for each.
const LEAST_REQUESTS: u32 = 100;
/// Numbers of streams begin anew only in another instance: an old stream may still be there, and is nobody else's.
const MOST_REQUESTS: u32 = u32::MAX / 2;

/// It stays on the worker's thread.
#[derive(Debug)]
pub(crate) struct Usage {
    /// What callbacks of one request may take together.
    budget: Duration,
    /// Of streams whose callbacks took long enough to count.
    spent: RefCell<FxHashMap<u32, Duration>>,
    share: Rc<WorkShare>,
    requests: Cell<u32>,
    most_requests: u32,
    memory_mark: usize,
    has_grown: Cell<bool>,
}

/// What the time of a callback comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// It is within all budgets.
    Within,
    /// The request has had its time.
    RequestBudget,
    /// The plugin has had its share of the worker's time.
    Share,
}

impl Usage {
    /// Of a fresh instance.
    pub(crate) fn new(limits: &PluginLimits, share: Rc<WorkShare>) -> Self {
        Usage {
            budget: limits.request,
            spent: RefCell::default(),
            share,
            requests: Cell::new(0),
            most_requests: limits.recycling.requests.unwrap_or(MOST_REQUESTS).min(MOST_REQUESTS),
            memory_mark: limits.recycle_memory(),
            has_grown: Cell::new(false),
        }
    }

    /// Counts a request.
    pub(crate) fn begin_request(&self) {
        self.requests.set(self.requests.get().saturating_add(1));
    }

    /// A callback has returned: looks whether the instance has grown much.
    pub(crate) fn note_memory(&self, account: &MemoryAccount) {
        if account.has_grown_to(self.memory_mark) {
            self.has_grown.set(true);
        }
    }

    /// A callback for a stream, or for none, took so long up to now.
    pub(crate) fn charge(&self, stream: Option<u32>, now: Instant, took: Duration) -> Spent {
        if took < COUNTED {
            return Spent::Within;
        }
        let share = self.share.charge(now, took);
        if let Some(stream) = stream {
            let mut spent = self.spent.borrow_mut();
            let spent = spent.entry(stream).or_default();
            let before = *spent;
            *spent += took;
            if before <= self.budget && *spent > self.budget {
                return Spent::RequestBudget;
            }
        }
        if share == Charged::Exceeded { Spent::Share } else { Spent::Within }
    }

    /// A callback that the plugin brought about by itself took so long up to now.
    pub(crate) fn charge_unasked(&self, now: Instant, took: Duration) -> Spent {
        match self.share.charge_unasked(now, took) {
            Charged::Exceeded => Spent::Share,
            Charged::Within => Spent::Within,
        }
    }

    /// Whether the plugin has to cool down on this worker.
    pub(crate) fn must_rest(&self) -> bool {
        self.share.is_cooling()
    }

    /// Whether a stream has had its time.
    pub(crate) fn is_over_budget(&self, stream: u32) -> bool {
        let spent = self.spent.borrow();
        !spent.is_empty() && spent.get(&stream).is_some_and(|spent| *spent > self.budget)
    }

    /// A stream has ended.
    pub(crate) fn forget(&self, stream: u32) {
        let mut spent = self.spent.borrow_mut();
        if !spent.is_empty() {
            spent.remove(&stream);
        }
    }

    /// Whether a fresh instance should take its place.
    pub(crate) fn is_worn(&self) -> bool {
        let requests = self.requests.get();
        requests >= self.most_requests || self.has_grown.get() && requests >= LEAST_REQUESTS
    }
}
