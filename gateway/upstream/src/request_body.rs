//! The body of a request on its way to the upstream, with its progress.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_message::{Body, BodyError};
use tokio::time::Instant;

use crate::feed::{FeedReader, FeedWatch, feed};
use crate::recording::{Read, Reader, Recording};

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
    source: Source,
    /// Only where there is something to count.
    progress: Option<Arc<RequestProgress>>,
    /// Taken before, and not sent.
    unread: Option<Bytes>,
    /// The most that it may be, in bytes.
    limit: u64,
}

/// Where a body comes from.
#[derive(Debug)]
enum Source {
    Client(Body),
    /// The client, with what has passed kept for another attempt.
    Recorded(Reader),
    /// What passes to the primary.
    Mirrored(FeedReader),
}

impl RequestBody {
    /// Wraps a body. An empty one costs no allocation.
    pub fn new(body: Body) -> Self {
        let progress = (!body.is_end_stream()).then(Arc::default);
        RequestBody { source: Source::Client(body), progress, unread: None, limit: u64::MAX }
    }

    /// Has what passes of it kept, up to so many bytes, so that it can be sent [again](Self::again). To be called
    /// before anything is read.
    pub fn record(&mut self, most: usize) -> Arc<Recording> {
        let taken = std::mem::replace(&mut self.source, Source::Client(Body::Empty));
        let recording = match taken {
            Source::Client(body) => Recording::of(body, most),
            Source::Recorded(_) | Source::Mirrored(_) => Recording::of(Body::Empty, 0),
        };
        self.source = Source::Recorded(recording.reader());
        recording
    }

    /// The same body from its beginning, for another attempt; `None` where more has passed than was kept. What was
    /// made of the recording before gets nothing any more. It shares the progress of the first attempt.
    pub fn again(
        recording: &Arc<Recording>,
        progress: Option<Arc<RequestProgress>>,
        limit: Option<u64>,
    ) -> Option<Self> {
        let whole = recording.is_whole();
        whole.then(|| RequestBody {
            source: Source::Recorded(recording.reader()),
            progress,
            unread: None,
            limit: limit.unwrap_or(u64::MAX),
        })
    }

    /// A copy of what passes of a recorded body, for a mirror: of what it has not taken at most so many bytes
    /// wait, else it breaks off. To be called before anything is read.
    pub fn mirror(&self, recording: &Recording, most: usize) -> (Self, FeedWatch) {
        let (feed, reader, watch) = feed(most, self.size_hint().exact());
        recording.feed(feed);
        let source = Source::Mirrored(reader);
        (RequestBody { source, progress: None, unread: None, limit: u64::MAX }, watch)
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
        let last = frame.is_none_or(|frame| frame.is_trailers()) || self.source.is_end_stream();
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

impl Source {
    fn is_end_stream(&self) -> bool {
        match self {
            Source::Client(body) => body.is_end_stream(),
            Source::Recorded(reader) => reader.is_end_stream(),
            Source::Mirrored(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Source::Client(body) => body.size_hint(),
            Source::Recorded(reader) => reader.size_hint(),
            Source::Mirrored(reader) => reader.size_hint(),
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
        let polled = match &mut this.source {
            Source::Client(body) => Pin::new(body).poll_frame(cx),
            Source::Recorded(reader) => match reader.poll(cx) {
                Poll::Ready(Read::Live(next)) => Poll::Ready(next),
                // It was counted when it came.
                Poll::Ready(Read::Again(frame)) => return Poll::Ready(Some(Ok(frame))),
                Poll::Pending => Poll::Pending,
            },
            Source::Mirrored(reader) => return reader.poll(cx),
        };
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
        self.unread.is_none() && self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.source.size_hint();
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

    #[tokio::test]
    async fn a_recorded_body_can_be_sent_again_and_counts_once() {
        let (mut sender, receiver) = portcullis_message::body_channel(Some(10));
        let mut first = RequestBody::new(Body::from(receiver));
        let progress = first.progress().unwrap();
        let recording = first.record(10);
        let asked = first.frame();
        let fed = async {
            std::future::poll_fn(|cx| sender.poll_demand(cx)).await;
            sender.send(Bytes::from_static(b"first"));
        };
        assert_eq!(tokio::join!(asked, fed).0.unwrap().unwrap().into_data().unwrap(), "first");
        let mut second = RequestBody::again(&recording, Some(progress.clone()), None).unwrap();
        assert!(matches!(first.frame().await, Some(Err(BodyError::Disconnected))));
        assert_eq!(second.size_hint().exact(), Some(10));
        assert_eq!(second.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
        let rest = async {
            std::future::poll_fn(|cx| sender.poll_demand(cx)).await;
            sender.send_last(Bytes::from_static(b" then"));
        };
        let (collected, ()) = tokio::join!(second.collect(), rest);
        assert_eq!(collected.unwrap().to_bytes(), " then");
        assert_eq!((progress.bytes(), progress.ended()), (10, true));
        let third = RequestBody::again(&recording, Some(progress.clone()), None).unwrap();
        assert_eq!(third.collect().await.unwrap().to_bytes(), "first then");
        assert_eq!(progress.bytes(), 10);
    }

    #[tokio::test]
    async fn more_than_is_kept_is_sent_once_only() {
        let mut body = RequestBody::new(Bytes::from_static(b"hello").into());
        let recording = body.record(4);
        assert!(RequestBody::again(&recording, None, None).is_some());
        let mut body = RequestBody::again(&recording, None, None).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        assert!(body.is_end_stream());
        assert!(RequestBody::again(&recording, None, None).is_none());
    }

    #[tokio::test]
    async fn a_mirror_gets_what_passes_and_ends_with_it() {
        let mut body = RequestBody::new(Bytes::from_static(b"hello").into());
        let recording = body.record(0);
        let (mirror, watch) = body.mirror(&recording, 5);
        assert_eq!(mirror.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(mirror.collect().await.unwrap().to_bytes(), "hello");
        assert!(!watch.is_overrun());
    }

    #[tokio::test]
    async fn a_mirror_that_does_not_keep_up_is_cut_off_and_the_primary_is_not() {
        let mut body = RequestBody::new(Bytes::from_static(b"hello").into());
        let recording = body.record(0);
        let (mirror, watch) = body.mirror(&recording, 4);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert!(mirror.collect().await.is_err());
        assert!(watch.is_overrun());
    }

    #[tokio::test]
    async fn a_mirrors_body_breaks_off_with_the_primarys() {
        let mut body = RequestBody::new(Bytes::from_static(b"hello").into());
        let recording = body.record(0);
        let (mirror, watch) = body.mirror(&recording, 5);
        drop((body, recording));
        assert!(mirror.collect().await.is_err());
        assert!(!watch.is_overrun());
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
