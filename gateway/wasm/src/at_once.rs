//! Futures that never wait.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// What a future comes to that never waits; `None` where it does.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
