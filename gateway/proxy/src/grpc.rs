//! The gateway's own replies to gRPC clients: a status and a message in the head, and nothing after it
//! ("trailers-only"), as gRPC over HTTP/2 asks for and Envoy does.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use portcullis_exchange::Exchange;
use portcullis_message::Reply;

/// `grpc-status`
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// `grpc-message`
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// No longer text goes into a head.
const LONGEST_MESSAGE: usize = 1024;

/// Whether a reply of our own has to be one that a gRPC client understands. A 200 to CONNECT would say more.
pub(crate) fn asks_by_grpc(exchange: &Exchange) -> bool {
    exchange.request.is_grpc()
        && exchange.upgrade.is_none()
        && exchange.request.method != Method::CONNECT
}

/// The same reply for a gRPC client. A `grpc-status` that it has already stays.
pub(crate) fn trailers_only(mut reply: Reply) -> Reply {
    let status = HeaderValue::from(grpc_status(reply.status));
    reply.headers.remove(CONTENT_LENGTH);
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    reply.headers.entry(GRPC_STATUS).or_insert(status);
    if let Some(message) = grpc_message(&reply.body) {
        reply.headers.entry(GRPC_MESSAGE).or_insert(message);
    }
    Reply { status: StatusCode::OK, headers: reply.headers, body: Bytes::new() }
}

/// gRPC's own table, "HTTP to gRPC Status Code Mapping".
pub(crate) fn grpc_status(status: StatusCode) -> u16 {
    const UNKNOWN: u16 = 2;
    const PERMISSION_DENIED: u16 = 7;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// A text as gRPC escapes it: `%` and everything outside printable ASCII; `None` for none.
fn grpc_message(text: &[u8]) -> Option<HeaderValue> {
    let text = text.get(..LONGEST_MESSAGE).unwrap_or(text).trim_ascii();
    let mut escaped = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b' '..=b'~' if *byte != b'%' => escaped.push(char::from(*byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::from_str(&escaped).ok().filter(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapping_of_grpc() {
        for (status, grpc) in [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (429, 14),
            (502, 14),
            (503, 14),
            (504, 14),
            (500, 2),
            (405, 2),
            (413, 2),
            (200, 2),
        ] {
            assert_eq!(grpc_status(StatusCode::from_u16(status).unwrap()), grpc, "{status}");
        }
    }

    #[test]
    fn text_becomes_a_message() {
        let reply = trailers_only(Reply::text(StatusCode::FORBIDDEN, "100 % für\nuns\n"));
        assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 0));
        assert_eq!(reply.headers["content-type"], "application/grpc");
        assert_eq!(reply.headers["grpc-status"], "7");
        assert_eq!(reply.headers["grpc-message"], "100 %25 f%C3%BCr%0Auns");
        let long = trailers_only(Reply::text(StatusCode::FORBIDDEN, "x".repeat(100_000)));
        assert_eq!(long.headers["grpc-message"].len(), LONGEST_MESSAGE);
    }

    #[test]
    fn a_status_of_its_own_stays() {
        let mut reply = Reply::status(StatusCode::TOO_MANY_REQUESTS);
        reply.headers.insert(GRPC_STATUS, HeaderValue::from_static("8"));
        let reply = trailers_only(reply);
        assert_eq!(reply.headers["grpc-status"], "8");
        assert!(!reply.headers.contains_key("grpc-message"));
    }
}
