//! How far one request has come, in plain cells: whoever moves its bytes pays a store or two, and the worker
//! looks once a second whether they still move.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Waker;

use bytes::BytesMut;
use http::Response;
use portcullis_upstream::RequestProgress;

use crate::interim::InterimReplies;
use crate::overdue::Overdue;
use crate::pace::{Fault, Owed, Pace};
use crate::terms::Terms;

/// The progress of one request, shared by what serves it and what carries its bytes to the client.
///
/// Who carries them says how many the client has [taken](Self::took) and whether it [owes](Self::owes) to take
/// more, asks whether the request [is overdue](Self::is_overdue) before it goes on, and breaks off then.
#[derive(Debug, Default)]
pub struct Progress {
    terms: Cell<Terms>,
    /// Of the request's body; `None` where it has none.
    upload: RefCell<Option<Arc<RequestProgress>>>,
    taken: Cell<u64>,
    owes: Cell<bool>,
    slow: Cell<bool>,
    events: Cell<u32>,
    overdue: Cell<Option<Overdue>>,
    waker: RefCell<Option<Waker>>,
    seen: Cell<Seen>,
    interim: InterimReplies,
}

/// What the looks so far have found.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    up: Pace,
    down: Pace,
    /// Everything that moved, as of the last look.
    moved: u64,
    /// Looks in a row at which nothing had.
    idle: u32,
}

impl Progress {
    /// The client took so many bytes of the reply.
    pub fn took(&self, bytes: usize) {
        self.taken.set(self.taken.get().wrapping_add(bytes as u64));
    }

    /// Whether there are bytes that the client could take and does not.
    pub fn owes(&self, owes: bool) {
        self.owes.set(owes);
    }

    /// Whether the client was once found to owe.
    pub fn is_slow(&self) -> bool {
        self.slow.get()
    }

    /// Something else happened that shows life, such as bytes on an upgraded connection.
    pub fn stir(&self) {
        self.events.set(self.events.get().wrapping_add(1));
    }

    /// The client can be sent interim replies, as HTTP/1.1 has them.
    pub fn accept_interim_replies(&self) {
        self.interim.accept();
    }

    /// The interim replies that came meanwhile, to be written before the reply.
    pub fn take_interim_replies(&self) -> Option<BytesMut> {
        self.interim.take()
    }

    /// The upstream sent an interim reply.
    pub(crate) fn pass_on(&self, interim: &Response<()>) {
        self.stir();
        self.interim.add(interim);
    }

    /// Whether the request is to be broken off.
    pub fn is_overdue(&self) -> bool {
        self.overdue.get().is_some()
    }

    /// Who is to look again once the request is overdue.
    pub fn wake_with(&self, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
    }

    pub(crate) fn set_terms(&self, terms: Terms) {
        self.terms.set(terms);
    }

    pub(crate) fn set_upload(&self, upload: Option<Arc<RequestProgress>>) {
        *self.upload.borrow_mut() = upload;
    }

    pub(crate) fn overdue(&self) -> Option<Overdue> {
        self.overdue.get()
    }

    /// Whether it is to be broken off for silence, while the client took all that there was.
    pub(crate) fn upstream_is_silent(&self) -> bool {
        self.overdue() == Some(Overdue::UpstreamIdle) && !self.owes.get()
    }

    /// Which deadline was missed, to tell the client: the telling has its own time.
    pub(crate) fn take_overdue(&self) -> Option<Overdue> {
        let overdue = self.overdue.take()?;
        self.seen.take();
        self.set_upload(None);
        Some(overdue)
    }

    /// As new, for another request.
    pub(crate) fn reset(&self) {
        self.terms.take();
        self.set_upload(None);
        self.taken.take();
        self.owes.take();
        self.slow.take();
        self.events.take();
        self.overdue.take();
        self.waker.take();
        self.seen.take();
        self.interim.reset();
    }

    /// Looks whether the request still moves. To be called once a second.
    pub(crate) fn look(&self) {
        if self.is_overdue() {
            return;
        }
        let mut seen = self.seen.get();
        let overdue = self.judge(&mut seen);
        self.seen.set(seen);
        if overdue.is_some() {
            self.overdue.set(overdue);
            if let Some(waker) = &*self.waker.borrow() {
                waker.wake_by_ref();
            }
        }
    }

    fn judge(&self, seen: &mut Seen) -> Option<Overdue> {
        let (terms, taken) = (self.terms.get(), self.taken.get());
        let mut moved = taken.wrapping_add(u64::from(self.events.get()));
        let mut silence = Overdue::UpstreamIdle;
        if let Some(upload) = &*self.upload.borrow() {
            let (bytes, owed) = (upload.bytes(), owed(upload.is_awaited()));
            moved = moved.wrapping_add(bytes);
            match seen.up.look(bytes, owed, terms) {
                Some(Fault::Stalled) => return Some(Overdue::RequestStalled),
                Some(Fault::Slow) => return Some(Overdue::RequestSlow),
                None if !upload.ended() => silence = Overdue::StreamIdle,
                None => {}
            }
        }
        self.slow.set(self.slow.get() || self.owes.get());
        match seen.down.look(taken, owed(self.owes.get()), terms) {
            Some(Fault::Stalled) => return Some(Overdue::ReplyStalled),
            Some(Fault::Slow) => return Some(Overdue::ReplySlow),
            None => {}
        }
        let still = moved == std::mem::replace(&mut seen.moved, moved);
        seen.idle = if still { seen.idle.saturating_add(1) } else { 0 };
        (seen.idle > terms.idle).then_some(silence)
    }
}

fn owed(owed: bool) -> Owed {
    if owed { Owed::ByClient } else { Owed::Nothing }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::Context;

    use bytes::Bytes;
    use http_body::Body as _;
    use portcullis_message::{Body, BodySender, body_channel};
    use portcullis_upstream::RequestBody;

    use super::*;

    fn after(seconds: u32, progress: &Progress) -> Option<Overdue> {
        (0..seconds).for_each(|_| progress.look());
        progress.overdue()
    }

    /// A request whose body comes by hand, with who wants it.
    fn upload(progress: &Progress) -> (BodySender, RequestBody) {
        let (sender, receiver) = body_channel(None);
        let body = RequestBody::new(Body::from(receiver));
        progress.set_upload(body.progress());
        (sender, body)
    }

    fn ask(body: &mut RequestBody) {
        let _ = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
    }

    #[test]
    fn an_upload_stalls_only_while_it_is_wanted() {
        let progress = Progress::default();
        progress.set_terms(Terms { min_rate: 0, ..Terms::default() });
        let (mut sender, mut body) = upload(&progress);
        assert_eq!(after(100, &progress), None);
        ask(&mut body);
        assert_eq!(after(60, &progress), None);
        sender.send(Bytes::from_static(b"x"));
        ask(&mut body);
        ask(&mut body);
        // The first look finds the byte.
        assert_eq!(after(61, &progress), None);
        assert_eq!(after(1, &progress), Some(Overdue::RequestStalled));
    }

    #[test]
    fn a_reply_that_nobody_takes_stalls() {
        let progress = Progress::default();
        progress.set_terms(Terms { min_rate: 0, ..Terms::default() });
        progress.owes(true);
        assert_eq!(after(60, &progress), None);
        progress.took(1);
        assert_eq!(after(61, &progress), None);
        assert_eq!(after(1, &progress), Some(Overdue::ReplyStalled));
    }

    #[test]
    fn silence_is_told_by_whose_turn_it_is() {
        let progress = Progress::default();
        assert_eq!(after(300, &progress), None);
        progress.stir();
        assert_eq!(after(301, &progress), None);
        assert_eq!(after(1, &progress), Some(Overdue::UpstreamIdle));
        progress.reset();
        let (_sender, mut body) = upload(&progress);
        progress.set_terms(Terms::of_stream(&portcullis_model::RequestPolicy::default()));
        ask(&mut body);
        assert_eq!(after(300, &progress), None);
        assert_eq!(after(1, &progress), Some(Overdue::StreamIdle));
    }

    #[test]
    fn telling_the_client_has_its_own_time() {
        let progress = Progress::default();
        assert_eq!(after(301, &progress), Some(Overdue::UpstreamIdle));
        assert_eq!(progress.take_overdue(), Some(Overdue::UpstreamIdle));
        assert_eq!(after(300, &progress), None);
    }
}
