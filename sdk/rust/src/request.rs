//! What each callback is given: the request, the response, the finished exchange.

use std::borrow::Cow;

use crate::Headers;
use crate::abi::MapKind;

/// Whether a body follows the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// There is, or may be, a body.
    Follows,
    /// The message ends with its headers.
    None,
}

/// A request whose headers have arrived.
#[derive(Debug)]
pub struct Request {
    headers: Headers,
    body: Body,
}

impl Request {
    pub(crate) fn new(body: Body) -> Self {
        Request { headers: Headers::new(MapKind::RequestHeaders), body }
    }

    /// Its headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Its headers, to change.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The method.
    pub fn method(&self) -> Option<Cow<'_, str>> {
        self.headers.first_text(":method")
    }

    /// The path with its query.
    pub fn path(&self) -> Option<Cow<'_, str>> {
        self.headers.first_text(":path")
    }

    /// The host that the client asked for.
    pub fn authority(&self) -> Option<Cow<'_, str>> {
        self.headers.first_text(":authority")
    }

    /// Whether the request ends with its headers.
    pub fn is_bodiless(&self) -> bool {
        self.body == Body::None
    }
}

/// A response whose headers have arrived.
#[derive(Debug)]
pub struct Response {
    headers: Headers,
    request_headers: Headers,
    body: Body,
}

impl Response {
    pub(crate) fn new(body: Body) -> Self {
        Response {
            headers: Headers::new(MapKind::ResponseHeaders),
            request_headers: Headers::new(MapKind::RequestHeaders),
            body,
        }
    }

    /// Its headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Its headers, to change.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The request's headers, to read. Envoy has them no more at this point (they read as empty there): what a filter
    /// needs, it keeps in its state.
    pub fn request_headers(&self) -> &Headers {
        &self.request_headers
    }

    /// The status; None where the host gives no number.
    pub fn status(&self) -> Option<u16> {
        self.headers.first_text(":status")?.parse().ok()
    }

    /// Whether the response ends with its headers.
    pub fn is_bodiless(&self) -> bool {
        self.body == Body::None
    }
}

/// A finished exchange, about to be logged. Everything is read-only; see also [`crate::property`].
#[derive(Debug)]
pub struct Record {
    request_headers: Headers,
    response_headers: Headers,
}

impl Record {
    pub(crate) fn new() -> Self {
        Record {
            request_headers: Headers::new(MapKind::RequestHeaders),
            response_headers: Headers::new(MapKind::ResponseHeaders),
        }
    }

    /// The request's headers, as sent upstream.
    pub fn request_headers(&self) -> &Headers {
        &self.request_headers
    }

    /// The response's headers, as sent to the client.
    pub fn response_headers(&self) -> &Headers {
        &self.response_headers
    }
}
