//! The requests that a worker has under way, so that it can look at all of them once a second.

use std::cell::RefCell;
use std::rc::Rc;

use crate::progress::Progress;

/// How many requests are looked at before others get their turn.
const AT_ONCE: usize = 1024;

/// Spare records that are kept.
const SPARES: usize = 1024;

/// Every request that a worker has under way.
#[derive(Debug, Default)]
pub struct UnderWay(RefCell<Records>);

#[derive(Debug, Default)]
struct Records {
    places: Vec<Option<Rc<Progress>>>,
    free: Vec<usize>,
    /// Of requests that ended, so that one that begins costs no allocation.
    spares: Vec<Rc<Progress>>,
}

/// A request's place among the others; leaves it when dropped.
#[derive(Debug)]
pub struct RequestPlace {
    under_way: Rc<UnderWay>,
    index: usize,
    progress: Rc<Progress>,
}

impl UnderWay {
    /// Adds a request that begins.
    pub fn enter(self: &Rc<Self>) -> RequestPlace {
        let mut records = self.0.borrow_mut();
        let progress = records.spares.pop().unwrap_or_default();
        let entry = Some(progress.clone());
        let index = match records.free.pop() {
            Some(index) => {
                if let Some(place) = records.places.get_mut(index) {
                    *place = entry;
                }
                index
            }
            None => {
                records.places.push(entry);
                records.places.len() - 1
            }
        };
        RequestPlace { under_way: self.clone(), index, progress }
    }

    /// Looks at every request, and wakes those that are overdue. To be called once a second.
    pub async fn look(&self) {
        let mut next = 0;
        while self.look_from(next) {
            next += AT_ONCE;
            tokio::task::yield_now().await;
        }
    }

    /// Looks at a stretch of places from `first` on; whether there are more.
    fn look_from(&self, first: usize) -> bool {
        let records = self.0.borrow();
        records.places.iter().skip(first).take(AT_ONCE).flatten().for_each(|p| p.look());
        records.places.len() > first + AT_ONCE
    }
}

impl RequestPlace {
    /// How far the request has come.
    pub fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }
}

impl Drop for RequestPlace {
    fn drop(&mut self) {
        let mut records = self.under_way.0.borrow_mut();
        if let Some(place) = records.places.get_mut(self.index) {
            *place = None;
        }
        records.free.push(self.index);
        // One that somebody still holds must not speak of another request.
        if Rc::strong_count(&self.progress) == 1 && records.spares.len() < SPARES {
            self.progress.reset();
            records.spares.push(self.progress.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_are_looked_at_however_many_there_are() {
        let under_way = Rc::new(UnderWay::default());
        let places: Vec<_> = (0..AT_ONCE + 2).map(|_| under_way.enter()).collect();
        for _ in 0..301 {
            under_way.look().await;
        }
        assert!(places.iter().all(|place| place.progress().is_overdue()));
        let held = places.first().unwrap().progress().clone();
        drop(places);
        // The one that is held still speaks of its own request, the others of none.
        assert!(held.is_overdue());
        assert!(!under_way.enter().progress().is_overdue());
        assert_eq!(under_way.0.borrow().places.len(), AT_ONCE + 2);
    }
}
