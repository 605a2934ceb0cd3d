//! A request of a connection, for as long as it counts as open.

use std::rc::Rc;

use portcullis_proxy::{Progress, RequestPlace};

use super::{Activity, Phase};

/// One request from its head to the end of its response; counted while it exists.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    activity: Rc<Activity>,
    place: RequestPlace,
}

impl OpenRequest {
    /// The present request of an HTTP/1 connection, whose reply is what is written there; on HTTP/2 the newest
    /// one, until its task [takes it over](Activity::take_newest).
    pub(crate) fn begin(activity: &Rc<Activity>, place: RequestPlace) -> Self {
        activity.open_requests.set(activity.open_requests.get() + 1);
        activity.served.set(true);
        activity.phase.set(Phase::Busy);
        *activity.request.borrow_mut() = Some(place.progress().clone());
        OpenRequest { activity: activity.clone(), place }
    }

    #[cfg(test)]
    pub(crate) fn for_test(activity: &Rc<Activity>) -> Self {
        Self::begin(activity, Rc::new(portcullis_proxy::UnderWay::default()).enter())
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> &Rc<Progress> {
        self.place.progress()
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.activity.request.take();
        let left = self.activity.open_requests.get().saturating_sub(1);
        self.activity.open_requests.set(left);
        if left == 0 {
            self.activity.enter(Phase::Idle);
        }
    }
}
