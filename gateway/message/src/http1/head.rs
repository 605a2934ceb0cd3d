//! Reading a message head: the request or status line and the fields.

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, Uri};

use crate::http1::error::HeadError;
use crate::http1::fields::{check_fields, read_fields};
use crate::http1::framing::{
    Expectation, Framing, Persistence, declared, expectation, persistence,
};
use crate::http1::limits::Limits;
use crate::http1::lines::Lines;
use crate::http1::start_line::{read_request_line, read_status_line};

/// The head of a request.
#[derive(Debug)]
pub struct RequestHead {
    /// Method, target, version and fields, as they came.
    pub request: Request<()>,
    /// Where its body ends; never [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether the client keeps the connection open.
    pub persistence: Persistence,
    /// What the client expects before it sends the body.
    pub expectation: Expectation,
}

/// The head of a reply; of an interim one too, whose framing is [`Framing::Empty`].
#[derive(Debug)]
pub struct ReplyHead {
    /// Status, version and fields, as they came.
    pub response: Response<()>,
    /// Where its body ends.
    pub framing: Framing,
    /// Whether the upstream keeps the connection open; never after [`Framing::UntilClose`].
    pub persistence: Persistence,
}

/// Reads the heads of one connection. It remembers how far it looked, so that a head that comes byte by byte
/// is not read anew for each of them.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// How much of the buffer was looked at without finding an end.
    seen: usize,
}

impl HeadReader {
    /// Takes a request head off the front of a buffer; `None` where it is not complete yet. Field values
    /// share the buffer's memory. Empty lines before it are dropped (RFC 9112 section 2.2).
    pub fn request(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<RequestHead>, HeadError> {
        self.drop_empty_lines(buffer);
        let Some((head, lines)) =
            self.take(buffer, limits, |line| read_request_line(line).map(drop))?
        else {
            return self.wait(buffer, limits);
        };
        let mut places = lines.iter();
        let line = places.next().unwrap_or_default();
        let line = read_request_line(head.get(line).unwrap_or_default())?;
        let headers = read_fields(&head, places, lines.count().saturating_sub(1), limits)?;
        let version = line.version;
        let framing = declared(&headers, version)?.unwrap_or(Framing::Empty);
        let (persistence, expectation) =
            (persistence(&headers, version), expectation(&headers, version));
        let mut request = Request::new(());
        let target = Uri::from_maybe_shared(head.slice(line.target));
        *request.uri_mut() = target.map_err(|_| HeadError::Target)?;
        *request.method_mut() = line.method;
        *request.version_mut() = version;
        *request.headers_mut() = headers;
        Ok(Some(RequestHead { request, framing, persistence, expectation }))
    }

    /// Takes a reply head off the front of a buffer; `None` where it is not complete yet. `method` is that of
    /// the request. Interim replies (1xx) are returned like any other: the caller reads on.
    pub fn reply(
        &mut self,
        buffer: &mut BytesMut,
        method: &Method,
        limits: &Limits,
    ) -> Result<Option<ReplyHead>, HeadError> {
        let Some((head, lines)) =
            self.take(buffer, limits, |line| read_status_line(line).map(drop))?
        else {
            return self.wait(buffer, limits);
        };
        let mut places = lines.iter();
        let line = places.next().unwrap_or_default();
        let (version, status) = read_status_line(head.get(line).unwrap_or_default())?;
        let headers = read_fields(&head, places, lines.count().saturating_sub(1), limits)?;
        let declared = declared(&headers, version)?;
        let framing = if has_no_body(status, method) {
            Framing::Empty
        } else {
            declared.unwrap_or(Framing::UntilClose)
        };
        let persistence = match framing {
            Framing::UntilClose => Persistence::Close,
            _ => persistence(&headers, version),
        };
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.version_mut() = version;
        *response.headers_mut() = headers;
        Ok(Some(ReplyHead { response, framing, persistence }))
    }

    fn drop_empty_lines(&mut self, buffer: &mut BytesMut) {
        while buffer.starts_with(b"\r\n") {
            let _ = buffer.split_to(2);
            self.seen = 0;
        }
    }

    /// Takes the head off the buffer, once it is complete. What can belong to none is refused with its line.
    fn take(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
        check_start: impl FnOnce(&[u8]) -> Result<(), HeadError>,
    ) -> Result<Option<(Bytes, Lines)>, HeadError> {
        if buffer.get(self.seen..).is_none_or(|new| memchr::memchr(b'\n', new).is_none()) {
            return Ok(None);
        }
        let lines = Lines::find(buffer, limits.fields + 1)?;
        let Some(length) = lines.whole_length() else {
            let mut places = lines.iter();
            check_start(buffer.get(places.next().unwrap_or_default()).unwrap_or_default())?;
            return check_fields(buffer, places).map(|()| None);
        };
        if lines.iter().next().is_some_and(|start| start.len() > limits.line) {
            return Err(HeadError::LongLine);
        }
        if length > limits.head {
            return Err(HeadError::TooLarge);
        }
        self.seen = 0;
        Ok(Some((buffer.split_to(length).freeze(), lines)))
    }

    /// Waits for more, unless there is too much already.
    fn wait<T>(&mut self, buffer: &[u8], limits: &Limits) -> Result<Option<T>, HeadError> {
        self.seen = buffer.len();
        if buffer.len() > limits.line && !buffer.iter().take(limits.line).any(|b| *b == b'\n') {
            return Err(HeadError::LongLine);
        }
        if buffer.len() >= limits.head {
            return Err(HeadError::TooLarge);
        }
        Ok(None)
    }
}

/// Replies that end with their head, whatever their fields say (RFC 9112 section 6.3).
fn has_no_body(status: StatusCode, method: &Method) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || *method == Method::HEAD
}
