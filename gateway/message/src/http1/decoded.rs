//! What reading a body yields.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

/// What the front of a buffer turned out to be.
#[derive(Debug, PartialEq)]
pub enum Decoded {
    /// Bytes of the body, never none. They share the buffer's memory.
    Data(Bytes),
    /// The trailers; the body has ended.
    Trailers(HeaderMap),
    /// The body has ended; what is left in the buffer is not its.
    End,
    /// The buffer has nothing more of the body: read on.
    NeedMore,
}

/// Up to `most` bytes off the front of a buffer.
pub(crate) fn take(buffer: &mut BytesMut, most: u64) -> Decoded {
    if buffer.is_empty() {
        return Decoded::NeedMore;
    }
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
    Decoded::Data(buffer.split_to(length).freeze())
}
