//! One JSON Web Key that verifies signatures (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use crate::Hash;

/// A key, bound to what it may verify.
pub(super) struct Key {
    pub(super) id: Option<Box<str>>,
    /// The one algorithm that the key names; else its kind decides.
    only: Option<Algorithm>,
    material: Material,
}

enum Material {
    Secret(Box<[u8]>),
    Rsa(RsaPublicKeyComponents<Box<[u8]>>),
    /// An uncompressed point on the curve of this algorithm.
    Point(Algorithm, Box<[u8]>),
    Ed25519(Box<[u8]>),
}

impl Key {
    /// Reads a key. The error says why it verifies nothing here.
    pub(super) fn read(key: &Map<String, Value>) -> Result<Self, &'static str> {
        if !is_for_verifying(key) {
            return Err("it is not for verifying signatures");
        }
        let material = match text(key, "kty")?.ok_or("it has no kty")? {
            "oct" => read_secret(key)?,
            "RSA" => read_rsa(key)?,
            "EC" => read_point(key)?,
            "OKP" => read_ed25519(key)?,
            _ => return Err("its kty is not known"),
        };
        let only = match text(key, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::named(name).ok_or("its alg is not known")?),
        };
        let id = text(key, "kid")?.map(Into::into);
        let key = Key { id, only: None, material };
        if only.is_some_and(|only| !key.allows(only)) {
            return Err("its alg does not go with its kty, its curve or its length");
        }
        Ok(Key { only, ..key })
    }

    /// Whether a token with this key id may be meant for it.
    pub(super) fn answers_to(&self, id: Option<&str>) -> bool {
        match (&self.id, id) {
            (Some(own), Some(asked)) => **own == *asked,
            _ => true,
        }
    }

    /// Whether it may verify signatures of this algorithm.
    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        if let Some(only) = self.only {
            return only == algorithm;
        }
        match (&self.material, algorithm) {
            // RFC 7518 section 3.2: as long as the hash, or it can be guessed.
            (Material::Secret(secret), Algorithm::Hmac(hash)) => secret.len() >= length(hash),
            (Material::Rsa(_), Algorithm::Rsa(_) | Algorithm::RsaPss(_)) => true,
            (Material::Point(curve, _), algorithm) => *curve == algorithm,
            (Material::Ed25519(_), Algorithm::Ed25519) => true,
            _ => false,
        }
    }

    /// Whether the signature over `text` was made with this key by this algorithm.
    pub(super) fn verifies(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        if !self.allows(algorithm) {
            return false;
        }
        match (&self.material, algorithm) {
            (Material::Secret(secret), Algorithm::Hmac(hash)) => {
                let key = hmac::Key::new(hmac_of(hash), secret);
                hmac::verify(&key, text, signature).is_ok()
            }
            (Material::Rsa(key), algorithm) => rsa(algorithm)
                .is_some_and(|parameters| key.verify(parameters, text, signature).is_ok()),
            (Material::Point(curve, point), _) => {
                ecdsa(*curve).is_some_and(|curve| plainly(curve, point, text, signature))
            }
            (Material::Ed25519(key), _) => plainly(&signature::ED25519, key, text, signature),
            _ => false,
        }
    }
}

fn plainly(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    text: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(text, signature).is_ok()
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rsa(Hash::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rsa(Hash::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rsa(Hash::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::RsaPss(Hash::Sha256) => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::RsaPss(Hash::Sha384) => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::RsaPss(Hash::Sha512) => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// JOSE writes `r || s`, not DER.
fn ecdsa(curve: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match curve {
        Algorithm::EcdsaP256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::EcdsaP384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::EcdsaP521 => &signature::ECDSA_P521_SHA512_FIXED,
        _ => return None,
    })
}

fn hmac_of(hash: Hash) -> hmac::Algorithm {
    match hash {
        Hash::Sha1 | Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha384 => hmac::HMAC_SHA384,
        Hash::Sha512 => hmac::HMAC_SHA512,
    }
}

fn length(hash: Hash) -> usize {
    match hash {
        Hash::Sha1 | Hash::Sha256 => 32,
        Hash::Sha384 => 48,
        Hash::Sha512 => 64,
    }
}

/// A key for encryption verifies nothing, whatever its owner signed with it.
fn is_for_verifying(key: &Map<String, Value>) -> bool {
    let purpose = key.get("use").is_none_or(|purpose| purpose == "sig");
    let operations = key.get("key_ops").is_none_or(|operations| match operations {
        Value::Array(operations) => operations.iter().any(|operation| operation == "verify"),
        _ => false,
    });
    purpose && operations
}

fn read_secret(key: &Map<String, Value>) -> Result<Material, &'static str> {
    let secret = bytes(key, "k")?;
    if secret.len() < 32 {
        return Err("its secret is shorter than the 32 bytes that RFC 7518 demands");
    }
    Ok(Material::Secret(secret.into()))
}

fn read_rsa(key: &Map<String, Value>) -> Result<Material, &'static str> {
    let (n, e) = (significant(bytes(key, "n")?), significant(bytes(key, "e")?));
    if !(256..=1024).contains(&n.len()) {
        return Err("its modulus is not of 2048 to 8192 bits");
    }
    if !(1..=8).contains(&e.len()) || *e == [1] || e.last().is_none_or(|last| last % 2 == 0) {
        return Err("its exponent is none that is safe");
    }
    Ok(Material::Rsa(RsaPublicKeyComponents { n, e }))
}

fn significant(bytes: Vec<u8>) -> Box<[u8]> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

/// Whether the point lies on the curve is looked at when it verifies.
fn read_point(key: &Map<String, Value>) -> Result<Material, &'static str> {
    let (curve, size) = match text(key, "crv")? {
        Some("P-256") => (Algorithm::EcdsaP256, 32),
        Some("P-384") => (Algorithm::EcdsaP384, 48),
        Some("P-521") => (Algorithm::EcdsaP521, 66),
        _ => return Err("its curve is not known"),
    };
    let (x, y) = (bytes(key, "x")?, bytes(key, "y")?);
    if x.len() != size || y.len() != size {
        return Err("its coordinates are not of its curve's length");
    }
    Ok(Material::Point(curve, [&[4], &x[..], &y[..]].concat().into()))
}

fn read_ed25519(key: &Map<String, Value>) -> Result<Material, &'static str> {
    if text(key, "crv")? != Some("Ed25519") {
        return Err("its curve is not known");
    }
    let x = bytes(key, "x")?;
    if x.len() != 32 {
        return Err("its x is not of 32 bytes");
    }
    if is_of_small_order(&x) {
        return Err("its point is of small order: signatures that nobody made would match it");
    }
    Ok(Material::Ed25519(x.into()))
}

/// The points of order 1, 2, 4 and 8, by their y, whichever sign their x has (RFC 8032 section 5.1; those of p and
/// p + 1 are other spellings of 0 and 1).
fn is_of_small_order(point: &[u8]) -> bool {
    const EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Some(([least, middle @ ..], last)) =
        point.split_last().and_then(|(last, rest)| Some((rest.first_chunk::<31>()?, last & 0x7f)))
    else {
        return false;
    };
    let is_all = |wanted: u8| middle.iter().all(|byte| *byte == wanted);
    let is_eighth = |eighth: &[u8; 32]| {
        point.starts_with(eighth.get(..31).unwrap_or_default()) && last == eighth[31]
    };
    (*least <= 1 && is_all(0) && last == 0)
        || ((0xec..=0xee).contains(least) && is_all(0xff) && last == 0x7f)
        || EIGHT.iter().any(is_eighth)
}

fn text<'a>(key: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, &'static str> {
    match key.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("one of kty, alg, kid, crv is no text"),
    }
}

fn bytes(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let encoded = key.get(name).and_then(Value::as_str).ok_or("it lacks a part of its kty")?;
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| "a part of it is not base64url without padding")
}
