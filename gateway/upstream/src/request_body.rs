//! The body of a request on its way to the upstream, with its progress.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_message::{Body, BodyError};

/// How far the body of a request has come. Shared with whoever awaits the reply.
#[derive(Debug, Default)]
pub struct RequestProgress {
    bytes: AtomicU64,
    awaited: AtomicBool,
    too_large: AtomicBool,
    ended_at: OnceLock<Instant>,
}

impl RequestProgress {
    /// Bytes taken from the client so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the upstream waits for the client to send more.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// Whether it turned out to be larger than [allowed](RequestBody::limit).
    pub fn is_too_large(&self) -> bool {
        self.too_large.load(Ordering::Relaxed)
    }

    /// Whether the whole body, trailers included, was taken.
    pub fn ended(&self) -> bool {
        self.ended_at.get().is_some()
    }

    /// When it was.
    pub fn ended_at(&self) -> Option<Instant> {
        self.ended_at.get().copied()
    }
}

/// The body of a request on its way to the upstream.
#[derive(Debug)]
pub struct RequestBody {
    body: Body,
    /// Only where there is something to count.
    progress: Option<Arc<RequestProgress>>,
    /// Taken before, and not sent.
    unread: Option<Bytes>,
    /// The most that it may be, in bytes.
    limit: u64,
}

impl RequestBody {
    /// Wraps a body. An empty one costs no allocation.
    pub fn new(body: Body) -> Self {
        let progress = (!body.is_end_stream()).then(Arc::default);
        RequestBody { body, progress, unread: None, limit: u64::MAX }
    }

    /// Has it break off where it turns out to be larger than so many bytes: the upstream never gets the end
    /// of it.
    pub fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// Its progress; `None` for a body that was empty from the start.
    pub fn progress(&self) -> Option<Arc<RequestProgress>> {
        self.progress.clone()
    }

    /// Puts back the first bytes that were taken, because they were never sent. They count as taken still.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.unread = (!bytes.is_empty()).then_some(bytes);
    }

    /// # Errors
    /// The body is larger than it may be.
    fn note(&self, frame: Option<&Frame<Bytes>>) -> Result<(), BodyError> {
        let Some(progress) = &self.progress else { return Ok(()) };
        progress.awaited.store(false, Ordering::Relaxed);
        if let Some(data) = frame.and_then(|frame| frame.data_ref()) {
            // One thread writes, so this needs no locked instruction.
            let bytes = progress.bytes().saturating_add(data.len() as u64);
            progress.bytes.store(bytes, Ordering::Relaxed);
            if bytes > self.limit {
                progress.too_large.store(true, Ordering::Relaxed);
                return Err(BodyError::TooLarge);
            }
        }
        // Nobody asks again after trailers, nor once the body says that it ended.
        let last = frame.is_none_or(|frame| frame.is_trailers()) || self.body.is_end_stream();
        if last {
            progress.ended_at.get_or_init(Instant::now);
        }
        Ok(())
    }

    fn note_waiting(&self) {
        if let Some(progress) = &self.progress {
            progress.awaited.store(true, Ordering::Relaxed);
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(bytes) = this.unread.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        let noted = match &polled {
            Poll::Ready(Some(Ok(frame))) => this.note(Some(frame)),
            Poll::Ready(None) => this.note(None),
            Poll::Ready(Some(Err(_))) => Ok(()),
            Poll::Pending => {
                this.note_waiting();
                Ok(())
            }
        };
        match noted {
            Ok(()) => polled,
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.unread.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let Some(bytes) = &self.unread else { return hint };
        let unread = bytes.len() as u64;
        let mut whole = SizeHint::new();
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(unread));
        }
        whole.set_lower(hint.lower().saturating_add(unread));
        whole
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const fn is_send<T: Send>() {}
    const _: () = is_send::<RequestBody>();

    #[test]
    fn an_empty_body_has_no_progress() {
        assert!(RequestBody::new(Body::Empty).progress().is_none());
    }

    #[tokio::test]
    async fn bytes_are_counted_and_the_end_noted() {
        let mut body = RequestBody::new(Bytes::from_static(b"hello").into());
        let progress = body.progress().unwrap();
        assert!(!progress.ended());
        body.frame().await.unwrap().unwrap();
        assert_eq!((progress.bytes(), progress.ended()), (5, true));
        assert!(progress.ended_at().is_some());
    }

    #[tokio::test]
    async fn what_is_put_back_comes_again_and_counts_once() {
        let mut body = RequestBody::new(Bytes::from_static(b"hello").into());
        let taken = body.frame().await.unwrap().unwrap().into_data().unwrap();
        body.put_back(taken);
        assert!(!body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(5));
        let progress = body.progress().unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(progress.bytes(), 5);
    }

    #[tokio::test]
    async fn a_body_that_grows_too_large_breaks_off() {
        let mut body = RequestBody::new(Bytes::from_static(b"hello").into());
        body.limit(5);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        let mut body = RequestBody::new(Bytes::from_static(b"hello").into());
        body.limit(4);
        let progress = body.progress().unwrap();
        assert!(matches!(body.frame().await, Some(Err(BodyError::TooLarge))));
        assert!(progress.is_too_large() && !progress.ended());
    }

    #[test]
    fn who_waits_for_the_client_is_known() {
        let (mut sender, receiver) = portcullis_message::body_channel(None);
        let mut body = RequestBody::new(Body::from(receiver));
        let progress = body.progress().unwrap();
        let mut poll = || {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            Pin::new(&mut body).poll_frame(&mut cx).is_ready()
        };
        assert!(!progress.is_awaited() && !poll() && progress.is_awaited());
        sender.send(Bytes::from_static(b"more"));
        assert!(poll() && !progress.is_awaited());
    }
}
