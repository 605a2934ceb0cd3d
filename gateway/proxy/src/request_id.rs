//! `x-request-id`: a random UUID (RFC 9562, version 4) for every request from outside.

use http::HeaderValue;
use portcullis_upstream::draw;

/// The two digits of every byte.
const DIGITS: [[u8; 2]; 256] = digits();

/// Where each byte's digits stand, between the hyphens.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// A new id. It is unique, not secret.
pub(crate) fn new_request_id() -> HeaderValue {
    let bits = (u128::from(draw()) << 64) | u128::from(draw());
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let mut text = [b'-'; 36];
    for (byte, place) in bits.to_be_bytes().into_iter().zip(PLACES) {
        if let (Some(pair), Some(digits)) =
            (text.get_mut(place..place + 2), DIGITS.get(usize::from(byte)))
        {
            pair.copy_from_slice(digits);
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[expect(clippy::indexing_slicing, reason = "it runs in the compiler, and `get` does not")]
const fn digits() -> [[u8; 2]; 256] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [HEX[byte >> 4], HEX[byte & 0xf]];
        byte += 1;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_version_4_uuid() {
        let id = new_request_id();
        let text = id.to_str().unwrap();
        let groups: Vec<&str> = text.split('-').collect();
        assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(groups.iter().all(|group| u64::from_str_radix(group, 16).is_ok()), "{text}");
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_ne!(new_request_id(), id);
    }

    #[test]
    fn digits_are_those_of_the_byte() {
        for byte in 0..=255_u8 {
            assert_eq!(DIGITS[usize::from(byte)], *format!("{byte:02x}").as_bytes());
        }
    }
}
