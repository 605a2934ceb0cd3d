//! JSON Web Keys: read once, each bound to the one algorithm that it verifies.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use portcullis_sdk::crypto::{Hash, verify_signature};
use portcullis_sdk::{ConfigurationError, HostError};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::der;

/// A key and its algorithm: the token's header chooses among keys, never what a key is used for.
#[derive(Debug)]
pub(crate) struct Key {
    id: Option<String>,
    material: Material,
}

enum Material {
    /// HS256, with the key already taken in.
    Secret(Box<Hmac<Sha256>>),
    /// RS256, as a SubjectPublicKeyInfo.
    Rsa(Vec<u8>),
    /// ES256, as a SubjectPublicKeyInfo.
    EllipticCurve(Vec<u8>),
}

impl Key {
    /// The name of its algorithm in a token's header.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Secret(_) => "HS256",
            Material::Rsa(_) => "RS256",
            Material::EllipticCurve(_) => "ES256",
        }
    }

    /// Whether a token with this key id may be meant for it. An id is a name and nothing else.
    pub(crate) fn answers_to(&self, id: Option<&str>) -> bool {
        match (&self.id, id) {
            (Some(own), Some(asked)) => own == asked,
            _ => true,
        }
    }

    /// Whether the signature over `text` was made with this key.
    pub(crate) fn verifies(&self, text: &[u8], signature: &[u8]) -> Result<bool, HostError> {
        match &self.material {
            Material::Secret(keyed) => {
                let mut code = (**keyed).clone();
                code.update(text);
                Ok(code.verify_slice(signature).is_ok())
            }
            Material::Rsa(key) => verify_signature(Hash::Sha256, key, signature, text),
            Material::EllipticCurve(key) => match der::ecdsa_signature(signature) {
                Some(signature) => verify_signature(Hash::Sha256, key, &signature, text),
                None => Ok(false),
            },
        }
    }
}

/// Reads a JWK set; keys that cannot verify what we verify are left out, broken ones are errors.
pub(crate) fn read_set(set: &Value, path: &str) -> Result<Vec<Key>, ConfigurationError> {
    let Some(Value::Array(keys)) = set.get("keys") else {
        return Err(ConfigurationError::at(
            path,
            "must be a JWK set: an object whose `keys` is a list",
        ));
    };
    let mut read = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let path = format!("{path}.keys[{index}]");
        let Value::Object(key) = key else {
            return Err(ConfigurationError::at(path, "must be an object"));
        };
        if is_for_verifying(key) {
            read.extend(read_key(key, &path)?);
        } else {
            portcullis_sdk::info!("pluginConfig.{path} is not for verifying and is left out");
        }
    }
    Ok(read)
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

fn read_key(key: &Map<String, Value>, path: &str) -> Result<Option<Key>, ConfigurationError> {
    let kind = text(key, "kty", path)?;
    let algorithm = match key.get("alg") {
        None => None,
        Some(_) => Some(text(key, "alg", path)?),
    };
    let material = match (kind, algorithm) {
        ("oct", None | Some("HS256")) => read_secret(key, path)?,
        ("RSA", None | Some("RS256")) => read_rsa(key, path)?,
        ("EC", None | Some("ES256")) if key.get("crv").is_some_and(|curve| curve == "P-256") => {
            read_elliptic_curve(key, path)?
        }
        _ => {
            portcullis_sdk::info!("pluginConfig.{path} is of a kind not supported and is left out");
            return Ok(None);
        }
    };
    let id = match key.get("kid") {
        None => None,
        Some(_) => Some(text(key, "kid", path)?.to_owned()),
    };
    Ok(Some(Key { id, material }))
}

fn read_secret(key: &Map<String, Value>, path: &str) -> Result<Material, ConfigurationError> {
    let secret = bytes(key, "k", path)?;
    if secret.is_empty() {
        return Err(ConfigurationError::at(format!("{path}.k"), "must not be empty"));
    }
    if secret.len() < 32 {
        portcullis_sdk::warn!(
            "pluginConfig.{path}.k is shorter than the 32 bytes that RFC 7518 demands"
        );
    }
    match Hmac::new_from_slice(&secret) {
        Ok(keyed) => Ok(Material::Secret(Box::new(keyed))),
        Err(error) => Err(ConfigurationError::at(format!("{path}.k"), error)),
    }
}

fn read_rsa(key: &Map<String, Value>, path: &str) -> Result<Material, ConfigurationError> {
    let (modulus, exponent) = (bytes(key, "n", path)?, bytes(key, "e", path)?);
    let significant = modulus.iter().skip_while(|byte| **byte == 0).count();
    if !(256..=1024).contains(&significant) {
        return Err(ConfigurationError::at(format!("{path}.n"), "must be of 2048 to 8192 bits"));
    }
    if exponent.iter().all(|byte| *byte == 0) {
        return Err(ConfigurationError::at(format!("{path}.e"), "must not be zero"));
    }
    Ok(Material::Rsa(der::rsa_public_key(&modulus, &exponent)))
}

fn read_elliptic_curve(
    key: &Map<String, Value>,
    path: &str,
) -> Result<Material, ConfigurationError> {
    let coordinate = |name: &str| -> Result<[u8; 32], ConfigurationError> {
        let value: Result<[u8; 32], _> = bytes(key, name, path)?.try_into();
        value.map_err(|_| ConfigurationError::at(format!("{path}.{name}"), "must be of 32 bytes"))
    };
    Ok(Material::EllipticCurve(der::p256_public_key(&coordinate("x")?, &coordinate("y")?)))
}

fn text<'a>(
    key: &'a Map<String, Value>,
    name: &str,
    path: &str,
) -> Result<&'a str, ConfigurationError> {
    match key.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(ConfigurationError::at(format!("{path}.{name}"), "must be a string")),
        None => Err(ConfigurationError::at(format!("{path}.{name}"), "is missing")),
    }
}

fn bytes(key: &Map<String, Value>, name: &str, path: &str) -> Result<Vec<u8>, ConfigurationError> {
    let not_base64 = |error| {
        ConfigurationError::at(format!("{path}.{name}"), format!("is no base64url: {error}"))
    };
    URL_SAFE_NO_PAD.decode(text(key, name, path)?).map_err(not_base64)
}

/// Never shows the key.
impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Material")
    }
}
