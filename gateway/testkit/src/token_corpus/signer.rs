//! Keys that sign tokens.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A key with one algorithm.
pub struct Signer {
    /// The algorithm's name.
    pub algorithm: &'static str,
    /// The key's id.
    pub id: String,
    /// The key that verifies, as a set holds it.
    pub key: String,
    sign: Box<Sign>,
}

type Sign = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} {})", self.algorithm, self.id)
    }
}

/// base64url without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    /// One for each algorithm that there is.
    pub fn all() -> Vec<Signer> {
        let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        vec![
            Signer::hmac("HS256", hmac::HMAC_SHA256),
            Signer::hmac("HS384", hmac::HMAC_SHA384),
            Signer::hmac("HS512", hmac::HMAC_SHA512),
            Signer::rsa("RS256", &signature::RSA_PKCS1_SHA256, rsa()),
            Signer::rsa("RS384", &signature::RSA_PKCS1_SHA384, rsa()),
            Signer::rsa("RS512", &signature::RSA_PKCS1_SHA512, rsa()),
            Signer::rsa("PS256", &signature::RSA_PSS_SHA256, rsa()),
            Signer::rsa("PS384", &signature::RSA_PSS_SHA384, rsa()),
            Signer::rsa("PS512", &signature::RSA_PSS_SHA512, rsa()),
            Signer::ecdsa_p256("es256"),
            Signer::ecdsa("ES384", "P-384", "es384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Signer::ecdsa("ES512", "P-521", "es512", &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Signer::ed25519("eddsa"),
        ]
    }

    /// The algorithm `ES256`.
    pub fn ecdsa_p256(id: &str) -> Signer {
        Signer::ecdsa("ES256", "P-256", id, &signature::ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    /// The algorithm `EdDSA`.
    pub fn ed25519(id: &str) -> Signer {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = encode(pair.public_key());
        let key = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{id}","x":"{x}"}}"#);
        let sign = Box::new(move |text: &[u8]| pair.sign(text).as_ref().to_vec());
        Signer { algorithm: "EdDSA", id: id.to_owned(), key, sign }
    }

    /// The key set of this key alone.
    pub fn key_set(&self) -> String {
        format!("{{\"keys\":[{}]}}", self.key)
    }

    /// A token with this payload and the usual header.
    pub fn token(&self, payload: &str) -> String {
        self.token_with(self.header(""), payload)
    }

    /// The header that names algorithm and key, and more members, each with a comma before it.
    pub fn header(&self, more: &str) -> String {
        format!(r#"{{"alg":"{}","kid":"{}"{more}}}"#, self.algorithm, self.id)
    }

    /// A token with these two parts.
    pub fn token_with(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The signature over a text.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        (self.sign)(text)
    }

    fn hmac(name: &'static str, algorithm: hmac::Algorithm) -> Signer {
        let mut secret = [0; 64];
        aws_lc_rs::rand::fill(&mut secret).unwrap();
        let id = name.to_ascii_lowercase();
        let key =
            format!(r#"{{"kty":"oct","alg":"{name}","kid":"{id}","k":"{}"}}"#, encode(secret));
        let own = hmac::Key::new(algorithm, &secret);
        let sign = Box::new(move |text: &[u8]| hmac::sign(&own, text).as_ref().to_vec());
        Signer { algorithm: name, id, key, sign }
    }

    fn rsa(name: &'static str, padding: &'static dyn RsaEncoding, pair: RsaKeyPair) -> Signer {
        let id = name.to_ascii_lowercase();
        // RSAPublicKey in DER: a sequence of the modulus, of 256 bytes here, and the exponent.
        let public = pair.public_key().as_ref();
        let (n, e) = (encode(&public[9..265]), encode(&public[267..]));
        let key = format!(r#"{{"kty":"RSA","alg":"{name}","kid":"{id}","n":"{n}","e":"{e}"}}"#);
        let sign = Box::new(move |text: &[u8]| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &SystemRandom::new(), text, &mut signature).unwrap();
            signature
        });
        Signer { algorithm: name, id, key, sign }
    }

    fn ecdsa(
        name: &'static str,
        curve: &str,
        id: &str,
        algorithm: &'static EcdsaSigningAlgorithm,
    ) -> Signer {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(point.len() / 2);
        let (x, y) = (encode(x), encode(y));
        let key = format!(r#"{{"kty":"EC","crv":"{curve}","kid":"{id}","x":"{x}","y":"{y}"}}"#);
        let sign = Box::new(move |text: &[u8]| {
            pair.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec()
        });
        Signer { algorithm: name, id: id.to_owned(), key, sign }
    }
}
