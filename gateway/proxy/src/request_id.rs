//! `x-request-id`: a random UUID (RFC 9562, version 4) for every request from outside.

use bytes::Bytes;
use http::HeaderValue;

use crate::random::Random;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A new id.
pub(crate) fn new_request_id(random: &Random) -> HeaderValue {
    let mut text = Vec::with_capacity(36);
    let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    for position in (0..32).rev() {
        let digit = (bits >> (position * 4)) as usize & 0xf;
        text.push(HEX.get(digit).copied().unwrap_or(b'0'));
        if matches!(position, 24 | 20 | 16 | 12) {
            text.push(b'-');
        }
    }
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_version_4_uuid() {
        let random = Random::seeded();
        let id = new_request_id(&random);
        let id = id.to_str().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_ne!(new_request_id(&random), id);
    }
}
