//! A body that is handed over frame by frame, by demand: one slot between the connection that reads it and
//! whoever wants it.
//!
//! Both ends are mostly polled by one task on one thread, so the lock is never waited for.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::body_error::BodyError;

/// A body of which `length` bytes will come, where that is known, and what feeds it.
pub fn body_channel(length: Option<u64>) -> (BodySender, BodyReceiver) {
    let slot = Arc::new(Mutex::new(Slot::default()));
    let receiver = BodyReceiver { slot: slot.clone(), left: length };
    (BodySender { slot }, receiver)
}

/// What the reader of a body asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing now.
    None,
    /// The next frame.
    Frame,
    /// Nothing ever again: it was dropped.
    Gone,
}

#[derive(Debug, Default)]
struct Slot {
    frame: Option<Result<Frame<Bytes>, BodyError>>,
    /// Nothing comes after what is in the slot.
    ended: bool,
    wanted: bool,
    gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Feeds a body. Dropping it before [`finish`](Self::finish), [`send_trailers`](Self::send_trailers) or
/// [`fail`](Self::fail) breaks the body off.
#[derive(Debug)]
pub struct BodySender {
    slot: Arc<Mutex<Slot>>,
}

impl BodySender {
    /// What the reader asks for. It has asked for a frame only while the slot is empty.
    pub fn demand(&self) -> Demand {
        self.lock().demand()
    }

    /// Waits for the reader to ask for a frame or to go.
    pub fn poll_demand(&mut self, cx: &mut Context<'_>) -> Poll<Demand> {
        let mut slot = self.lock();
        match slot.demand() {
            Demand::None => {
                remember(&mut slot.writer, cx);
                Poll::Pending
            }
            demand => Poll::Ready(demand),
        }
    }

    /// Hands over bytes: only while a frame is asked for, and never none.
    pub fn send(&mut self, data: Bytes) {
        self.put(Ok(Frame::data(data)));
    }

    /// Hands over the last bytes, and says that they are.
    pub fn send_last(self, data: Bytes) {
        self.end_with(Some(Ok(Frame::data(data))));
    }

    /// Hands over the trailers, with which the body ends.
    pub fn send_trailers(self, trailers: HeaderMap) {
        self.end_with(Some(Ok(Frame::trailers(trailers))));
    }

    /// The body is complete.
    pub fn finish(self) {
        self.end_with(None);
    }

    /// The body broke off.
    pub fn fail(self, error: BodyError) {
        self.end_with(Some(Err(error)));
    }

    fn put(&self, frame: Result<Frame<Bytes>, BodyError>) {
        let mut slot = self.lock();
        slot.frame = Some(frame);
        slot.wanted = false;
        wake(slot, |slot| slot.reader.take());
    }

    fn end_with(&self, frame: Option<Result<Frame<Bytes>, BodyError>>) {
        let mut slot = self.lock();
        if frame.is_some() {
            slot.frame = frame;
        }
        slot.ended = true;
        wake(slot, |slot| slot.reader.take());
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        lock(&self.slot)
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        let broken_off = !self.lock().ended;
        if broken_off {
            self.end_with(Some(Err(BodyError::Disconnected)));
        }
    }
}

impl Slot {
    fn demand(&self) -> Demand {
        match self {
            Slot { gone: true, .. } => Demand::Gone,
            Slot { wanted: true, frame: None, .. } => Demand::Frame,
            _ => Demand::None,
        }
    }
}

/// The reading end; a [`Body`](crate::Body) is made of it.
#[derive(Debug)]
pub struct BodyReceiver {
    slot: Arc<Mutex<Slot>>,
    left: Option<u64>,
}

impl HttpBody for BodyReceiver {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut slot = lock(&this.slot);
        if let Some(frame) = slot.frame.take() {
            if let (Some(left), Ok(frame)) = (&mut this.left, &frame) {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                *left = left.saturating_sub(length);
            }
            return Poll::Ready(Some(frame));
        }
        if slot.ended {
            return Poll::Ready(None);
        }
        slot.wanted = true;
        remember(&mut slot.reader, cx);
        wake(slot, |slot| slot.writer.take());
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let slot = lock(&self.slot);
        slot.ended && slot.frame.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for BodyReceiver {
    fn drop(&mut self) {
        let mut slot = lock(&self.slot);
        slot.gone = true;
        slot.frame = None;
        wake(slot, |slot| slot.writer.take());
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    // Nothing panics while it is held.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

/// Wakes who waits, after letting go of the lock.
fn wake(mut slot: MutexGuard<'_, Slot>, waiting: impl FnOnce(&mut Slot) -> Option<Waker>) {
    let waker = waiting(&mut slot);
    drop(slot);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(body: &mut BodyReceiver) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    fn data(frame: Poll<Option<Result<Frame<Bytes>, BodyError>>>) -> Bytes {
        match frame {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frame_is_handed_over_when_asked_for() {
        let (mut sender, mut body) = body_channel(Some(5));
        assert_eq!(sender.demand(), Demand::None);
        assert!(poll(&mut body).is_pending());
        assert_eq!(sender.demand(), Demand::Frame);
        sender.send(Bytes::from_static(b"abc"));
        assert_eq!(sender.demand(), Demand::None);
        assert_eq!(data(poll(&mut body)), "abc");
        assert_eq!(body.size_hint().exact(), Some(2));
        assert!(poll(&mut body).is_pending());
        sender.send_last(Bytes::from_static(b"de"));
        assert!(!body.is_end_stream());
        assert_eq!(data(poll(&mut body)), "de");
        assert!(body.is_end_stream());
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
    }

    #[test]
    fn trailers_come_last() {
        let (sender, mut body) = body_channel(None);
        assert!(poll(&mut body).is_pending());
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("1"));
        sender.send_trailers(trailers);
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(frame))) if frame.is_trailers()));
        assert!(body.is_end_stream());
    }

    #[test]
    fn a_dropped_sender_breaks_the_body_off() {
        let (sender, mut body) = body_channel(None);
        drop(sender);
        let frame = poll(&mut body);
        assert!(matches!(frame, Poll::Ready(Some(Err(BodyError::Disconnected)))), "{frame:?}");
    }

    #[test]
    fn a_sender_learns_that_its_reader_is_gone() {
        let (mut sender, body) = body_channel(None);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sender.poll_demand(&mut cx).is_pending());
        drop(body);
        assert_eq!(sender.poll_demand(&mut cx), Poll::Ready(Demand::Gone));
    }
}
