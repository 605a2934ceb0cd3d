//! HTTP/1 on the wire, read strictly and written plainly (RFC 9112): bytes in, messages out, no I/O.
//!
//! What two readers could understand differently is refused, never mended: that is what request smuggling
//! lives on.

mod body;
mod chunk;
mod date;
mod decoded;
mod encode;
mod error;
mod fields;
mod framing;
mod head;
mod limits;
mod lines;
mod names;
mod start_line;
#[cfg(test)]
mod tests;
mod trailers;

pub use body::BodyDecoder;
pub use date::{DATE_LENGTH, DateLine};
pub use decoded::Decoded;
pub use encode::{
    CHUNK_END, LAST_CHUNK, ReplyStart, add_upgrade, write_chunk_size, write_continue,
    write_interim, write_request_head, write_trailers,
};
pub use error::{FramingError, HeadError};
pub use framing::{Expectation, Framing, Persistence};
pub use head::{HeadReader, ReplyHead, RequestHead};
pub use limits::Limits;
pub use trailers::is_forbidden_trailer;
