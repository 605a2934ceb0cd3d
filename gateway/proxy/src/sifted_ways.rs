//! Both directions of a connection whose bytes pass plugins on their way.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use portcullis_exchange::Exchange;
use portcullis_wasm::{ClosedBy, Direction, EndOfStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::Worker;
use crate::both_ways::Cause;
use crate::one_way::{Failed, OneWay, PIECE};
use crate::tcp_filters::TcpFilters;
use crate::tcp_step::{Sifted, Stopped};

/// The two directions.
pub(crate) struct SiftedWays {
    up: SiftedWay,
    down: SiftedWay,
}

/// What the bytes pass, and what plugins see beside them.
pub(crate) struct Sieve<'s> {
    pub(crate) worker: &'s Worker,
    pub(crate) filters: &'s mut TcpFilters,
    pub(crate) exchange: &'s mut Box<Exchange>,
}

/// One direction.
struct SiftedWay {
    direction: Direction,
    /// Read, and seen by no plugin yet.
    unsifted: BytesMut,
    /// What has come out.
    way: OneWay,
    reads: Reads,
    /// Nothing more comes out.
    out_ended: EndOfStream,
    done: bool,
}

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    More,
    Ended,
}

impl SiftedWays {
    /// The plugins see these bytes of the client first.
    pub(crate) fn starting_with(read_ahead: &[u8]) -> Self {
        SiftedWays {
            up: SiftedWay::new(Direction::Request, read_ahead),
            down: SiftedWay::new(Direction::Response, &[]),
        }
    }

    /// Bytes that the upstream has taken.
    pub(crate) fn received(&self) -> u64 {
        self.up.way.bytes()
    }

    /// Bytes that the client has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.down.way.bytes()
    }

    /// As [`BothWays::poll_carry`](crate::both_ways::BothWays::poll_carry), through the plugins.
    pub(crate) fn poll_carry<D, U>(
        &mut self,
        (downstream, upstream): (&mut D, &mut U),
        sieve: &mut Sieve<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Cause>
    where
        D: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let going_up = match self.up.poll_carry(downstream, upstream, sieve, cx) {
            Poll::Ready(Err(Ended::Way(Failed::Reading(_)))) => {
                return Poll::Ready(Cause::ClientGone);
            }
            // What the upstream has said before it left still counts.
            Poll::Ready(Err(Ended::Way(Failed::Writing))) => {
                self.up.give_up();
                Poll::Ready(())
            }
            Poll::Ready(Err(Ended::Plugin(stopped))) => return Poll::Ready(Cause::Plugin(stopped)),
            polled => polled.map(|_| ()),
        };
        match self.down.poll_carry(upstream, downstream, sieve, cx) {
            Poll::Ready(Err(Ended::Way(Failed::Reading(error)))) => {
                Poll::Ready(Cause::UpstreamFailed(error))
            }
            Poll::Ready(Err(Ended::Way(Failed::Writing))) => Poll::Ready(Cause::ClientGone),
            Poll::Ready(Err(Ended::Plugin(stopped))) => Poll::Ready(Cause::Plugin(stopped)),
            Poll::Ready(Ok(())) => going_up.map(|()| Cause::BothEnded),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// What ends a direction before its end.
enum Ended {
    Way(Failed),
    Plugin(Stopped),
}

impl From<Failed> for Ended {
    fn from(failed: Failed) -> Self {
        Ended::Way(failed)
    }
}

impl From<Stopped> for Ended {
    fn from(stopped: Stopped) -> Self {
        Ended::Plugin(stopped)
    }
}

impl SiftedWay {
    fn new(direction: Direction, read_ahead: &[u8]) -> Self {
        SiftedWay {
            direction,
            unsifted: BytesMut::from(read_ahead),
            way: OneWay::default(),
            reads: Reads::More,
            out_ended: EndOfStream::No,
            done: false,
        }
    }

    /// Carries nothing more: the receiver has left.
    fn give_up(&mut self) {
        self.way.give_up();
        self.done = true;
    }

    /// Carries what there is; ready once all has come out and the receiver was told.
    fn poll_carry<F, T>(
        &mut self,
        from: &mut F,
        to: &mut T,
        sieve: &mut Sieve<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        while !self.done {
            if self.way.holds_any() {
                ready!(self.way.poll_write(to, cx))?;
            } else if self.out_ended == EndOfStream::Yes {
                // A receiver that cannot be told any more has left, which the other direction notices.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                self.done = true;
            } else if let Poll::Ready(released) =
                sieve.filters.poll_released((sieve.worker, sieve.exchange), self.direction, cx)?
            {
                self.take(released);
            } else if self.poll_input(from, sieve, cx)?.is_pending() {
                ready!(self.way.poll_flush(to, cx))?;
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and has the plugins see it; pending where there is nothing to be read, or no room.
    fn poll_input<F: AsyncRead + Unpin>(
        &mut self,
        from: &mut F,
        sieve: &mut Sieve<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        if self.reads == Reads::Ended || !sieve.filters.takes_more(self.direction) {
            return Poll::Pending;
        }
        if self.unsifted.is_empty() {
            self.unsifted.reserve(PIECE);
            match pin!(from.read_buf(&mut self.unsifted)).poll(cx) {
                Poll::Pending => {
                    self.unsifted = BytesMut::new();
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failed::Reading(error).into())),
                Poll::Ready(Ok(0)) => self.reads = Reads::Ended,
                Poll::Ready(Ok(_)) => {}
            }
        }
        let end = match self.reads {
            Reads::More => EndOfStream::No,
            Reads::Ended => EndOfStream::Yes,
        };
        let data = self.unsifted.split().freeze();
        self.sift(Sifted { data, end }, sieve)?;
        Poll::Ready(Ok(()))
    }

    fn sift(&mut self, piece: Sifted, sieve: &mut Sieve<'_>) -> Result<(), Stopped> {
        let was_last = piece.end == EndOfStream::Yes;
        let place = (sieve.worker, &mut *sieve.exchange);
        let sifted = sieve.filters.sift(place, self.direction, piece)?;
        self.take(sifted);
        if was_last && self.direction == Direction::Response {
            sieve.filters.upstream_closed(sieve.exchange, ClosedBy::Peer);
        }
        Ok(())
    }

    fn take(&mut self, sifted: Sifted) {
        self.way.hold(&sifted.data);
        if sifted.end == EndOfStream::Yes {
            self.out_ended = EndOfStream::Yes;
        }
    }
}
