//! What is known of an HTTP/2 connection's end, and whether anybody still needs it.

use std::cell::RefCell;

use crate::failure::UpstreamFailure;

/// A connection's life. Its requests hold it; its task only looks whether they still do, and notes its end.
#[derive(Debug, Default)]
pub(crate) struct Life(RefCell<Option<UpstreamFailure>>);

impl Life {
    /// The connection has ended, for this reason where it is not by itself. The first reason counts.
    pub(crate) fn end(&self, cause: UpstreamFailure) {
        self.0.borrow_mut().get_or_insert(cause);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Why a stream failed, where the connection knows more than the stream.
    pub(crate) fn explain(&self, cause: UpstreamFailure) -> UpstreamFailure {
        match (&*self.0.borrow(), cause) {
            (Some(ended), UpstreamFailure::Closed) => ended.clone(),
            (_, cause) => cause,
        }
    }
}
