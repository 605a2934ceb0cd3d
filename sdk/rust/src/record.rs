//! The finished exchange as a filter's `log` sees it.

use crate::Headers;
use crate::abi::MapKind;

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
