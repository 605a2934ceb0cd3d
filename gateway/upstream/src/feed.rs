//! What a mirror gets of a request's body: as much as it takes in time, never a moment of the primary's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use portcullis_message::BodyError;

use crate::piece::Piece;

/// Where the primary leaves what passes. Dropped before [`Feed::end`], it breaks the mirror's body off.
#[derive(Debug)]
pub(crate) struct Feed {
    queue: Arc<Mutex<Queue>>,
}

/// Where the mirror takes it from.
#[derive(Debug)]
pub(crate) struct FeedReader {
    queue: Arc<Mutex<Queue>>,
    /// How much will come, where that is known.
    left: Option<u64>,
}

/// Tells what became of a mirror's body.
#[derive(Debug)]
pub struct FeedWatch {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// How many more bytes may wait.
    room: usize,
    stage: Stage,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Flowing,
    Ended,
    /// The client's body broke off, or is not sent any further.
    BrokenOff,
    /// The mirror did not keep up.
    Overrun,
}

/// A feed in which at most so many bytes wait. `length` is the body's, where it is known.
pub(crate) fn feed(most: usize, length: Option<u64>) -> (Feed, FeedReader, FeedWatch) {
    let queue = Queue { pieces: VecDeque::new(), room: most, stage: Stage::Flowing, reader: None };
    let queue = Arc::new(Mutex::new(queue));
    let reader = FeedReader { queue: queue.clone(), left: length };
    (Feed { queue: queue.clone() }, reader, FeedWatch { queue })
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    pub(crate) fn put(&self, piece: Piece) {
        let mut queue = lock(&self.queue);
        if queue.stage != Stage::Flowing {
            return;
        }
        match queue.room.checked_sub(piece.len()) {
            Some(room) => {
                queue.room = room;
                queue.pieces.push_back(piece);
                queue.wake();
            }
            None => queue.stop(Stage::Overrun),
        }
    }

    pub(crate) fn end(self) {
        let mut queue = lock(&self.queue);
        if queue.stage == Stage::Flowing {
            queue.stage = Stage::Ended;
            queue.wake();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        if queue.stage == Stage::Flowing {
            queue.stop(Stage::BrokenOff);
        }
    }
}

impl FeedReader {
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut queue = lock(&self.queue);
        if let Some(piece) = queue.pieces.pop_front() {
            queue.room += piece.len();
            self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
            return Poll::Ready(Some(Ok(piece.into())));
        }
        match queue.stage {
            Stage::Flowing => {
                queue.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Stage::Ended => Poll::Ready(None),
            Stage::BrokenOff | Stage::Overrun => Poll::Ready(Some(Err(BodyError::Disconnected))),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let queue = lock(&self.queue);
        queue.stage == Stage::Ended && queue.pieces.is_empty()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl FeedWatch {
    /// Whether the mirror was cut off because it did not keep up.
    pub fn is_overrun(&self) -> bool {
        lock(&self.queue).stage == Stage::Overrun
    }
}

impl Queue {
    /// What waits goes: nobody is helped by more of a body that will not be whole.
    fn stop(&mut self, stage: Stage) {
        self.stage = stage;
        self.pieces = VecDeque::new();
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}
