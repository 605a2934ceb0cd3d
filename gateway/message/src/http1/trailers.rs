//! Trailers: which fields may come after a body, and reading them.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName};

use crate::http1::decoded::Decoded;
use crate::http1::error::{FramingError, HeadError};
use crate::http1::fields::{check_fields, read_fields};
use crate::http1::limits::Limits;
use crate::http1::lines::Lines;

/// Reads the trailers of a chunked body, up to the empty line that ends them.
#[derive(Debug, Default)]
pub(crate) struct TrailerReader {
    seen: usize,
}

impl TrailerReader {
    /// Trailers or the end, once they are complete. Fields that may not come last are dropped.
    pub(crate) fn read(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Decoded, FramingError> {
        if buffer.starts_with(b"\r\n") {
            let _ = buffer.split_to(2);
            return Ok(Decoded::End);
        }
        if buffer.get(self.seen..).is_some_and(|new| memchr::memchr(b'\n', new).is_some()) {
            let lines = Lines::find(buffer, limits.fields).map_err(explain)?;
            if let Some(length) = lines.whole_length() {
                return take_fields(buffer, length, &lines, limits);
            }
            check_fields(buffer, lines.iter()).map_err(explain)?;
        }
        if buffer.len() >= limits.head {
            return Err(FramingError::LargeTrailers);
        }
        self.seen = buffer.len();
        Ok(Decoded::NeedMore)
    }
}

fn take_fields(
    buffer: &mut BytesMut,
    length: usize,
    lines: &Lines,
    limits: &Limits,
) -> Result<Decoded, FramingError> {
    if length > limits.head {
        return Err(FramingError::LargeTrailers);
    }
    let head = buffer.split_to(length).freeze();
    let mut trailers = read_fields(&head, lines.iter(), lines.count(), limits).map_err(explain)?;
    remove_forbidden(&mut trailers);
    Ok(if trailers.is_empty() { Decoded::End } else { Decoded::Trailers(trailers) })
}

fn explain(error: HeadError) -> FramingError {
    match error {
        HeadError::TooLarge | HeadError::TooManyFields => FramingError::LargeTrailers,
        _ => FramingError::Trailers,
    }
}

/// Fields that decide on framing, routing, trust or the content, and so may not come after it
/// (RFC 9110 section 6.5.1).
const FORBIDDEN: [&str; 25] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "if-none-match",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// Removes what may not come in trailers.
fn remove_forbidden(trailers: &mut HeaderMap) {
    while let Some(name) = trailers.keys().find(|name| is_forbidden_trailer(name)).cloned() {
        trailers.remove(name);
    }
}

/// Whether a field may not come in trailers, in whatever version of HTTP. A name with an underscore may be read
/// as another that may not.
pub fn is_forbidden_trailer(name: &HeaderName) -> bool {
    let name = name.as_str();
    FORBIDDEN.contains(&name)
        || name.contains('_')
        || ["x-forwarded-", "x-envoy-", "x-amzn-", "x-portcullis-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
