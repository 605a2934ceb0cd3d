//! Bytes on their way to a client: what we write ourselves, and the body's bytes between, in one write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// Smaller pieces are cheaper copied than written as a slice of their own.
const COPIED: usize = 2 << 10;

/// No more is gathered before it is written.
const GATHERED: usize = 16 << 10;

/// What is to be written next.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Heads, chunk sizes and small pieces.
    pub(crate) front: BytesMut,
    data: Bytes,
    end: &'static [u8],
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are still to be written.
    pub(crate) fn len(&self) -> usize {
        self.front.len() + self.data.len() + self.end.len()
    }

    /// Whether more may be added before what is there is written.
    pub(crate) fn has_room(&self) -> bool {
        self.data.is_empty() && self.end.is_empty() && self.front.len() < GATHERED
    }

    /// Adds bytes of a body and what follows them. To be asked only while there is room.
    pub(crate) fn add(&mut self, data: Bytes, end: &'static [u8]) {
        if data.len() <= COPIED {
            self.front.extend_from_slice(&data);
            self.front.extend_from_slice(end);
        } else {
            self.data = data;
            self.end = end;
        }
    }

    /// Writes all that is there.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.data.is_empty() && self.end.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, &self.front))?
            } else {
                let slices = [&*self.front, &*self.data, self.end].map(IoSlice::new);
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Pin::new(io).poll_flush(cx)
    }

    fn advance(&mut self, written: usize) {
        let of_front = written.min(self.front.len());
        self.front.advance(of_front);
        let of_data = (written - of_front).min(self.data.len());
        self.data.advance(of_data);
        let of_end = (written - of_front - of_data).min(self.end.len());
        self.end = self.end.get(of_end..).unwrap_or_default();
        if self.data.is_empty() {
            // An empty slice would hold on to its memory.
            self.data = Bytes::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn everything_is_written_in_order_however_little_fits() {
        let (mut near, mut far) = tokio::io::duplex(3);
        let mut output = Output::default();
        output.front.extend_from_slice(b"head\r\n");
        output.add(Bytes::from(vec![b'x'; COPIED + 1]), b"\r\n0\r\n\r\n");
        assert!(!output.has_room());
        let writing = async {
            poll_fn(|cx| output.poll_write(&mut near, cx)).await.unwrap();
            drop(near);
        };
        let mut read = Vec::new();
        let (_, length) = tokio::join!(writing, far.read_to_end(&mut read));
        assert_eq!(length.unwrap(), 6 + COPIED + 1 + 7);
        assert!(read.starts_with(b"head\r\nxx") && read.ends_with(b"x\r\n0\r\n\r\n"));
    }
}
