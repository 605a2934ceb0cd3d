//! Header maps as a guest hands them over.

use portcullis_wasm::{decode_pairs, encode_pairs};

/// Bytes are refused, or are the one form of the pairs that they stand for.
pub(crate) fn run(input: &[u8]) {
    let Ok(pairs) = decode_pairs(input) else { return };
    if input.is_empty() || input == [0] {
        assert!(pairs.is_empty());
        return;
    }
    assert_eq!(encode_pairs(&pairs), input, "encoding gives other bytes");
}
