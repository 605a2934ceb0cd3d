//! Replies that the gateway makes itself.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};

/// A complete reply: a refusal, a redirect, a direct response, a plugin's local response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: StatusCode,
    /// Header fields; framing is set when it is sent.
    pub headers: HeaderMap,
    /// The body, empty for none.
    pub body: Bytes,
}

impl Reply {
    /// A status alone.
    pub fn status(status: StatusCode) -> Self {
        Reply { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A status and a line of plain text.
    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let mut reply = Reply::status(status);
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        reply.body = body.into();
        reply
    }
}
