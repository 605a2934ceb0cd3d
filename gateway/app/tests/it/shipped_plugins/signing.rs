//! An identity provider: keys of every kind that jwt-auth knows, and tokens signed with them.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub const ISSUER: &str = "https://issuer.example.com";
pub const AUDIENCE: &str = "shop";

/// A key, named in tokens by its algorithm.
pub enum Key {
    Secret([u8; 32]),
    Rsa(RsaKeyPair),
    Curve(EcdsaKeyPair),
}

impl Key {
    pub fn secret() -> Key {
        Key::Secret([7; 32])
    }

    pub fn rsa() -> Key {
        Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub fn curve() -> Key {
        Key::Curve(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Key::Secret(_) => "HS256",
            Key::Rsa(_) => "RS256",
            Key::Curve(_) => "ES256",
        }
    }

    /// What verifies its tokens.
    pub fn jwk(&self) -> Value {
        let kid = self.algorithm();
        match self {
            Key::Secret(secret) => json!({"kty": "oct", "kid": kid, "k": base64(secret)}),
            Key::Rsa(pair) => {
                let modulus = modulus(pair.public_key().as_ref());
                json!({"kty": "RSA", "kid": kid, "n": base64(modulus), "e": base64([1, 0, 1])})
            }
            Key::Curve(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": base64(x), "y": base64(y)})
            }
        }
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm(), "kid": self.algorithm()});
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs whatever header and payload say.
    pub fn sign_text(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", base64(header), base64(payload));
        let signature = self.signature(signed.as_bytes());
        format!("{signed}.{}", base64(signature))
    }

    fn signature(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Key::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, text).as_ref().to_vec()
            }
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).unwrap();
                signature
            }
            Key::Curve(pair) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
        }
    }
}

/// Claims that are good for an hour; what is in `over` is put over them, a null takes one away.
pub fn claims(over: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "exp": now() + 3600, "sub": "alice"});
    for (name, value) in over.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The modulus of 2048 bits out of a DER `RSAPublicKey` with the exponent 65537.
fn modulus(der: &[u8]) -> &[u8] {
    let before = [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
    let behind = [0x02, 0x03, 0x01, 0x00, 0x01];
    der.strip_prefix(&before[..]).unwrap().strip_suffix(&behind[..]).unwrap()
}
