//! Public keys that vouch for plugins: PEM in, one verdict out.

use std::fmt;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use crate::signature::{SignatureError, verify_by_own_hash};
use crate::{hex, sha256};

/// The head of an Ed25519 SubjectPublicKeyInfo (RFC 8410); the key's 32 bytes follow.
const ED25519_HEAD: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// An ECDSA (P-256, P-384, P-521), Ed25519 or RSA (2048 to 8192 bits) public key. Equal where the key is.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    der: Vec<u8>,
}

impl PublicKey {
    /// Reads one `PUBLIC KEY` section of PEM.
    ///
    /// # Errors
    /// There is none, or its kind is not known here.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignatureError> {
        let info = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| SignatureError::Key)?;
        Self::from_der(info.as_ref())
    }

    /// Reads every `PUBLIC KEY` section of PEM; each one has to be usable.
    ///
    /// # Errors
    /// There is none, or one of a kind that is not known here.
    pub fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, SignatureError> {
        let keys: Vec<Self> = SubjectPublicKeyInfoDer::pem_slice_iter(pem)
            .map(|info| Self::from_der(info.map_err(|_| SignatureError::Key)?.as_ref()))
            .collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(SignatureError::Key) } else { Ok(keys) }
    }

    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// It is none, or of a kind that is not known here.
    pub fn from_der(info: &[u8]) -> Result<Self, SignatureError> {
        let key = PublicKey { der: info.to_vec() };
        if key.ed25519().is_some() {
            return Ok(key);
        }
        // Whatever is known finds that an empty signature does not match.
        match verify_by_own_hash(info, b"", b"") {
            Err(SignatureError::Mismatch) => Ok(key),
            _ => Err(SignatureError::Key),
        }
    }

    /// Checks a signature over `text`: ECDSA in DER form and RSA by PKCS#1 v1.5, with SHA-256 or the hash that belongs
    /// to the curve.
    ///
    /// # Errors
    /// It does not match.
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match self.ed25519() {
            Some(key) => UnparsedPublicKey::new(&ED25519, key)
                .verify(text, signature)
                .map_err(|_| SignatureError::Mismatch),
            None => verify_by_own_hash(&self.der, signature, text),
        }
    }

    /// The SHA-256 of its DER, in hex: tells keys apart.
    pub fn fingerprint(&self) -> String {
        hex(&sha256(&self.der))
    }

    fn ed25519(&self) -> Option<&[u8]> {
        self.der.strip_prefix(ED25519_HEAD).filter(|key| key.len() == 32)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair,
    };
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    #[test]
    fn each_kind_of_key_verifies_its_own_signatures_alone() {
        let ed25519 = Ed25519KeyPair::generate().unwrap();
        let mut signed = vec![(
            ed25519.public_key().as_der().unwrap().as_ref().to_vec(),
            ed25519.sign(b"text").as_ref().to_vec(),
        )];
        for algorithm in [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING] {
            let pair = EcdsaKeyPair::generate(algorithm).unwrap();
            let signature = pair.sign(&SystemRandom::new(), b"text").unwrap().as_ref().to_vec();
            signed.push((pair.public_key().as_der().unwrap().as_ref().to_vec(), signature));
        }
        let keys: Vec<PublicKey> = signed
            .iter()
            .map(|(der, _)| PublicKey::from_pem(pem(der).as_bytes()).unwrap())
            .collect();
        for (at, key) in keys.iter().enumerate() {
            for (of, (_, signature)) in signed.iter().enumerate() {
                assert_eq!(key.verify(b"text", signature).is_ok(), at == of);
            }
            assert_eq!(key.verify(b"texT", &signed[at].1), Err(SignatureError::Mismatch));
            assert_eq!(key.verify(b"text", b""), Err(SignatureError::Mismatch));
        }
        let all: String = signed.iter().map(|(der, _)| pem(der)).collect();
        assert_eq!(PublicKey::all_from_pem(all.as_bytes()).unwrap(), keys);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "key", &pem(b"key"), &pem(&ED25519_HEAD[..11])] {
            assert_eq!(PublicKey::from_pem(text.as_bytes()), Err(SignatureError::Key), "{text}");
            assert!(PublicKey::all_from_pem(text.as_bytes()).is_err());
        }
    }
}
