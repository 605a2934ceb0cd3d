//! Verifying signatures over a public key in DER, as Proxy-Wasm's foreign function `verify_signature` does.

use std::fmt;

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

/// A hash function that a signature is made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, for RSA keys only and for what cannot be changed any more.
    Sha1,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl Hash {
    /// The function of a name such as `sha256`, in any case, as Envoy names them.
    pub fn named(name: &str) -> Option<Self> {
        [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512]
            .into_iter()
            .find(|hash| hash.as_str().eq_ignore_ascii_case(name))
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Hash::Sha1 => "sha1",
            Hash::Sha256 => "sha256",
            Hash::Sha384 => "sha384",
            Hash::Sha512 => "sha512",
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a signature was not even checked, or is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The public key is no SubjectPublicKeyInfo of a kind known here.
    #[error("the public key is not a DER SubjectPublicKeyInfo of an RSA or EC key")]
    Key,
    /// The kind of key and the hash do not go together.
    #[error("this kind of key does not go with this hash function")]
    Hash,
    /// It does not verify.
    #[error("the signature does not match")]
    Mismatch,
}

/// Checks a signature over `text` with a public key, a DER SubjectPublicKeyInfo: PKCS#1 v1.5 for an RSA key
/// of 2048 to 8192 bits, ECDSA in DER form for an EC key on P-256, P-384 or P-521. The key alone decides
/// which, never the caller or the signature.
pub fn verify_signature(
    hash: Hash,
    public_key: &[u8],
    signature: &[u8],
    text: &[u8],
) -> Result<(), SignatureError> {
    let (kind, key) = read_key(public_key).ok_or(SignatureError::Key)?;
    let algorithm = algorithm(kind, hash).ok_or(SignatureError::Hash)?;
    UnparsedPublicKey::new(algorithm, key)
        .verify(text, signature)
        .map_err(|_| SignatureError::Mismatch)
}

/// The same with the hash that signers take for such a key: SHA-256, and that of its curve.
pub(crate) fn verify_by_own_hash(
    public_key: &[u8],
    signature: &[u8],
    text: &[u8],
) -> Result<(), SignatureError> {
    let (kind, _) = read_key(public_key).ok_or(SignatureError::Key)?;
    let of_curve = match kind {
        KeyKind::Rsa | KeyKind::P256 => Hash::Sha256,
        KeyKind::P384 => Hash::Sha384,
        KeyKind::P521 => Hash::Sha512,
    };
    verify_signature(of_curve, public_key, signature, text)
        .or_else(|_| verify_signature(Hash::Sha256, public_key, signature, text))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
    P384,
    P521,
}

fn algorithm(kind: KeyKind, hash: Hash) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (kind, hash) {
        (KeyKind::Rsa, Hash::Sha1) => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (KeyKind::Rsa, Hash::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa, Hash::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa, Hash::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::P256, Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (KeyKind::P256, Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (KeyKind::P256, Hash::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
        (KeyKind::P384, Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (KeyKind::P384, Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (KeyKind::P384, Hash::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
        (KeyKind::P521, Hash::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
        (KeyKind::P521, Hash::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
        (KeyKind::P521, Hash::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
        (KeyKind::P256 | KeyKind::P384 | KeyKind::P521, Hash::Sha1) => return None,
    })
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
/// 1.2.840.10045.2.1
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";

/// The kind of a SubjectPublicKeyInfo, and the key in it: an RSAPublicKey, or a point.
fn read_key(info: &[u8]) -> Option<(KeyKind, &[u8])> {
    let (info, []) = element(info, SEQUENCE)? else { return None };
    let (algorithm, rest) = element(info, SEQUENCE)?;
    let (bits, []) = element(rest, BIT_STRING)? else { return None };
    let (0, key) = bits.split_first()? else { return None };
    let (object, parameters) = element(algorithm, OBJECT_ID)?;
    let kind = match object {
        RSA => KeyKind::Rsa,
        EC => match element(parameters, OBJECT_ID)? {
            // 1.2.840.10045.3.1.7, 1.3.132.0.34, 1.3.132.0.35
            (b"\x2a\x86\x48\xce\x3d\x03\x01\x07", []) => KeyKind::P256,
            (b"\x2b\x81\x04\x00\x22", []) => KeyKind::P384,
            (b"\x2b\x81\x04\x00\x23", []) => KeyKind::P521,
            _ => return None,
        },
        _ => return None,
    };
    Some((kind, key))
}

/// The contents of a DER element with a tag, and what follows it. Lengths of at most four bytes.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair, RsaKeyPair};

    use super::*;

    const TEXT: &[u8] = b"header.payload";

    /// A public key in DER and a signature over the text.
    struct Signed {
        key: Vec<u8>,
        signature: Vec<u8>,
    }

    fn rsa(padding: &'static dyn signature::RsaEncoding) -> Signed {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(padding, &SystemRandom::new(), TEXT, &mut signature).unwrap();
        Signed { key: pair.public_key().as_der().unwrap().as_ref().to_vec(), signature }
    }

    fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm) -> Signed {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let signature = pair.sign(&SystemRandom::new(), TEXT).unwrap().as_ref().to_vec();
        Signed { key: pair.public_key().as_der().unwrap().as_ref().to_vec(), signature }
    }

    fn check(hash: Hash, signed: &Signed) {
        let Signed { key, signature } = signed;
        assert_eq!(verify_signature(hash, key, signature, TEXT), Ok(()));
        let other = verify_signature(hash, key, signature, b"header.payloae");
        assert_eq!(other, Err(SignatureError::Mismatch));
        let mut spoilt = signature.clone();
        *spoilt.last_mut().unwrap() ^= 1;
        let spoilt = verify_signature(hash, key, &spoilt, TEXT);
        assert_eq!(spoilt, Err(SignatureError::Mismatch));
        assert_eq!(verify_signature(hash, key, b"", TEXT), Err(SignatureError::Mismatch));
    }

    #[test]
    fn rsa_signatures_verify_with_their_hash_alone() {
        let signed = rsa(&signature::RSA_PKCS1_SHA256);
        check(Hash::Sha256, &signed);
        let other = verify_signature(Hash::Sha384, &signed.key, &signed.signature, TEXT);
        assert_eq!(other, Err(SignatureError::Mismatch));
        check(Hash::Sha512, &rsa(&signature::RSA_PKCS1_SHA512));
    }

    #[test]
    fn ecdsa_signatures_verify_on_each_curve() {
        let p256 = ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING);
        check(Hash::Sha256, &p256);
        check(Hash::Sha384, &ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING));
        check(Hash::Sha512, &ecdsa(&signature::ECDSA_P521_SHA512_ASN1_SIGNING));
        let weak = verify_signature(Hash::Sha1, &p256.key, &p256.signature, TEXT);
        assert_eq!(weak, Err(SignatureError::Hash));
    }

    #[test]
    fn a_key_cut_anywhere_is_refused_and_never_panics() {
        let signed = ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING);
        for end in 0..signed.key.len() {
            let cut = signed.key.get(..end).unwrap();
            let result = verify_signature(Hash::Sha256, cut, &signed.signature, TEXT);
            assert_eq!(result, Err(SignatureError::Key));
        }
        let mut longer = signed.key.clone();
        longer.push(0);
        let result = verify_signature(Hash::Sha256, &longer, &signed.signature, TEXT);
        assert_eq!(result, Err(SignatureError::Key));
    }

    #[test]
    fn hash_functions_have_envoys_names() {
        assert_eq!(Hash::named("SHA256"), Some(Hash::Sha256));
        assert_eq!(Hash::named("sha512"), Some(Hash::Sha512));
        assert_eq!(Hash::named("md5"), None);
    }
}
