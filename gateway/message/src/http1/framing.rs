//! Where a message ends, and whether another may follow (RFC 9112 sections 6 and 9.3).

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Version};

use crate::http1::error::HeadError;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none, and no field says so.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks, perhaps with trailers.
    Chunked,
    /// Whatever comes before the connection ends; replies only.
    UntilClose,
}

impl Framing {
    /// Whether no byte of a body comes.
    pub fn is_empty(self) -> bool {
        matches!(self, Framing::Empty | Framing::Length(0))
    }

    /// The length where it is known.
    pub fn length(self) -> Option<u64> {
        match self {
            Framing::Empty => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        }
    }
}

/// Whether the sender keeps the connection open after this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Another message may follow.
    KeepAlive,
    /// This is the last one.
    Close,
}

/// What a client expects before it sends the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing.
    None,
    /// `100-continue`.
    Continue,
    /// Something nobody knows: 417.
    Unknown,
}

/// What the fields say of a body; `None` where they say nothing.
pub(crate) fn declared(
    headers: &HeaderMap,
    version: Version,
) -> Result<Option<Framing>, HeadError> {
    let length = content_length(headers)?;
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else {
        return Ok(length.map(Framing::Length));
    };
    if length.is_some() {
        return Err(HeadError::TwoLengths);
    }
    let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !chunked || encodings.next().is_some() || version != Version::HTTP_11 {
        return Err(HeadError::TransferEncoding);
    }
    Ok(Some(Framing::Chunked))
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (plain_number(value.as_bytes()), values.next()) {
        (Some(length), None) => Ok(Some(length)),
        (_, Some(_)) => Err(HeadError::RepeatedContentLength),
        (None, None) => Err(HeadError::ContentLength),
    }
}

/// Digits without a sign, a blank or a leading zero.
fn plain_number(text: &[u8]) -> Option<u64> {
    match text {
        [] | [b'0', _, ..] => None,
        digits => digits.iter().try_fold(0_u64, |number, digit| {
            let digit = char::from(*digit).to_digit(10)?;
            number.checked_mul(10)?.checked_add(u64::from(digit))
        }),
    }
}

/// Whether the sender keeps the connection open.
pub(crate) fn persistence(headers: &HeaderMap, version: Version) -> Persistence {
    let mut kept = version == Version::HTTP_11;
    for value in headers.get_all(CONNECTION) {
        if has_token(value, b"close") {
            return Persistence::Close;
        }
        kept |= has_token(value, b"keep-alive");
    }
    if kept { Persistence::KeepAlive } else { Persistence::Close }
}

/// What the client expects. HTTP/1.0 knows no expectations (RFC 9110 section 10.1.1).
pub(crate) fn expectation(headers: &HeaderMap, version: Version) -> Expectation {
    let mut values = headers.get_all(EXPECT).iter().peekable();
    if values.peek().is_none() || version != Version::HTTP_11 {
        Expectation::None
    } else if values.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        Expectation::Continue
    } else {
        Expectation::Unknown
    }
}

fn has_token(value: &HeaderValue, token: &[u8]) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn framing(fields: &[(&'static str, &'static str)]) -> Result<Option<Framing>, HeadError> {
        declared(&headers(fields), Version::HTTP_11)
    }

    #[test]
    fn a_length_is_plain_digits_once() {
        assert_eq!(framing(&[]), Ok(None));
        assert_eq!(framing(&[("content-length", "0")]), Ok(Some(Framing::Length(0))));
        assert_eq!(framing(&[("content-length", "42")]), Ok(Some(Framing::Length(42))));
        let largest = Ok(Some(Framing::Length(u64::MAX)));
        assert_eq!(framing(&[("content-length", "18446744073709551615")]), largest);
        for wrong in
            ["", "+5", "-5", "0001", "00", "5 5", "5,5", "0x5", "5;", "18446744073709551616", "٥"]
        {
            let value = HeaderValue::from_bytes(wrong.as_bytes()).unwrap();
            let mut fields = HeaderMap::new();
            fields.insert(CONTENT_LENGTH, value);
            let outcome = declared(&fields, Version::HTTP_11);
            assert_eq!(outcome, Err(HeadError::ContentLength), "{wrong}");
        }
        let twice = framing(&[("content-length", "5"), ("content-length", "5")]);
        assert_eq!(twice, Err(HeadError::RepeatedContentLength));
    }

    #[test]
    fn an_encoding_is_chunked_alone() {
        assert_eq!(framing(&[("transfer-encoding", "Chunked")]), Ok(Some(Framing::Chunked)));
        for wrong in ["", "gzip", "gzip, chunked", "identity", "chunked, chunked", "chunked,", "x"]
        {
            let outcome = framing(&[("transfer-encoding", wrong)]);
            assert_eq!(outcome, Err(HeadError::TransferEncoding), "{wrong}");
        }
        let twice = framing(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]);
        assert_eq!(twice, Err(HeadError::TransferEncoding));
        let old = declared(&headers(&[("transfer-encoding", "chunked")]), Version::HTTP_10);
        assert_eq!(old, Err(HeadError::TransferEncoding));
        let both = framing(&[("transfer-encoding", "chunked"), ("content-length", "5")]);
        assert_eq!(both, Err(HeadError::TwoLengths));
    }

    #[test]
    fn who_keeps_the_connection() {
        let of = |version, value| persistence(&headers(&[("connection", value)]), version);
        assert_eq!(persistence(&HeaderMap::new(), Version::HTTP_11), Persistence::KeepAlive);
        assert_eq!(persistence(&HeaderMap::new(), Version::HTTP_10), Persistence::Close);
        assert_eq!(of(Version::HTTP_11, "x, Close"), Persistence::Close);
        assert_eq!(of(Version::HTTP_10, "Keep-Alive"), Persistence::KeepAlive);
        assert_eq!(of(Version::HTTP_10, "keep-alive, close"), Persistence::Close);
    }

    #[test]
    fn only_one_expectation_is_known() {
        let of = |value| expectation(&headers(&[("expect", value)]), Version::HTTP_11);
        assert_eq!(of("100-Continue"), Expectation::Continue);
        assert_eq!(of("100-continue, x"), Expectation::Unknown);
        let old = expectation(&headers(&[("expect", "100-continue")]), Version::HTTP_10);
        assert_eq!(old, Expectation::None);
    }
}
