//! The proofs of a WebSocket handshake (RFC 6455 section 4): no secret, only a sign that both sides mean it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::random::fill_random;

/// A value for `Sec-WebSocket-Key`; `None` where the system has no random bytes.
pub fn websocket_key() -> Option<String> {
    let mut key = [0; 16];
    fill_random(&mut key).then(|| STANDARD.encode(key))
}

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
pub fn websocket_accept(key: &str) -> String {
    let joined = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, joined.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_differ() {
        let (one, other) = (websocket_key().unwrap(), websocket_key().unwrap());
        assert_eq!((one.len(), other.len()), (24, 24));
        assert_ne!(one, other);
    }
}
