//! The requests that a worker has under way, so that it can look at all of them once a second.

use std::cell::RefCell;
use std::rc::Rc;

use crate::progress::Progress;
use crate::roster::{Roster, look_at_all};

/// Spare records that are kept.
const SPARES: usize = 1024;

/// Every request that a worker has under way.
#[derive(Debug, Default)]
pub struct UnderWay {
    requests: RefCell<Roster<Rc<Progress>>>,
    /// Of requests that ended, so that one that begins costs no allocation.
    spares: RefCell<Vec<Rc<Progress>>>,
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
        let progress = self.spares.borrow_mut().pop().unwrap_or_default();
        let index = self.requests.borrow_mut().enter(progress.clone());
        RequestPlace { under_way: self.clone(), index, progress }
    }

    /// Looks at every request, and wakes those that are overdue. To be called once a second.
    pub async fn look(&self) {
        look_at_all(&self.requests, |progress| progress.look()).await;
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
        self.under_way.requests.borrow_mut().leave(self.index);
        let mut spares = self.under_way.spares.borrow_mut();
        // One that somebody still holds must not speak of another request.
        if Rc::strong_count(&self.progress) == 1 && spares.len() < SPARES {
            self.progress.reset();
            spares.push(self.progress.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_record_speaks_of_its_own_request_alone() {
        let under_way = Rc::new(UnderWay::default());
        let (first, second) = (under_way.enter(), under_way.enter());
        for _ in 0..301 {
            under_way.look().await;
        }
        assert!(first.progress().is_overdue() && second.progress().is_overdue());
        let held = first.progress().clone();
        drop((first, second));
        assert!(held.is_overdue());
        for _ in 0..2 {
            assert!(!under_way.enter().progress().is_overdue());
        }
    }
}
