//! Private keys that vouch for what is published: PEM in, signatures and the public half out.

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::PublicKey;
use crate::signature::SignatureError;

/// Lines of PEM have so many characters.
const PEM_LINE: usize = 64;
/// How `cosign generate-key-pair` labels its keys, now and before.
const ENCRYPTED_LABELS: [&str; 3] =
    ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY", "ENCRYPTED PRIVATE KEY"];

/// Why text is no key that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// It wants a password.
    #[error("the key is encrypted")]
    Encrypted,
    /// It is no PEM of a private key.
    #[error("there is no `PRIVATE KEY` in it")]
    NoKey,
    /// It is one of another kind.
    #[error("the key is neither of ECDSA on P-256 nor of Ed25519")]
    Kind,
}

/// An ECDSA key on P-256, or an Ed25519 key.
pub struct SigningKey {
    pair: Pair,
    public: Vec<u8>,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads the first private key of PEM: PKCS#8, or for ECDSA also the older form of SEC 1.
    ///
    /// # Errors
    /// There is none, it is encrypted, or of a kind that signs nothing here.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SigningKeyError> {
        let text = String::from_utf8_lossy(pem);
        if ENCRYPTED_LABELS.iter().any(|label| text.contains(&format!("-----BEGIN {label}-----"))) {
            return Err(SigningKeyError::Encrypted);
        }
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| SigningKeyError::NoKey)?;
        Self::from_der(der.secret_der())
    }

    fn from_der(der: &[u8]) -> Result<Self, SigningKeyError> {
        let kind = |_| SigningKeyError::Kind;
        let p256 = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der);
        if let Ok(pair) = p256 {
            let public = pair.public_key().as_der().map_err(kind)?.as_ref().to_vec();
            return Ok(SigningKey { pair: Pair::P256(pair), public });
        }
        // What OpenSSL writes has no public half in it.
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| SigningKeyError::Kind)?;
        let public = pair.public_key().as_der().map_err(kind)?.as_ref().to_vec();
        Ok(SigningKey { pair: Pair::Ed25519(pair), public })
    }

    /// Signs: ECDSA in DER form over the SHA-256 of the text, Ed25519 over the text.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SignatureError> {
        match &self.pair {
            Pair::P256(pair) => pair
                .sign(&SystemRandom::new(), text)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignatureError::Key),
            Pair::Ed25519(pair) => Ok(pair.sign(text).as_ref().to_vec()),
        }
    }

    /// The public half, which verifies.
    ///
    /// # Errors
    /// Never for a key that was read.
    pub fn public_key(&self) -> Result<PublicKey, SignatureError> {
        PublicKey::from_der(&self.public)
    }

    /// The public half as a DER SubjectPublicKeyInfo.
    pub fn public_der(&self) -> &[u8] {
        &self.public
    }

    /// The public half as PEM.
    pub fn public_pem(&self) -> String {
        let text = STANDARD.encode(&self.public);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (at, letter) in text.chars().enumerate() {
            if at > 0 && at % PEM_LINE == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        pem
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.pair {
            Pair::P256(_) => "P-256",
            Pair::Ed25519(_) => "Ed25519",
        };
        write!(f, "SigningKey({kind})")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;

    use super::*;

    /// As `openssl genpkey -algorithm ed25519` writes it: without the public half.
    const BY_OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    #[test]
    fn each_kind_of_key_signs_what_its_public_half_verifies() {
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let pkcs8 = pem("PRIVATE KEY", p256.to_pkcs8v1().unwrap().as_ref());
        let sec1 = pem("EC PRIVATE KEY", p256.private_key().as_der().unwrap().as_ref());
        for text in [&pkcs8, &sec1, BY_OPENSSL] {
            let key = SigningKey::from_pem(text.as_bytes()).unwrap();
            let public = PublicKey::from_pem(key.public_pem().as_bytes()).unwrap();
            assert_eq!(public, key.public_key().unwrap());
            let signature = key.sign(b"text").unwrap();
            assert_eq!(public.verify(b"text", &signature), Ok(()));
            assert_eq!(public.verify(b"texT", &signature), Err(SignatureError::Mismatch));
        }
        // RFC 8032 section 7.1, test 1.
        let known = SigningKey::from_pem(BY_OPENSSL.as_bytes()).unwrap().public_der().to_vec();
        assert!(known.ends_with(&[0x07, 0x51, 0x1a]), "{known:x?}");
    }

    #[test]
    fn what_signs_nothing_says_why() {
        let error = |text: &str| SigningKey::from_pem(text.as_bytes()).unwrap_err();
        assert_eq!(error(""), SigningKeyError::NoKey);
        assert_eq!(error(&pem("PUBLIC KEY", b"x")), SigningKeyError::NoKey);
        assert_eq!(error(&pem("PRIVATE KEY", b"x")), SigningKeyError::Kind);
        for label in ENCRYPTED_LABELS {
            assert_eq!(error(&pem(label, b"x")), SigningKeyError::Encrypted);
        }
    }
}
