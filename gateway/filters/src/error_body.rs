//! Bodies for the replies that the gateway makes itself, by status (kind `EdgePolicy`, `errorBodies`).

use bytes::Bytes;
use http::HeaderValue;

/// What a client is shown with one status, or with a range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    /// The first status that it is for.
    pub from: u16,
    /// The last one.
    pub to: u16,
    /// `contentType`, `text/html` unless said otherwise.
    pub content_type: HeaderValue,
    /// What is shown.
    pub body: Bytes,
}
