//! Awaiting something for as long as a request may last.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::request_pump::PumpWatch;
use crate::stop::Stop;
use crate::{Progress, ProxyError};

/// Awaits it until the request is overdue, or its body broke off at a plugin. Once the future is dropped, so is the
/// upstream's work.
pub(crate) async fn in_time<T, E: Into<Stop>>(
    progress: &Progress,
    upload: Option<PumpWatch>,
    mut waiting: Pin<&mut impl Future<Output = Result<T, E>>>,
) -> Result<T, Stop> {
    poll_fn(|cx| {
        if let Some(overdue) = progress.take_overdue() {
            return Poll::Ready(Err(ProxyError::Overdue(overdue).into()));
        }
        let polled = waiting.as_mut().poll(cx).map_err(Into::into);
        // What ended the upload explains what became of the request.
        if !matches!(polled, Poll::Ready(Ok(_)))
            && let Some(upload) = &upload
            && let Poll::Ready(stop) = upload.poll_stopped(cx)
        {
            return Poll::Ready(Err(stop));
        }
        polled
    })
    .await
}
