//! A route's timeout, from the last byte of the request to the last byte of the reply, and that of one attempt.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis_upstream::RequestProgress;
use tokio::time::Instant;

/// So late that it never comes; also where a timeout is longer than clocks go.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The timeout of one request. Its clock starts when the request is complete, which nobody is told of; so
/// whoever waits looks again each time that it could have passed.
pub(crate) struct RouteTimeout {
    timeout: Duration,
    /// Of the request's body; `None` where it has none.
    progress: Option<Arc<RequestProgress>>,
    began: Instant,
}

impl RouteTimeout {
    /// For a request that is sent now.
    pub(crate) fn begin(timeout: Duration, progress: Option<Arc<RequestProgress>>) -> Self {
        RouteTimeout::new(timeout, progress, Instant::now())
    }

    fn new(timeout: Duration, progress: Option<Arc<RequestProgress>>, began: Instant) -> Self {
        RouteTimeout { timeout: timeout.min(NEVER), progress, began }
    }

    /// When it passes, or at the earliest might, as far as is known at `now`.
    pub(crate) fn next_look(&self, now: Instant) -> Instant {
        self.request_ended().unwrap_or(now) + self.timeout
    }

    /// Whether it has passed.
    pub(crate) fn has_passed(&self, now: Instant) -> bool {
        self.request_ended().is_some_and(|ended| ended + self.timeout <= now)
    }

    /// A body that nobody has asked for yet holds up nobody but us: the time to connect counts.
    fn request_ended(&self) -> Option<Instant> {
        let Some(progress) = &self.progress else { return Some(self.began) };
        match progress.ended_at() {
            // Before this attempt, where it is not the first.
            Some(ended) => Some(ended.max(self.began)),
            None => (progress.bytes() == 0 && !progress.is_awaited()).then_some(self.began),
        }
    }
}

/// What comes of something before the timeout has passed; `None` where nothing does.
pub(crate) async fn within<T>(
    timeout: &RouteTimeout,
    awaited: impl Future<Output = T>,
) -> Option<T> {
    let mut awaited = pin!(awaited);
    loop {
        let look = timeout.next_look(Instant::now());
        match tokio::time::timeout_at(look, &mut awaited).await {
            Ok(result) => return Some(result),
            Err(_) if timeout.has_passed(Instant::now()) => return None,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use http_body::Body as _;
    use portcullis_message::Body;
    use portcullis_upstream::RequestBody;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn without_a_body_it_runs_from_the_start() {
        let start = Instant::now();
        let timeout = RouteTimeout::new(TIMEOUT, None, start);
        assert_eq!(timeout.next_look(start + TIMEOUT / 2), start + TIMEOUT);
        assert!(!timeout.has_passed(start + TIMEOUT / 2));
        assert!(timeout.has_passed(start + TIMEOUT));
        RouteTimeout::new(Duration::MAX, None, start).next_look(start);
    }

    #[test]
    fn an_upload_takes_its_time() {
        let start = Instant::now();
        let (sender, receiver) = portcullis_message::body_channel(None);
        let mut body = RequestBody::new(Body::from(receiver));
        let timeout = RouteTimeout::new(TIMEOUT, body.progress(), start);
        let late = start + 5 * TIMEOUT;
        assert!(timeout.has_passed(late), "nobody has asked for it");
        let progress = body.progress().unwrap();
        let poll = |body: &mut RequestBody| {
            let _ = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        };
        poll(&mut body);
        assert!(!timeout.has_passed(late));
        assert_eq!(timeout.next_look(late), late + TIMEOUT);
        sender.send_last(bytes::Bytes::from_static(b"hello"));
        poll(&mut body);
        let ended = progress.ended_at().unwrap();
        assert_eq!(timeout.next_look(late), ended + TIMEOUT);
        assert!(timeout.has_passed(ended + TIMEOUT));
    }
}
