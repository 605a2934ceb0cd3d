//! Waiting for several things at once.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::timers::sleep;

/// Waits for both.
///
/// ```
/// use portcullis_sdk::prelude::*;
///
/// # async fn ask() -> Result<(), Error> {
/// let (user, quota) = join(http("users").get("/ann"), http("quotas").get("/ann")).await;
/// let (user, quota) = (user?, quota?);
/// # let _ = (user, quota);
/// # Ok(())
/// # }
/// ```
pub async fn join<A: IntoFuture, B: IntoFuture>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a.into_future()), pin!(b.into_future()));
    let (mut left, mut right) = (None, None);
    poll_fn(move |context| {
        if left.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            left = Some(output);
        }
        if right.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            right = Some(output);
        }
        match (left.take(), right.take()) {
            (Some(left), Some(right)) => Poll::Ready((left, right)),
            (some_left, some_right) => {
                (left, right) = (some_left, some_right);
                Poll::Pending
            }
        }
    })
    .await
}

/// Waits for all; their outputs come in the order of the futures.
///
/// ```
/// use portcullis_sdk::prelude::*;
///
/// # async fn ask() {
/// let replies = join_all(["eu", "us"].map(|region| http(region).get("/health"))).await;
/// let healthy = replies.iter().flatten().filter(|reply| reply.status() == 200).count();
/// # let _ = healthy;
/// # }
/// ```
pub async fn join_all<F: IntoFuture>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> =
        futures.into_iter().map(|future| (Some(Box::pin(future.into_future())), None)).collect();
    poll_fn(move |context| {
        let mut all_done = true;
        for (future, output) in &mut waiting {
            if let Some(running) = future {
                match running.as_mut().poll(context) {
                    Poll::Ready(done) => (*future, *output) = (None, Some(done)),
                    Poll::Pending => all_done = false,
                }
            }
        }
        match all_done {
            true => Poll::Ready(waiting.drain(..).filter_map(|(_, output)| output).collect()),
            false => Poll::Pending,
        }
    })
    .await
}

/// Which of two was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first one.
    Left(A),
    /// The second one.
    Right(B),
}

/// Waits for whichever is done first; the other is dropped.
///
/// ```
/// use portcullis_sdk::prelude::*;
///
/// # async fn ask() -> Result<(), Error> {
/// let reply = match select(http("near").get("/"), http("far").get("/")).await {
///     Either::Left(near) => near?,
///     Either::Right(far) => far?,
/// };
/// # let _ = reply;
/// # Ok(())
/// # }
/// ```
pub async fn select<A: IntoFuture, B: IntoFuture>(a: A, b: B) -> Either<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a.into_future()), pin!(b.into_future()));
    poll_fn(move |context| match a.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Either::Left(output)),
        Poll::Pending => b.as_mut().poll(context).map(Either::Right),
    })
    .await
}

/// Waits for a future, but no longer than a duration; then it is dropped.
///
/// ```
/// use std::time::Duration;
/// use portcullis_sdk::prelude::*;
///
/// # async fn ask() -> Result<(), Error> {
/// let both = join(http("users").get("/ann"), http("quotas").get("/ann"));
/// let Ok((user, quota)) = timeout(Duration::from_millis(200), both).await else {
///     return Err(Reply::new(504).into());
/// };
/// # let _ = (user, quota);
/// # Ok(())
/// # }
/// ```
pub async fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    match select(future, sleep(duration)).await {
        Either::Left(output) => Ok(output),
        Either::Right(()) => Err(Elapsed),
    }
}

/// The time of [`timeout`] was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it took too long")
    }
}

impl std::error::Error for Elapsed {}
