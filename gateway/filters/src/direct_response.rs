//! A reply that the route gives itself (Istio's `HTTPDirectResponse`).

use bytes::Bytes;
use http::StatusCode;
use portcullis_message::Reply;

/// A fixed status and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// The status.
    pub status: StatusCode,
    /// The body, empty for none.
    pub body: Bytes,
}

impl DirectResponse {
    /// The reply; a body is plain text, as Envoy labels it.
    pub fn reply(&self) -> Reply {
        if self.body.is_empty() {
            Reply::status(self.status)
        } else {
            Reply::text(self.status, self.body.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_plain_text() {
        let reply = DirectResponse {
            status: StatusCode::IM_A_TEAPOT,
            body: Bytes::from_static(b"short and stout"),
        }
        .reply();
        assert_eq!(reply.headers.get("content-type").unwrap(), "text/plain");
        let reply = DirectResponse { status: StatusCode::NO_CONTENT, body: Bytes::new() }.reply();
        assert!(reply.headers.is_empty());
    }
}
