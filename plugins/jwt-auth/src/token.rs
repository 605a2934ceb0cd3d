//! A token in JWS compact form, taken apart strictly: three parts in base64url without padding, JSON without doubles.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// Far above what identity providers make, far below what a head may hold elsewhere.
const LONGEST: usize = 16 * 1024;

/// A token taken apart; nothing of it is verified.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) header: Header,
    pub(crate) claims: Claims,
    /// What the signature is over: the first two parts as they were sent.
    pub(crate) signed: &'a [u8],
    /// The payload as it was sent.
    pub(crate) payload: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

/// The JOSE header, what matters of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    #[serde(default, deserialize_with = "present")]
    pub(crate) kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
}

/// A `null` is a value of the wrong type, not an absence.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(token: &'a [u8]) -> Result<Self, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::TooLong);
        }
        let dot = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'.');
        let header_end = dot(token).ok_or(Refusal::Malformed)?;
        let (header, rest) = split_around(token, header_end)?;
        let (payload, signature) = split_around(rest, dot(rest).ok_or(Refusal::Malformed)?)?;
        let signed = token.get(..header.len() + 1 + payload.len()).ok_or(Refusal::Malformed)?;
        let header: Header = read_object(&decode(header)?).ok_or(Refusal::BadHeader)?;
        if header.crit.is_some() {
            return Err(Refusal::Critical);
        }
        let claims = read_object(&decode(payload)?).ok_or(Refusal::BadPayload)?;
        Ok(Token { header, claims, signed, payload, signature: decode(signature)? })
    }
}

fn split_around(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8]), Refusal> {
    match (bytes.get(..at), bytes.get(at + 1..)) {
        (Some(before), Some(after)) => Ok((before, after)),
        _ => Err(Refusal::Malformed),
    }
}

/// A further dot fails here too: it is no base64url.
fn decode(part: &[u8]) -> Result<Vec<u8>, Refusal> {
    if part.is_empty() {
        return Err(Refusal::Malformed);
    }
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)
}

/// Objects alone: serde would take a list for a structure, field by field.
fn read_object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    bytes.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(bytes).ok())?
}

/// The claims; a claim given twice makes the token invalid, since another reader might take the other one.
#[derive(Debug)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.0.get("iss")?.as_str()
    }

    /// Whether the claim `aud`, a string or a list of them, names one of these.
    pub(crate) fn names_audience(&self, audiences: &[String]) -> bool {
        let fits =
            |value: &Value| value.as_str().is_some_and(|name| audiences.iter().any(|a| a == name));
        match self.0.get("aud") {
            Some(Value::Array(values)) => values.iter().any(fits),
            Some(value) => fits(value),
            None => false,
        }
    }

    /// A NumericDate in seconds since 1970; fractions are allowed.
    pub(crate) fn time(&self, name: &str) -> Result<Option<f64>, Refusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(Refusal::BadTime),
        }
    }

    /// A claim as a header's value: text as it is, numbers and truth values written out, lists and objects as JSON. None
    /// where there is no claim, or its text cannot be in a header.
    pub(crate) fn as_header(&self, path: &[String]) -> Option<Vec<u8>> {
        let (first, rest) = path.split_first()?;
        let mut value = self.0.get(first)?;
        for name in rest {
            value = value.get(name)?;
        }
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (!text.chars().any(char::is_control)).then(|| text.trim().as_bytes().to_vec())
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor).map(Claims)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut claims = Map::new();
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            if claims.insert(name, value).is_some() {
                return Err(A::Error::custom("a claim is given twice"));
            }
        }
        Ok(claims)
    }
}
