//! `verify_signature`: a byte for the hash, then key, signature and text, each behind its length in two
//! bytes.

use portcullis_crypto::{Hash, verify_signature};

/// Keys and signatures of every shape are refused, or hold for their text alone.
pub(crate) fn run(input: &[u8]) {
    let Some((hash, rest)) = input.split_first() else { return };
    let hashes = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];
    let Some(hash) = hashes.get(usize::from(hash % 4)) else { return };
    let (key, rest) = take(rest);
    let (signature, rest) = take(rest);
    let (text, _) = take(rest);
    if verify_signature(*hash, key, signature, text).is_ok() {
        let another = [text, b"."].concat();
        assert!(verify_signature(*hash, key, signature, &another).is_err());
    }
}

fn take(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return (&[], &[]) };
    rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()))
}
