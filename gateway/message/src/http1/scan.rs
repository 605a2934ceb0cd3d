//! Finding the parts of a head in a buffer, by httparse, and refusing what httparse lets pass.

use std::mem::MaybeUninit;

use http::{Method, StatusCode, Version};
use httparse::{Header, ParserConfig, Status};

use crate::http1::error::HeadError;
use crate::http1::fields::{Fields, Span, check_lines, locate};
use crate::http1::limits::Limits;

/// A request head in a buffer.
pub(crate) struct ScannedRequest {
    pub(crate) length: usize,
    pub(crate) method: Method,
    pub(crate) target: Span,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
}

/// A reply head in a buffer.
pub(crate) struct ScannedReply {
    pub(crate) length: usize,
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
}

/// Room for the fields of one head.
type Room<'a> = [MaybeUninit<Header<'a>>; Limits::MOST_FIELDS];

/// Finds a request head at the front of a buffer; `None` where it is not complete.
pub(crate) fn scan_request(
    buffer: &[u8],
    limits: &Limits,
) -> Result<Option<ScannedRequest>, HeadError> {
    check_beginning(buffer)?;
    let mut room: Room<'_> = [const { MaybeUninit::uninit() }; Limits::MOST_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(buffer, &mut room) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(explain(error, buffer)),
    };
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    if method.len() + target.len() + " HTTP/1.1".len() + 1 > limits.line {
        return Err(HeadError::LongLine);
    }
    check_whole(buffer, length, request.headers.len(), limits)?;
    // `Uri` would cut it off without a word.
    if memchr::memchr(b'#', target.as_bytes()).is_some() {
        return Err(HeadError::Fragment);
    }
    Ok(Some(ScannedRequest {
        length,
        method: Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Malformed)?,
        target: Span::of(target.as_bytes(), buffer),
        version: version(request.version),
        fields: locate(buffer, request.headers, limits)?,
    }))
}

/// Finds a reply head at the front of a buffer; `None` where it is not complete.
pub(crate) fn scan_reply(
    buffer: &[u8],
    limits: &Limits,
) -> Result<Option<ScannedReply>, HeadError> {
    check_beginning(buffer)?;
    let mut room: Room<'_> = [const { MaybeUninit::uninit() }; Limits::MOST_FIELDS];
    let mut reply = httparse::Response::new(&mut []);
    let parser = ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut reply, buffer, &mut room) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(explain(error, buffer)),
    };
    check_whole(buffer, length, reply.headers.len(), limits)?;
    Ok(Some(ScannedReply {
        length,
        status: StatusCode::from_u16(reply.code.unwrap_or(0)).map_err(|_| HeadError::Malformed)?,
        version: version(reply.version),
        fields: locate(buffer, reply.headers, limits)?,
    }))
}

/// httparse drops line ends before a head, bare ones too. Those that may be there are gone by now.
fn check_beginning(buffer: &[u8]) -> Result<(), HeadError> {
    if buffer.first() == Some(&b'\n') { Err(HeadError::BareLineFeed) } else { Ok(()) }
}

fn check_whole(
    buffer: &[u8],
    length: usize,
    fields: usize,
    limits: &Limits,
) -> Result<(), HeadError> {
    if length > limits.head {
        return Err(HeadError::TooLarge);
    }
    // The start line and the empty one that ends the head.
    check_lines(buffer.get(..length).unwrap_or_default(), fields + 2)
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 }
}

fn explain(error: httparse::Error, buffer: &[u8]) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version if names_version(buffer) => HeadError::Version,
        _ => HeadError::Malformed,
    }
}

/// Whether the request line is one but for its version; HTTP/0.9 has none.
fn names_version(buffer: &[u8]) -> bool {
    let line = buffer.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ').skip(2);
    match (parts.next(), parts.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', digit, ..]), None) => digit.is_ascii_digit(),
        _ => false,
    }
}
