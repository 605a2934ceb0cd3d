//! What all generations of a cluster count together: ejections, turns, what is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::breakers::{Breaker, Breakers};
use crate::condition::{Ended, Offence};
use crate::endpoint::EndpointId;
use crate::member::Member;
use crate::uncounted::Uncounted;

/// What all generations of a cluster count together.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Whose turn it is.
    pub(crate) turn: AtomicU64,
    pub(crate) breakers: Arc<Breakers>,
    uncounted: Uncounted,
    /// Whether upkeep was asked for and has not begun.
    pub(crate) asked: AtomicBool,
    ejected: AtomicUsize,
    ejections: [AtomicU64; Offence::ALL.len()],
}

impl Standing {
    /// Endpoints that are ejected at the moment.
    pub(crate) fn ejected(&self) -> usize {
        self.ejected.load(Ordering::Relaxed)
    }

    /// How many endpoints were ever ejected for this.
    pub(crate) fn ejections(&self, offence: Offence) -> u64 {
        self.ejections.get(offence as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Takes one of so many places for an ejection.
    pub(crate) fn take_place(&self, most: usize) -> bool {
        let one_more = |ejected: usize| (ejected < most).then_some(ejected + 1);
        self.ejected.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Gives one back.
    pub(crate) fn give_place_back(&self) {
        self.ejected.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn count_ejection(&self, offence: Offence) {
        if let Some(count) = self.ejections.get(offence as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Where only endpoints are left that take no connection they are asked again, since there is nobody else. Says
    /// whether any are.
    pub(crate) fn ask_the_last(&self, members: &[Member]) -> Ended {
        let mut serving = members.iter().filter(|member| member.serves());
        if serving.clone().any(|member| member.endpoint.condition.takes_load()) {
            return Ended::Not;
        }
        let unreached = serving
            .by_ref()
            .map(|member| &member.endpoint.condition)
            .filter(|condition| condition.is_out_for(Offence::NoConnection));
        let ended = unreached.filter(|condition| condition.end_ejection() == Ended::Now).count();
        (0..ended).for_each(|_| self.give_place_back());
        if ended > 0 { Ended::Now } else { Ended::Not }
    }

    /// Requests are limited from here on: those that are under way at these endpoints take places too.
    pub(crate) fn limit_requests(&self, members: &[Member]) {
        if self.breakers.begin_counting() {
            self.uncounted.begin(members.iter().map(|member| member.endpoint.clone()));
        }
    }

    /// How many places are taken, and how often there was none left.
    pub(crate) fn reading(&self, breaker: Breaker) -> (u32, u64) {
        let (now, refused) = self.breakers.reading(breaker);
        (now.saturating_add(self.uncounted_of(breaker)), refused)
    }

    /// How many places are taken by what nobody counts.
    pub(crate) fn uncounted_of(&self, breaker: Breaker) -> u32 {
        if breaker == Breaker::Requests { self.uncounted.left() } else { 0 }
    }

    /// Tells the endpoints of `earlier` that are not in `newer` that they have left.
    pub(crate) fn retire(&self, earlier: &[Member], newer: &[Member]) {
        let kept: rustc_hash::FxHashSet<EndpointId> =
            newer.iter().map(|member| member.endpoint.id).collect();
        for member in earlier.iter().filter(|member| !kept.contains(&member.endpoint.id)) {
            if member.endpoint.condition.remove() == Ended::Now {
                self.give_place_back();
            }
        }
    }
}
