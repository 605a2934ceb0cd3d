//! How a request's body is delimited: by what it is, not by what its head says.

use http::header::TRAILER;
use http::{HeaderMap, Method};
use http_body::Body as _;
use portcullis_message::http1::Framing;

use crate::request_body::RequestBody;

/// The framing that a body gets. What the head says of it is never sent, so that it cannot contradict.
pub(crate) fn framing_of(method: &Method, headers: &HeaderMap, body: &RequestBody) -> Framing {
    let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    match length {
        // These say so where there is no body (RFC 9110 section 8.6).
        Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => Framing::Empty,
        // Trailers come only after chunks.
        Some(length) if length == 0 || !headers.contains_key(TRAILER) => Framing::Length(length),
        _ => Framing::Chunked,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use portcullis_message::Body;

    use super::*;

    fn framing(method: Method, body: Body) -> Framing {
        framing_of(&method, &HeaderMap::new(), &RequestBody::new(body))
    }

    fn full() -> Body {
        Bytes::from_static(b"hello").into()
    }

    #[test]
    fn a_known_length_is_told() {
        assert_eq!(framing(Method::GET, full()), Framing::Length(5));
        assert_eq!(framing(Method::POST, full()), Framing::Length(5));
    }

    #[test]
    fn an_empty_post_says_so() {
        assert_eq!(framing(Method::POST, Body::Empty), Framing::Length(0));
        assert_eq!(framing(Method::DELETE, Body::Empty), Framing::Empty);
    }

    #[test]
    fn announced_trailers_make_chunks() {
        let headers = HeaderMap::from_iter([(TRAILER, "x-sum".parse().unwrap())]);
        let body = RequestBody::new(full());
        assert_eq!(framing_of(&Method::POST, &headers, &body), Framing::Chunked);
        let empty = RequestBody::new(Body::Empty);
        assert_eq!(framing_of(&Method::GET, &headers, &empty), Framing::Empty);
    }
}
