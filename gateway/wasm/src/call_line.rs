//! The line between a guest and its call under way: what it sends on, and whether anybody still listens.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::call_memory::Room;

/// What may wait to be sent on one call, in bytes; more ends the call.
const MOST_WAITING: usize = 1 << 20;

/// A message to be sent, framed as gRPC has it, and its room in the plugin's memory for calls, to be held until it is
/// gone.
#[derive(Debug)]
pub struct Message {
    /// What is sent.
    pub bytes: Bytes,
    /// Its room.
    pub room: Room,
}

/// Why a call is broken off from the guest's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The guest cancelled it, or is gone: it is not called back.
    Cancelled,
    /// The request in which it was made is over: the guest is told that it failed, as it waits for that.
    StreamClosed,
    /// The guest sends faster than the upstream takes, and there is no room left: it is told that it failed.
    TooMuchWaiting,
}

/// A guest's end of a call. It stays on the worker's thread.
#[derive(Default)]
pub struct CallLine {
    hangup: Cell<Option<Hangup>>,
    messages: RefCell<VecDeque<Message>>,
    waiting: Cell<usize>,
    ended: Cell<bool>,
    awaits_hangup: Cell<Option<Waker>>,
    awaits_message: Cell<Option<Waker>>,
}

impl CallLine {
    /// Waits until the guest breaks the call off.
    pub async fn hung_up(&self) -> Hangup {
        poll_fn(|cx| self.poll_hangup(cx)).await
    }

    /// The same, for one poll.
    pub fn poll_hangup(&self, cx: &mut Context<'_>) -> Poll<Hangup> {
        if let Some(hangup) = self.hangup.get() {
            return Poll::Ready(hangup);
        }
        self.awaits_hangup.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// The next message that the guest sends; `None` once it sends no more.
    pub async fn next_message(&self) -> Option<Message> {
        poll_fn(|cx| {
            if let Some(message) = self.messages.borrow_mut().pop_front() {
                self.waiting.set(self.waiting.get().saturating_sub(message.bytes.len()));
                return Poll::Ready(Some(message));
            }
            if self.ended.get() {
                return Poll::Ready(None);
            }
            self.awaits_message.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    pub(crate) fn send(&self, message: Message) {
        let waiting = self.waiting.get() + message.bytes.len();
        if waiting > MOST_WAITING && !self.messages.borrow().is_empty() {
            return self.hang_up(Hangup::TooMuchWaiting);
        }
        self.waiting.set(waiting);
        self.messages.borrow_mut().push_back(message);
        wake(&self.awaits_message);
    }

    /// Nothing more will be sent: the guest has said so, or the call is over.
    pub fn end_sending(&self) {
        self.ended.set(true);
        wake(&self.awaits_message);
    }

    pub(crate) fn hang_up(&self, why: Hangup) {
        if self.hangup.get().is_none() {
            self.hangup.set(Some(why));
        }
        self.end_sending();
        wake(&self.awaits_hangup);
    }
}

impl std::fmt::Debug for CallLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CallLine({:?})", self.hangup.get())
    }
}

fn wake(waker: &Cell<Option<Waker>>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::call_memory::CallMemory;

    fn message(bytes: impl Into<Bytes>) -> Message {
        Message { bytes: bytes.into(), room: CallMemory::beside(0).take(0).unwrap() }
    }

    fn next(line: &CallLine) -> Poll<Option<Bytes>> {
        poll(line.next_message()).map(|next| next.map(|message| message.bytes))
    }

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn messages_come_in_order_and_then_the_end() {
        let line = CallLine::default();
        assert_eq!(next(&line), Poll::Pending);
        line.send(message("one"));
        line.send(message("two"));
        line.end_sending();
        assert_eq!(next(&line), Poll::Ready(Some("one".into())));
        assert_eq!(next(&line), Poll::Ready(Some("two".into())));
        assert_eq!(next(&line), Poll::Ready(None));
    }

    #[test]
    fn the_first_reason_to_hang_up_stands() {
        let line = CallLine::default();
        assert_eq!(poll(line.hung_up()), Poll::Pending);
        line.hang_up(Hangup::StreamClosed);
        line.hang_up(Hangup::Cancelled);
        assert_eq!(poll(line.hung_up()), Poll::Ready(Hangup::StreamClosed));
    }

    #[test]
    fn what_waits_is_bounded() {
        let line = CallLine::default();
        line.send(message(vec![0; MOST_WAITING + 1]));
        assert_eq!(poll(line.hung_up()), Poll::Pending);
        line.send(message("x"));
        assert_eq!(poll(line.hung_up()), Poll::Ready(Hangup::TooMuchWaiting));
    }
}
