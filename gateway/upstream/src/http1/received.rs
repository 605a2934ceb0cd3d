//! What came from the upstream and is not read yet.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use crate::socket::Socket;

/// Room for a usual reply, head and body in one read.
const SMALL_READ: usize = 8 << 10;

/// Room where the upstream has more to say than fits the small one.
const LARGE_READ: usize = 64 << 10;

/// Room beyond what is expected: a read that leaves some says that nothing more is there, for free.
const SPARE: usize = 64;

/// What came from the upstream and is not read yet. Heads and bodies are cut off it without copying; its
/// memory is used again once nobody holds them.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) buffer: BytesMut,
    read_size: usize,
}

impl Received {
    pub(crate) fn new() -> Self {
        Received { buffer: BytesMut::new(), read_size: SMALL_READ }
    }

    /// Reads once, of `expected` bytes where their number is known; zero is the end of the stream.
    pub(crate) fn poll_fill(
        &mut self,
        socket: &mut Socket,
        expected: Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let size = self.size_for(expected);
        if self.room() < size / 2 {
            self.buffer.reserve(size);
        }
        let room = self.room();
        let polled = pin!(socket.read_buf(&mut self.buffer)).poll(cx);
        if let Poll::Ready(Ok(count)) = polled
            && count == room
        {
            // There is more where that came from.
            self.read_size = LARGE_READ;
        }
        polled
    }

    /// Between two exchanges: the memory of a large reply is not kept for the next.
    pub(crate) fn rest(&mut self) {
        if self.read_size == LARGE_READ {
            *self = Received::new();
        }
    }

    fn size_for(&self, expected: Option<u64>) -> usize {
        let expected = expected.and_then(|expected| usize::try_from(expected).ok());
        let enough = expected.map_or(LARGE_READ, |expected| expected.saturating_add(SPARE));
        self.read_size.min(enough.max(SMALL_READ))
    }

    fn room(&self) -> usize {
        self.buffer.capacity() - self.buffer.len()
    }
}
