//! A request's body on its way into a stream, as it comes and as the upstream makes room for it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use http_body::Body as _;
use portcullis_message::Body;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{Sleep, sleep};

use crate::failure::UpstreamFailure;
use crate::http2::head::allowed_trailers;
use crate::request_body::RequestBody;

/// How long an upstream may leave `Expect: 100-continue` unanswered, as over HTTP/1.
const LONGEST_HOLD: Duration = Duration::from_secs(1);

/// A request's body on its way. More of it is taken only where the upstream has room, which is the back-pressure.
#[derive(Debug)]
pub(crate) struct Upload {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// What is left of the length that was told.
    left: Option<u64>,
    stage: Stage,
    /// While the upstream has still to say whether it wants the body.
    held: Option<Pin<Box<Sleep>>>,
    taken: Taken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// More is to come.
    Flowing,
    /// All of it is on its way.
    Ended,
    /// No more of it is sent, though the upstream awaits it.
    GivenUp,
}

/// What was taken of the body.
#[derive(Debug)]
enum Taken {
    Nothing,
    /// One piece, to put it back where the upstream has not looked at it.
    One(Bytes),
    /// More than is kept.
    More,
}

/// Whether the upstream has to say first that it wants the body (`Expect: 100-continue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    AtOnce,
    WhenAsked,
}

impl Upload {
    /// The rest of a request whose head is on its way into the stream.
    pub(crate) fn new(
        stream: SendStream<Bytes>,
        body: RequestBody,
        length: Option<u64>,
        start: Start,
    ) -> Self {
        let stage = if body.is_end_stream() { Stage::Ended } else { Stage::Flowing };
        let waits = stage == Stage::Flowing && start == Start::WhenAsked;
        let held = waits.then(|| Box::pin(sleep(LONGEST_HOLD)));
        Upload { stream, body, left: length, stage, held, taken: Taken::Nothing }
    }

    /// Sends as much as the client has and the upstream takes; ready once all is on its way, or the upstream wants no
    /// more of it, for which its reply says why.
    ///
    /// # Errors
    /// The body broke off or is not as long as it said: the stream is reset, so that the upstream cannot take what it
    /// has for the whole.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFailure>> {
        while self.stage == Stage::Flowing {
            if let Some(timer) = &mut self.held {
                ready!(timer.as_mut().poll(cx));
                self.held = None;
            }
            if ready!(self.poll_room(cx)) == Room::NeverAgain {
                self.stage = Stage::GivenUp;
                break;
            }
            let sent = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.send_data(data),
                    Err(frame) => self.send_end(frame.into_trailers().ok()),
                },
                Some(Err(_)) => Err(UpstreamFailure::RequestBody),
                None => self.send_end(None),
            };
            if let Err(failure) = sent {
                self.stage = Stage::GivenUp;
                self.stream.send_reset(Reason::CANCEL);
                return Poll::Ready(Err(failure));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the body waits for the upstream's 100.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The upstream wants the body.
    pub(crate) fn let_go(&mut self) {
        self.held = None;
    }

    /// Sends no more of it.
    pub(crate) fn give_up(&mut self) {
        self.held = None;
        self.stage = Stage::GivenUp;
    }

    /// The body as it was before anything of it was taken, where that can be had.
    pub(crate) fn take_back(&mut self) -> Option<RequestBody> {
        let mut body = std::mem::replace(&mut self.body, RequestBody::new(Body::Empty));
        match std::mem::replace(&mut self.taken, Taken::More) {
            Taken::Nothing => Some(body),
            Taken::One(bytes) => {
                body.put_back(bytes);
                Some(body)
            }
            Taken::More => None,
        }
    }

    /// Goes on by itself beside the reply, whose reader may be slower than this; until the returned value is dropped.
    /// Nothing is left to do where all is on its way.
    pub(crate) fn detach(mut self) -> Option<Detached> {
        if self.stage != Stage::Flowing {
            return None;
        }
        self.taken = Taken::More;
        let sending = poll_fn(move |cx| self.poll_send(cx).map(drop));
        Some(Detached(spawn_local(sending).abort_handle()))
    }

    /// Waits for room for a byte more than is on its way.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        self.stream.reserve_capacity(1);
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Room::NeverAgain),
            }
        }
        // Whoever waits for the client is told of a reset too.
        let reset = self.stream.poll_reset(cx).is_ready();
        Poll::Ready(if reset { Room::NeverAgain } else { Room::Some })
    }

    fn send_data(&mut self, data: Bytes) -> Result<(), UpstreamFailure> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(data.len() as u64).ok_or(UpstreamFailure::RequestBody)?;
        }
        let ended = self.body.is_end_stream();
        if ended {
            self.check_complete()?;
        }
        self.taken = match self.taken {
            Taken::Nothing => Taken::One(data.clone()),
            _ => Taken::More,
        };
        if data.is_empty() && !ended {
            return Ok(());
        }
        self.put(|stream| stream.send_data(data, ended), ended);
        Ok(())
    }

    fn send_end(&mut self, trailers: Option<HeaderMap>) -> Result<(), UpstreamFailure> {
        self.check_complete()?;
        if trailers.is_some() {
            self.taken = Taken::More;
        }
        match trailers.map(allowed_trailers).filter(|trailers| !trailers.is_empty()) {
            Some(trailers) => self.put(|stream| stream.send_trailers(trailers), true),
            None => self.put(|stream| stream.send_data(Bytes::new(), true), true),
        }
        Ok(())
    }

    /// Hands something to the library, which takes nothing more where the stream is over.
    fn put(
        &mut self,
        send: impl FnOnce(&mut SendStream<Bytes>) -> Result<(), h2::Error>,
        last: bool,
    ) {
        match send(&mut self.stream) {
            Ok(()) if last => self.stage = Stage::Ended,
            Ok(()) => {}
            Err(_) => self.stage = Stage::GivenUp,
        }
    }

    fn check_complete(&self) -> Result<(), UpstreamFailure> {
        if self.left.is_none_or(|left| left == 0) {
            Ok(())
        } else {
            Err(UpstreamFailure::RequestBody)
        }
    }
}

/// Whether the upstream takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Some,
    NeverAgain,
}

/// An upload beside its reply. Dropped, it ends; the stream with it, where the upstream still awaits more.
#[derive(Debug)]
pub(crate) struct Detached(AbortHandle);

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.abort();
    }
}
