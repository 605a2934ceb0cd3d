//! Both directions of a connection whose bytes are passed on, and what ends them.

use std::io;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::one_way::{Failed, OneWay};
use crate::tcp_step::Stopped;

/// The two directions.
#[derive(Debug, Default)]
pub(crate) struct BothWays {
    /// What the client says.
    up: OneWay,
    /// What the upstream says.
    down: OneWay,
}

/// What ended them.
#[derive(Debug)]
pub(crate) enum Cause {
    /// Both sides had said everything.
    BothEnded,
    /// The client vanished.
    ClientGone,
    /// The upstream's connection broke.
    UpstreamFailed(io::Error),
    /// Nothing passed for too long, as whoever looks at the clock has found.
    Idle,
    /// It has lasted as long as it may, as whoever looks at the clock has found.
    TooOld,
    /// The TLS policy was tightened after the client's handshake.
    Outdated,
    /// A plugin that it passes ends it.
    Plugin(Stopped),
}

impl BothWays {
    /// The upstream gets these bytes of the client first.
    pub(crate) fn starting_with(read_ahead: &[u8]) -> Self {
        BothWays { up: OneWay::starting_with(read_ahead), down: OneWay::default() }
    }

    /// Bytes that the upstream has taken.
    pub(crate) fn received(&self) -> u64 {
        self.up.bytes()
    }

    /// Bytes that the client has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.down.bytes()
    }

    /// Carries what there is both ways; ready once both sides have ended, or one has failed. A side that ends has
    /// its end passed on, while the other goes on.
    pub(crate) fn poll_carry<D, U>(
        &mut self,
        downstream: &mut D,
        upstream: &mut U,
        cx: &mut Context<'_>,
    ) -> Poll<Cause>
    where
        D: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let going_up = match self.up.poll_carry(downstream, upstream, cx) {
            Poll::Ready(Err(Failed::Reading(_))) => return Poll::Ready(Cause::ClientGone),
            // What the upstream has said before it left still counts.
            Poll::Ready(Err(Failed::Writing)) => {
                self.up.give_up();
                Poll::Ready(())
            }
            polled => polled.map(|_| ()),
        };
        match self.down.poll_carry(upstream, downstream, cx) {
            Poll::Ready(Err(Failed::Reading(error))) => Poll::Ready(Cause::UpstreamFailed(error)),
            Poll::Ready(Err(Failed::Writing)) => Poll::Ready(Cause::ClientGone),
            Poll::Ready(Ok(())) => going_up.map(|()| Cause::BothEnded),
            Poll::Pending => Poll::Pending,
        }
    }
}
