//! A token in compact form (RFC 7515 section 7.1): its signature, then its claims.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::key_set::KeySet;
use super::strict_json::read_object;

/// Far above what identity providers make.
const LONGEST: usize = 16 << 10;
/// A token that names its key has one attempt, or two while a key is replaced.
const MOST_ATTEMPTS: u32 = 8;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than 16 KiB.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts in base64url, the first two strict JSON objects.
    #[error("the token is malformed")]
    Malformed,
    /// `alg` is `none`, or nothing known.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// It demands an extension.
    #[error("the token demands an extension that is not known")]
    Critical,
    /// No key has its `kid` and goes with its algorithm.
    #[error("no key is meant for the token")]
    NoKey,
    /// It was signed by none of the first keys that could have, and there are more.
    #[error("more keys could have signed the token than are tried; it has to name its key")]
    Attempts,
    /// It was signed by none of the keys.
    #[error("the token's signature does not match")]
    Signature,
    /// Of another issuer, or of none.
    #[error("the token is of another issuer")]
    Issuer,
    /// For another audience, or for none.
    #[error("the token is for another audience")]
    Audience,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// A registered claim has the wrong type.
    #[error("a claim of the token has the wrong type")]
    Claim,
}

/// What is expected of claims.
#[derive(Clone, Debug, Default)]
pub struct Expected<'a> {
    /// Seconds since 1970.
    pub now: u64,
    /// By how many seconds clocks may differ.
    pub leeway: u64,
    /// The one issuer; any where it is `None`.
    pub issuer: Option<&'a str>,
    /// One of them must be named; any will do where there are none.
    pub audiences: &'a [&'a str],
}

/// The claims of a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(Map<String, Value>);

/// When a token is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validity {
    begin: Option<f64>,
    end: Option<f64>,
}

/// A token whose signature is good; its claims are looked at by [`Claims::check`].
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// How it was signed.
    pub algorithm: Algorithm,
    /// `kid` of its header.
    pub key_id: Option<Box<str>>,
    /// What it says.
    pub claims: Claims,
    /// The same as it was sent, decoded.
    pub payload: Vec<u8>,
}

/// How many signatures may still be checked for one request: each costs up to a millisecond, and who sends tokens
/// chooses how many there are, and with how many keys they have to be tried.
#[derive(Debug)]
pub struct Attempts(u32);

impl Default for Attempts {
    fn default() -> Self {
        Attempts(MOST_ATTEMPTS)
    }
}

impl Attempts {
    fn take(&mut self) -> Result<(), TokenError> {
        self.0 = self.0.checked_sub(1).ok_or(TokenError::Attempts)?;
        Ok(())
    }
}

/// Verifies a token's signature with the keys that are meant for it. Nothing of an unverified token is given away.
pub fn verify_token(token: &str, keys: &KeySet) -> Result<VerifiedToken, TokenError> {
    let unverified = UnverifiedToken::read(token)?;
    let signed = unverified.check_signature(keys, &mut Attempts::default())?;
    Ok(unverified.into_verified(signed))
}

/// Says of the token that it was made for that its signature is good.
#[derive(Clone, Copy, Debug)]
pub struct Signed(());

/// A token that is well formed; whether what it says is true is not known yet.
pub struct UnverifiedToken<'t> {
    header: Header,
    claims: Claims,
    payload: Vec<u8>,
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> UnverifiedToken<'t> {
    /// Reads a token in compact form.
    pub fn read(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header = Header::read(&decode(header)?)?;
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        let claims = read_object(&payload).map(Claims).ok_or(TokenError::Malformed)?;
        Ok(UnverifiedToken { header, claims, payload, signed, signature })
    }

    /// Who it says has issued it: by that the keys are chosen which it is then held against.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.text("iss")
    }

    /// Whether one of the keys that are meant for it has signed it.
    ///
    /// # Errors
    /// None has, or too many could have.
    pub fn check_signature(
        &self,
        keys: &KeySet,
        attempts: &mut Attempts,
    ) -> Result<Signed, TokenError> {
        let Header { algorithm, key_id } = &self.header;
        let mut error = TokenError::NoKey;
        for key in &keys.keys {
            if !key.answers_to(key_id.as_deref()) || !key.allows(*algorithm) {
                continue;
            }
            attempts.take()?;
            if key.verifies(*algorithm, self.signed.as_bytes(), &self.signature) {
                return Ok(Signed(()));
            }
            error = TokenError::Signature;
        }
        Err(error)
    }

    /// What it says, once its signature is known to be good.
    pub fn claims(&self, _: Signed) -> &Claims {
        &self.claims
    }

    /// The token, once its signature is known to be good.
    pub fn into_verified(self, _: Signed) -> VerifiedToken {
        let UnverifiedToken { header: Header { algorithm, key_id }, claims, payload, .. } = self;
        VerifiedToken { algorithm, key_id, claims, payload }
    }
}

struct Header {
    algorithm: Algorithm,
    key_id: Option<Box<str>>,
}

impl Header {
    fn read(json: &[u8]) -> Result<Self, TokenError> {
        let header = read_object(json).ok_or(TokenError::Malformed)?;
        // No extension is known, so that naming any, or none at all, is an error (RFC 7515 section 4.1.11). A payload
        // that is not encoded (RFC 7797) may not be hidden by leaving `crit` out.
        let is_plain = header.get("b64").is_some_and(|encoded| *encoded != Value::Bool(true));
        if header.contains_key("crit") || is_plain {
            return Err(TokenError::Critical);
        }
        let name = header.get("alg").and_then(Value::as_str).ok_or(TokenError::Malformed)?;
        let algorithm = Algorithm::named(name).ok_or(TokenError::Algorithm)?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.as_str().into()),
            Some(_) => return Err(TokenError::Malformed),
        };
        Ok(Header { algorithm, key_id })
    }
}

impl Validity {
    /// Whether that time has come and is not over; `now` in seconds since 1970, `leeway` the seconds by which clocks
    /// may differ.
    pub fn check(&self, now: u64, leeway: u64) -> Result<(), TokenError> {
        let (now, leeway) = (now as f64, leeway as f64);
        if self.end.is_some_and(|end| now >= end + leeway) {
            return Err(TokenError::Expired);
        }
        if self.begin.is_some_and(|begin| now < begin - leeway) {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }
}

impl Claims {
    /// Those of a JSON object, unverified; none where the text is something else.
    pub fn for_test(text: &str) -> Self {
        Claims(serde_json::from_str(text).unwrap_or_default())
    }

    /// Whether the token is meant for here and now (RFC 7519 section 4.1).
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), TokenError> {
        self.check_types()?;
        if expected.issuer.is_some_and(|issuer| self.text("iss") != Some(issuer)) {
            return Err(TokenError::Issuer);
        }
        if !expected.audiences.is_empty() && !self.names_one_of(expected.audiences) {
            return Err(TokenError::Audience);
        }
        self.validity()?.check(expected.now, expected.leeway)
    }

    /// From when to when it is valid (`nbf`, `exp`).
    pub fn validity(&self) -> Result<Validity, TokenError> {
        Ok(Validity { begin: self.time("nbf")?, end: self.time("exp")? })
    }

    /// The registered claims are of the types that RFC 7519 section 4.1 gives them.
    fn check_types(&self) -> Result<(), TokenError> {
        let is_text = |name: &&str| self.0.get(*name).is_none_or(Value::is_string);
        let audiences = match self.0.get("aud") {
            Some(Value::Array(values)) => values.iter().all(Value::is_string),
            Some(value) => value.is_string(),
            None => true,
        };
        let are_texts = ["iss", "sub", "jti"].iter().all(is_text);
        self.time("iat")?;
        if are_texts && audiences { Ok(()) } else { Err(TokenError::Claim) }
    }

    /// Makes lists of the words of these claims where they are texts, as `scope` (RFC 8693 section 4.2) is one.
    pub fn split_words<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            if let Some(value) = self.0.get_mut(name)
                && let Value::String(text) = value
            {
                let words = text.split_ascii_whitespace().map(Value::from).collect();
                *value = Value::Array(words);
            }
        }
    }

    /// A claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whether the value at the end of a path of names, or one of its items where it is a list, fulfils a condition.
    /// As before Istio's gateways, numbers, booleans and objects fulfil nothing.
    pub fn fulfil(&self, path: &[Box<str>], condition: impl Fn(&str) -> bool) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let mut value = self.0.get(&**first);
        for name in rest {
            value = value.and_then(|value| value.get(&**name));
        }
        let fits = |value: &Value| value.as_str().is_some_and(&condition);
        match value {
            Some(Value::Array(items)) => items.iter().any(fits),
            Some(value) => fits(value),
            None => false,
        }
    }

    /// A claim that is a text, a number or a boolean, as it is written; by its whole name, or by the names on the way to
    /// it with a dot between.
    pub fn written(&self, name: &str) -> Option<Cow<'_, str>> {
        let nested = || {
            let mut names = name.split('.');
            let first = self.0.get(names.next()?)?;
            names.try_fold(first, |value, name| value.get(name))
        };
        match self.0.get(name).or_else(nested)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The value at the end of a path of names: a text as it is, anything else as JSON.
    pub fn shown_at(&self, path: &[&str]) -> Option<String> {
        let (first, rest) = path.split_first()?;
        let start = self.0.get(*first)?;
        match rest.iter().try_fold(start, |value, name| value.get(*name))? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The names of all claims.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A claim that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// `aud` is a text or a list of them.
    fn names_one_of(&self, audiences: &[&str]) -> bool {
        let fits = |value: &Value| value.as_str().is_some_and(|name| audiences.contains(&name));
        match self.0.get("aud") {
            Some(Value::Array(values)) => values.iter().any(fits),
            Some(value) => fits(value),
            None => false,
        }
    }

    /// A NumericDate in seconds since 1970; fractions are allowed.
    fn time(&self, name: &str) -> Result<Option<f64>, TokenError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(TokenError::Claim),
        }
    }
}

/// No padding, no blank, no bits left over.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    if part.is_empty() {
        return Err(TokenError::Malformed);
    }
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}
