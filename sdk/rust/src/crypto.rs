//! Cryptography of the host: four to five times faster than in the module.

use crate::{HostError, host};

/// A hash function that a signature is made over.
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

/// Whether a signature (RSA PKCS#1 v1.5, or ECDSA as a DER `SEQUENCE`) over `text` was made by the owner of a public key
/// (a DER SubjectPublicKeyInfo). An error means that the host cannot tell: it lacks the function or cannot read the key.
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
    fn only_a_true_verdict_verifies() {
        assert!(read_verdict(&[8, 1]));
        assert!(!read_verdict(&[8, 0]));
        assert!(!read_verdict(&[]));
        assert!(!read_verdict(&[0x12, 1, b'x']));
    }
}
