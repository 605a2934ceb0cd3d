//! Heads over HTTP/2: a request's as the library takes it, and what a reply's is held to.

use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use http_body::Body as _;
use portcullis_message::http1::{Limits, is_forbidden_trailer};
use portcullis_message::remove_hop_by_hop;

use crate::request_body::RequestBody;

/// What a head may weigh as HPACK counts it, 32 bytes for each field beside its name and value: the limits of HTTP/1.
pub(crate) const MOST_HEADER_LIST: u32 = (Limits::REPLY.head + 32 * Limits::REPLY.fields) as u32;

/// A request's head in HTTP/2's form: the authority in the place of `Host`, nothing that concerns one connection, and
/// a length that is the body's own.
///
/// # Errors
/// Its authority or path is none that a URI can have.
pub(crate) fn request_head(
    parts: &Parts,
    length: Option<u64>,
    scheme: Scheme,
) -> Result<Request<()>, http::Error> {
    let mut headers = parts.headers.clone();
    remove_hop_by_hop(&mut headers);
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    let host = headers.remove(HOST);
    let mut uri = parts.uri.clone().into_parts();
    uri.authority = host.map(|host| Authority::try_from(host.as_bytes())).transpose()?;
    if uri.authority.is_some() {
        uri.scheme = Some(scheme);
    }
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = Uri::from_parts(uri)?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The length that a body is told to have; `None` where it is not known, or where there is none and nobody expects one.
pub(crate) fn told_length(method: &Method, body: &RequestBody) -> Option<u64> {
    match if body.is_end_stream() { Some(0) } else { body.size_hint().exact() } {
        // These say so where there is no body (RFC 9110 section 8.6).
        Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => None,
        length => length,
    }
}

/// The length that a reply says its body has; the library holds it to that.
pub(crate) fn said_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What is wrong with a reply's head beyond what the library has looked at.
pub(crate) fn check_reply(status: StatusCode, headers: &HeaderMap) -> Result<(), &'static str> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        Err("the reply switches protocols, which HTTP/2 has no way for")
    } else if headers.len() > Limits::REPLY.fields {
        Err("the reply's head has too many fields")
    } else {
        Ok(())
    }
}

/// Trailers without the fields that may not come last.
pub(crate) fn allowed_trailers(mut trailers: HeaderMap) -> HeaderMap {
    let forbidden = |name: &&http::HeaderName| is_forbidden_trailer(name);
    let names: Vec<_> = trailers.keys().filter(forbidden).cloned().collect();
    names.iter().for_each(|name| {
        trailers.remove(name);
    });
    trailers
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use portcullis_message::Body;

    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::get("/a?b=c");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_authority_stands_in_the_place_of_host() {
        let parts = head(&[("host", "shop.example:8080"), ("te", "trailers"), ("upgrade", "h2c")]);
        let request = request_head(&parts, None, Scheme::HTTP).unwrap();
        assert_eq!(request.uri(), "http://shop.example:8080/a?b=c");
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()["te"], "trailers");
        // Whatever a client may say: a failure here would be held against the endpoint.
        for host in ["a.", "a:", "a.:80", "[::1]:80", "[::1]", "1.2.3.4:", "x_y.a"] {
            assert!(request_head(&head(&[("host", host)]), None, Scheme::HTTP).is_ok(), "{host}");
        }
    }

    #[test]
    fn the_length_is_the_bodys_own() {
        let parts =
            head(&[("host", "a"), ("content-length", "7"), ("transfer-encoding", "chunked")]);
        let request = request_head(&parts, Some(5), Scheme::HTTPS).unwrap();
        assert_eq!(request.headers()["content-length"], "5");
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.uri().scheme_str(), Some("https"));
        let unknown = request_head(&parts, None, Scheme::HTTP).unwrap();
        assert!(unknown.headers().is_empty());
    }

    #[test]
    fn who_says_that_there_is_no_body() {
        let none = RequestBody::new(Body::Empty);
        assert_eq!(told_length(&Method::GET, &none), None);
        assert_eq!(told_length(&Method::POST, &none), Some(0));
        let some = RequestBody::new(Bytes::from_static(b"hello").into());
        assert_eq!(told_length(&Method::GET, &some), Some(5));
    }

    #[test]
    fn trailers_lose_what_may_not_come_last() {
        let mut trailers = HeaderMap::new();
        for name in ["grpc-status", "content-length", "host", "x-forwarded-for"] {
            trailers.insert(name, http::HeaderValue::from_static("0"));
        }
        let kept = allowed_trailers(trailers);
        assert_eq!(kept.len(), 1);
        assert!(kept.contains_key("grpc-status"));
    }
}
