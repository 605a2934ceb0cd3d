//! The fields of a head: where they lie in the buffer, and the map made of them without copying a value.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use httparse::Header;
use smallvec::SmallVec;

use crate::http1::error::HeadError;
use crate::http1::limits::Limits;

/// Part of a head, by offsets from its first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// Where `part` lies in `whole`, from which it was cut.
    pub(crate) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        Span { start, end: start + part.len() }
    }

    fn bytes(self, head: &[u8]) -> &[u8] {
        head.get(self.start..self.end).unwrap_or_default()
    }

    /// The same part of the shared head.
    pub(crate) fn slice(self, head: &Bytes) -> Bytes {
        // An empty slice of shared bytes would still hold on to them.
        if self.start >= self.end || self.end > head.len() {
            return Bytes::new();
        }
        head.slice(self.start..self.end)
    }
}

/// The name and the value of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    name: Span,
    value: Span,
}

/// The fields of a head; most heads have fewer than these.
pub(crate) type Fields = SmallVec<[Field; 24]>;

/// Notes where the fields lie in `head`.
pub(crate) fn locate(
    head: &[u8],
    headers: &[Header<'_>],
    limits: &Limits,
) -> Result<Fields, HeadError> {
    if headers.len() > limits.fields {
        return Err(HeadError::TooManyFields);
    }
    let mut fields = Fields::with_capacity(headers.len());
    for header in headers {
        if header.name.len() + header.value.len() > limits.field {
            return Err(HeadError::TooLarge);
        }
        let name = Span::of(header.name.as_bytes(), head);
        fields.push(Field { name, value: Span::of(header.value, head) });
    }
    Ok(fields)
}

/// Refuses lines that end in a bare line feed, which httparse lets pass. `lines` is how many there are.
pub(crate) fn check_lines(head: &[u8], lines: usize) -> Result<(), HeadError> {
    // httparse takes a carriage return nowhere but before a line feed.
    let returns = memchr::memchr_iter(b'\r', head).count();
    if returns == lines { Ok(()) } else { Err(HeadError::BareLineFeed) }
}

/// The map of the fields; its values share the memory of `head`.
pub(crate) fn collect(head: &Bytes, fields: &[Field]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.bytes(head));
        let value = HeaderValue::from_maybe_shared(field.value.slice(head));
        let (Ok(name), Ok(value)) = (name, value) else { return Err(HeadError::Malformed) };
        headers.append(name, value);
    }
    Ok(headers)
}
