//! The boundary that a panic of one request does not pass.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pin_project! {
    /// A future whose panic is its output, as the message that it had. It is not polled again after that, and what
    /// it held has been dropped.
    pub(crate) struct Caught<F> {
        #[pin]
        future: F,
    }
}

/// Catches the panics of a future. What it shares with others has to be in order between two statements: a worker's
/// cells are, since each is borrowed for one call.
pub(crate) fn caught<F: Future>(future: F) -> Caught<F> {
    Caught { future }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, String>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(outcome) => outcome.map(Ok),
            Err(payload) => Poll::Ready(Err(message(&*payload))),
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_outcome_like_any_other() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        let outcome: Result<(), _> = caught(async { panic!("at the disco") }).await;
        assert_eq!(outcome, Err("at the disco".to_owned()));
        let number = 3;
        let outcome: Result<(), _> = caught(async {
            tokio::task::yield_now().await;
            panic!("number {number}")
        })
        .await;
        assert_eq!(outcome, Err("number 3".to_owned()));
    }
}
