//! Two futures of which the first to end decides.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// What `work` comes to, or, as an error, what broke it off.
pub(crate) async fn first_of<B, W>(
    broken_off: impl Future<Output = B>,
    work: impl Future<Output = W>,
) -> Result<W, B> {
    let (mut broken_off, mut work) = (pin!(broken_off), pin!(work));
    poll_fn(|cx| {
        if let Poll::Ready(why) = broken_off.as_mut().poll(cx) {
            return Poll::Ready(Err(why));
        }
        work.as_mut().poll(cx).map(Ok)
    })
    .await
}
