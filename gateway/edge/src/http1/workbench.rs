//! What the HTTP/1 connections of a worker share: spare buffers, so that an idle connection holds none, and
//! the date.

use std::cell::RefCell;

use bytes::BytesMut;
use portcullis_message::http1::{DATE_LENGTH, DateLine};

/// Enough for the head of a usual request, and for that of its reply.
pub(crate) const BUFFER: usize = 8 << 10;

/// Spare buffers that are kept: as many as a worker has requests under way, within reason.
const SPARES: usize = 128;

/// Buffers and the date, of one worker.
#[derive(Debug, Default)]
pub(crate) struct Workbench {
    spares: RefCell<Vec<BytesMut>>,
    date: RefCell<DateLine>,
}

impl Workbench {
    /// An empty buffer with room for [`BUFFER`] bytes.
    pub(crate) fn take(&self) -> BytesMut {
        let spare = self.spares.borrow_mut().pop();
        let mut buffer = spare.unwrap_or_default();
        // Gets its whole room back if nobody shares it any more.
        buffer.reserve(BUFFER);
        buffer
    }

    /// Takes back a buffer that is no longer needed.
    pub(crate) fn put_back(&self, mut buffer: BytesMut) {
        let mut spares = self.spares.borrow_mut();
        if buffer.capacity() > 0 && buffer.capacity() <= 2 * BUFFER && spares.len() < SPARES {
            buffer.clear();
            spares.push(buffer);
        }
    }

    /// The date of now, as a field value.
    pub(crate) fn date(&self) -> [u8; DATE_LENGTH] {
        *self.date.borrow_mut().now()
    }
}
