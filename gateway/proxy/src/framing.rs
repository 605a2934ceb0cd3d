//! The length of a response, and whether it has a body at all, whatever an upstream, a rule or a plugin says.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use portcullis_message::Body;

use crate::response_body::Source;

/// Makes `Content-Length` say what the body is, and takes the body away where HTTP has none: hyper would
/// write a length as it is given one, and send a body over HTTP/2 in reply to HEAD.
pub(crate) fn frame(
    method: &Method,
    status: StatusCode,
    headers: &mut HeaderMap,
    source: Source,
) -> Source {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.remove(CONTENT_LENGTH);
        without_body(source)
    } else if *method == Method::HEAD {
        announce(headers, &source);
        without_body(source)
    } else {
        correct_length(headers, source.size_hint().exact());
        source
    }
}

/// The length that a GET would have got. An upstream's is only known from what it says itself.
fn announce(headers: &mut HeaderMap, source: &Source) {
    match source {
        Source::Upstream(_) => {
            let said = headers.get(CONTENT_LENGTH).and_then(read_length);
            correct_length(headers, said);
        }
        Source::Reply(_) => {
            if let Some(length) = source.size_hint().exact() {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        Source::Tunnel(_) => {}
    }
}

/// A body that has ended already stays: the upstream's has brought its connection back.
fn without_body(source: Source) -> Source {
    if source.is_end_stream() { source } else { Source::Reply(Body::Empty) }
}

/// Leaves one field that says `length`, or none. Where there was none, whoever sends the response adds it.
fn correct_length(headers: &mut HeaderMap, length: Option<u64>) {
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = said.next() else { return };
    if said.next().is_none() && length.is_some() && read_length(first) == length {
        return;
    }
    match length {
        Some(length) => headers.insert(CONTENT_LENGTH, HeaderValue::from(length)),
        None => headers.remove(CONTENT_LENGTH),
    };
}

/// Digits only: `+5` is no length.
fn read_length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    /// The values of `Content-Length` and the length of the body that are left of a gateway's reply.
    fn framed(method: Method, status: u16, said: &[&'static str]) -> (Vec<String>, u64) {
        let mut headers = HeaderMap::new();
        for value in said {
            headers.append(CONTENT_LENGTH, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap();
        let body = Body::from(bytes::Bytes::from_static(b"hello"));
        let source = frame(&method, status, &mut headers, Source::Reply(body));
        let left = headers.get_all(CONTENT_LENGTH).iter();
        let left = left.map(|value| value.to_str().unwrap().to_owned()).collect();
        let Source::Reply(body) = source else { panic!("another source") };
        (left, body.size_hint().exact().unwrap())
    }

    #[test]
    fn the_length_is_said_once_and_right() {
        for said in [&["3"][..], &["+5"], &["5", "5"], &["5, 5"], &["5"]] {
            assert_eq!(framed(Method::GET, 200, said), (vec!["5".to_owned()], 5), "{said:?}");
        }
        assert_eq!(framed(Method::GET, 200, &[]), (vec![], 5));
    }

    #[test]
    fn where_http_has_no_body_there_is_none() {
        assert_eq!(framed(Method::HEAD, 200, &["3"]), (vec!["5".to_owned()], 0));
        assert_eq!(framed(Method::GET, 204, &["5"]), (vec![], 0));
        assert_eq!(framed(Method::POST, 304, &["5"]), (vec![], 0));
    }
}
