//! The `Cookie` field of HTTP/2, which a client may send in pieces.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

/// Puts the pieces together, as has to be done before anything but HTTP/2 sees them (RFC 9113 section 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let mut pieces = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (pieces.next(), pieces.next()) else { return };
    let mut whole = first.as_bytes().to_vec();
    for piece in std::iter::once(second).chain(pieces) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(piece.as_bytes());
    }
    // What is made of valid values is one.
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for piece in pieces {
            headers.append(COOKIE, HeaderValue::from_bytes(piece).unwrap());
        }
        join_cookies(&mut headers);
        headers.get_all(COOKIE).iter().map(|value| value.as_bytes().to_vec()).collect()
    }

    #[test]
    fn pieces_are_put_together_in_their_order() {
        assert!(joined(&[]).is_empty());
        assert_eq!(joined(&[b"a=1"]), [b"a=1"]);
        assert_eq!(joined(&[b"a=1", b"b=\xff; c=3", b"d=4"]), [b"a=1; b=\xff; c=3; d=4"]);
    }
}
