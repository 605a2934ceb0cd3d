//! One exchange: its state, and the callbacks of its two messages as far as they have not ended.

use std::rc::Rc;

use super::task::AnyTask;
use crate::Filter;
use crate::abi::StreamKind;

pub(super) struct Stream<F: Filter> {
    pub(super) root: u32,
    pub(super) filter: Rc<F>,
    /// None while a callback has it.
    pub(super) state: Option<F::State>,
    request: Half<F>,
    response: Half<F>,
}

/// One message of an exchange.
pub(super) struct Half<F: Filter> {
    /// The callback that has not ended.
    pub(super) task: Option<AnyTask<F>>,
    /// Whether the host holds the message until it is told to go on.
    pub(super) held: bool,
    /// The message has come, but its callback waits for the state; whether the message is bodiless.
    pub(super) deferred: Option<bool>,
}

impl<F: Filter> Stream<F> {
    pub(super) fn new(root: u32, filter: Rc<F>, state: Option<F::State>) -> Self {
        let half = || Half { task: None, held: false, deferred: None };
        Stream { root, filter, state, request: half(), response: half() }
    }

    pub(super) fn half(&mut self, kind: StreamKind) -> &mut Half<F> {
        match kind {
            StreamKind::Request => &mut self.request,
            StreamKind::Response => &mut self.response,
        }
    }
}
