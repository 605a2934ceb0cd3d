//! Digests and message authentication codes by the name of their hash function.

use aws_lc_rs::{digest, hmac};

use crate::Hash;

/// The digest of bytes.
pub fn digest_of(hash: Hash, bytes: &[u8]) -> Vec<u8> {
    let algorithm = match hash {
        Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    };
    digest::digest(algorithm, bytes).as_ref().to_vec()
}

/// The HMAC of bytes (RFC 2104).
pub fn hmac_of(hash: Hash, key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let algorithm = match hash {
        Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha384 => hmac::HMAC_SHA384,
        Hash::Sha512 => hmac::HMAC_SHA512,
    };
    hmac::sign(&hmac::Key::new(algorithm, key), bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    #[test]
    fn known_values_come_out() {
        assert!(hex(&digest_of(Hash::Sha512, b"")).starts_with("cf83e1357eefb8bd"));
        assert!(hex(&digest_of(Hash::Sha384, b"")).starts_with("38b060a751ac9638"));
        // RFC 4231, test case 2.
        let code = hmac_of(Hash::Sha256, b"Jefe", b"what do ya want for nothing?");
        assert!(hex(&code).starts_with("5bdcc146bf60754e"));
    }
}
