//! What passed of a request's body, kept so that it can be sent once more, and handed to mirrors as it passes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_message::{Body, BodyError};

use crate::feed::Feed;
use crate::piece::Piece;

/// A body whose beginning is kept as it passes, up to a bound, beyond which it cannot be repeated any more.
///
/// Whoever reads it does so by a [`Reader`]; the newest one alone gets anything. All of it happens on one
/// thread; the lock, which is never waited for, is there because an HTTP/2 connection asks for `Send`.
#[derive(Debug)]
pub struct Recording {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    body: Body,
    pieces: Vec<Piece>,
    /// How many bytes may still be kept; `None` once that was too few.
    room: Option<usize>,
    feeds: Vec<Feed>,
    readers: u32,
}

/// One who reads a recorded body from its beginning.
#[derive(Debug)]
pub(crate) struct Reader {
    recording: Arc<Recording>,
    number: u32,
    /// How many of the kept pieces it has read.
    read: usize,
}

/// What a reader found.
#[derive(Debug)]
pub(crate) enum Read {
    /// A piece that passed before.
    Again(Frame<Bytes>),
    /// What comes from the client.
    Live(Option<Result<Frame<Bytes>, BodyError>>),
}

impl Recording {
    /// Records a body, of which at most so many bytes are kept.
    pub(crate) fn of(body: Body, most: usize) -> Arc<Self> {
        let (pieces, feeds) = (Vec::new(), Vec::new());
        let state = State { body, pieces, room: Some(most), feeds, readers: 0 };
        Arc::new(Recording { state: Mutex::new(state) })
    }

    /// Whether all that has passed is still there.
    pub fn is_whole(&self) -> bool {
        self.state().room.is_some()
    }

    /// Hands what comes from now on to a mirror too.
    pub(crate) fn feed(&self, feed: Feed) {
        self.state().feeds.push(feed);
    }

    /// Reads it from the beginning; earlier readers get nothing any more.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.state();
        state.readers += 1;
        Reader { recording: self.clone(), number: state.readers, read: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let mut state = self.recording.state();
        if state.readers != self.number {
            return Poll::Ready(Read::Live(Some(Err(BodyError::Disconnected))));
        }
        if let Some(piece) = state.pieces.get(self.read) {
            self.read += 1;
            return Poll::Ready(Read::Again(piece.clone().into()));
        }
        let polled = Pin::new(&mut state.body).poll_frame(cx);
        let Poll::Ready(next) = polled else { return Poll::Pending };
        state.note(next.as_ref());
        self.read = state.pieces.len();
        Poll::Ready(Read::Live(next))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let state = self.recording.state();
        self.read >= state.pieces.len() && state.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let state = self.recording.state();
        let again = state.pieces.iter().skip(self.read).map(Piece::len).sum::<usize>() as u64;
        let live = state.body.size_hint();
        let mut whole = SizeHint::new();
        if let Some(upper) = live.upper() {
            whole.set_upper(upper.saturating_add(again));
        }
        whole.set_lower(live.lower().saturating_add(again));
        whole
    }
}

impl State {
    fn note(&mut self, next: Option<&Result<Frame<Bytes>, BodyError>>) {
        let piece = match next {
            Some(Ok(frame)) => Piece::of(frame),
            Some(Err(_)) => return self.feeds.clear(),
            None => None,
        };
        if let Some(piece) = &piece {
            self.feeds.iter().for_each(|feed| feed.put(piece.clone()));
        }
        if next.is_none() || self.body.is_end_stream() {
            self.feeds.drain(..).for_each(Feed::end);
        }
        if let Some(piece) = piece {
            self.keep(piece);
        }
    }

    fn keep(&mut self, piece: Piece) {
        self.room = self.room.and_then(|room| room.checked_sub(piece.len()));
        match self.room {
            Some(_) => self.pieces.push(piece),
            None => self.pieces.clear(),
        }
    }
}
