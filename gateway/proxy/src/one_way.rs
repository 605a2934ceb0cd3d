//! One direction of a connection whose bytes are passed on: what one side says is handed to the other as fast as
//! that takes it.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// What is read at once, and no more is held.
pub(crate) const PIECE: usize = 16 << 10;

/// One direction. While nothing passes it holds no memory.
#[derive(Debug, Default)]
pub(crate) struct OneWay {
    /// Read and not written yet; no more is read meanwhile, which is the back-pressure.
    held: BytesMut,
    bytes: u64,
    flushing: Flushing,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flushing {
    #[default]
    Done,
    Due,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Flowing,
    /// The sender has ended, which the receiver is being told.
    Ending,
    Ended,
}

/// What failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The sender.
    Reading(io::Error),
    /// The receiver.
    Writing,
}

impl OneWay {
    /// A direction whose receiver gets these bytes first.
    pub(crate) fn starting_with(bytes: &[u8]) -> Self {
        OneWay { held: BytesMut::from(bytes), ..OneWay::default() }
    }

    /// Bytes that the receiver has taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether anything is to be written.
    pub(crate) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// The receiver gets these bytes next.
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Carries nothing more: the receiver has left.
    pub(crate) fn give_up(&mut self) {
        self.held = BytesMut::new();
        self.stage = Stage::Ended;
    }

    /// Carries what there is; ready once the sender has ended and the receiver was told.
    pub(crate) fn poll_carry<F, T>(
        &mut self,
        from: &mut F,
        to: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        while self.stage == Stage::Flowing {
            if !self.held.is_empty() {
                ready!(self.poll_write(to, cx))?;
            } else if self.poll_read(from, cx)?.is_pending() {
                ready!(self.poll_flush(to, cx))?;
                return Poll::Pending;
            }
        }
        if self.stage == Stage::Ending {
            // A receiver that cannot be told any more has left, which the other direction notices.
            let _ = ready!(Pin::new(to).poll_shutdown(cx));
            self.stage = Stage::Ended;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read<F: AsyncRead + Unpin>(
        &mut self,
        from: &mut F,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>> {
        self.held.reserve(PIECE);
        match pin!(from.read_buf(&mut self.held)).poll(cx) {
            Poll::Pending => {
                self.held = BytesMut::new();
                Poll::Pending
            }
            Poll::Ready(Ok(0)) => {
                self.held = BytesMut::new();
                self.stage = Stage::Ending;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(Failed::Reading(error))),
        }
    }

    /// Writes some of what is held.
    pub(crate) fn poll_write<T: AsyncWrite + Unpin>(
        &mut self,
        to: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>> {
        match ready!(Pin::new(to).poll_write(cx, &self.held)) {
            Ok(written) if written > 0 => {
                self.held.advance(written);
                self.bytes += written as u64;
                self.flushing = Flushing::Due;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err(Failed::Writing)),
        }
    }

    /// Before waiting for more: what was written must not lie in a TLS session meanwhile.
    pub(crate) fn poll_flush<T: AsyncWrite + Unpin>(
        &mut self,
        to: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>> {
        if self.flushing == Flushing::Due {
            ready!(Pin::new(to).poll_flush(cx)).map_err(|_| Failed::Writing)?;
            self.flushing = Flushing::Done;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn everything_passes_in_order_then_the_end() {
        let (mut client, mut from) = tokio::io::duplex(100);
        let (mut to, mut server) = tokio::io::duplex(7);
        let mut way = OneWay::default();
        let sent: Vec<u8> = (0..=255).cycle().take(5 * PIECE).collect();
        let mut got = Vec::new();
        let sending = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let carrying = poll_fn(|cx| way.poll_carry(&mut from, &mut to, cx));
        let (_, carried, read) = tokio::join!(sending, carrying, server.read_to_end(&mut got));
        assert!(carried.is_ok() && read.is_ok());
        assert!(got == sent);
        assert_eq!((way.bytes(), way.held.capacity()), (sent.len() as u64, 0));
    }

    #[tokio::test]
    async fn no_more_is_held_than_a_piece() {
        let (mut client, mut from) = tokio::io::duplex(1 << 20);
        let (mut to, server) = tokio::io::duplex(1);
        client.write_all(&[0; 10 * PIECE]).await.unwrap();
        let mut way = OneWay::default();
        let carried =
            poll_fn(|cx| Poll::Ready(way.poll_carry(&mut from, &mut to, cx).is_pending()));
        assert!(carried.await);
        assert!(way.held.capacity() <= 2 * PIECE);
        drop(server);
        let carried = poll_fn(|cx| way.poll_carry(&mut from, &mut to, cx)).await;
        assert!(matches!(carried, Err(Failed::Writing)));
    }
}
