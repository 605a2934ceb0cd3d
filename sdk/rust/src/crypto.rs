//! Cryptography: signatures by the host, four to five times faster than in the module; with the feature `pure-crypto`
//! also hashes, HMAC, ECDSA and Ed25519 inside the module, for what a host cannot do.
//!
//! What [`verify_signature`] of Envoy verifies: RSA with PKCS#1 v1.5 padding, and ECDSA on the curves P-256, P-384 and
//! P-521. What it cannot: RSA-PSS (`PS256` of tokens), Ed25519, HMAC, and ECDSA signatures that are not in DER. With
//! `pure-crypto` a module does the last three itself. RSA-PSS it cannot either: no pure-Rust RSA is safe enough to offer.

#[cfg(feature = "pure-crypto")]
mod pure;

#[cfg(feature = "pure-crypto")]
pub use pure::*;

use crate::{HostError, host};

/// A hash function that a signature is made over; see [`verify_signature`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl Hash {
    fn name(self) -> &'static str {
        match self {
            Hash::Sha256 => "sha256",
            Hash::Sha384 => "sha384",
            Hash::Sha512 => "sha512",
        }
    }
}

/// Whether two secrets are equal, in a time that depends on their lengths alone.
///
/// ```
/// use portcullis_sdk::crypto::is_equal;
///
/// assert!(is_equal(b"token", b"token"));
/// assert!(!is_equal(b"token", b"other"));
/// ```
pub fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |seen, (a, b)| seen | (a ^ b));
    // Without the barrier a compiler may end at the first difference.
    one.len() == other.len() && std::hint::black_box(differences) == 0
}

/// Whether a signature (RSA PKCS#1 v1.5, or ECDSA as a DER `SEQUENCE`) over `text` was made by the owner of a public key
/// (a DER SubjectPublicKeyInfo). An error means that the host cannot tell: it lacks the function or cannot read the key.
///
/// ```
/// use portcullis_sdk::crypto::{Hash, verify_signature};
/// # let host = portcullis_sdk::mock::Host::new();
/// // A host of the test's: every signature is right.
/// host.offer_function("verify_signature", |_| Ok(vec![8, 1]));
///
/// assert!(verify_signature(Hash::Sha256, b"key", b"signature", b"text")?);
/// # Ok::<(), portcullis_sdk::HostError>(())
/// ```
pub fn verify_signature(
    hash: Hash,
    public_key: &[u8],
    signature: &[u8],
    text: &[u8],
) -> Result<bool, HostError> {
    let size = public_key.len() + signature.len() + text.len() + 40;
    let mut arguments = Vec::with_capacity(size);
    for (field, bytes) in [(1, hash.name().as_bytes()), (2, public_key), (3, signature), (4, text)]
    {
        write_bytes_field(&mut arguments, field, bytes);
    }
    let answer = host::call_foreign_function("verify_signature", &arguments)?;
    Ok(read_verdict(&answer))
}

/// A protobuf field of bytes.
fn write_bytes_field(to: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    to.push(field << 3 | 2);
    let mut length = bytes.len();
    while length > 0x7f {
        to.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    to.push(length as u8);
    to.extend_from_slice(bytes);
}

/// The answer's field 1 is the verdict and comes first where it is true; anything else verifies nothing.
fn read_verdict(answer: &[u8]) -> bool {
    answer.starts_with(&[0x08, 0x01])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_field_has_a_length_of_several_bytes() {
        let mut bytes = Vec::new();
        write_bytes_field(&mut bytes, 4, &[7; 300]);
        assert_eq!(&bytes[..4], [0x22, 0xac, 0x02, 7]);
        assert_eq!(bytes.len(), 303);
    }

    #[test]
    fn equal_is_what_has_the_same_bytes() {
        assert!(is_equal(b"", b""));
        assert!(!is_equal(b"a", b"ab"));
        assert!(!is_equal(b"ab", b"aB"));
    }

    #[test]
    fn only_a_true_verdict_verifies() {
        assert!(read_verdict(&[8, 1]));
        assert!(!read_verdict(&[8, 0]));
        assert!(!read_verdict(&[]));
        assert!(!read_verdict(&[0x12, 1, b'x']));
    }
}
