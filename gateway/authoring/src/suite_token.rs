//! Who a case's request says that it comes from: a token that the host's own authentication verifies before the filter runs.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis_crypto::{Hash, hmac_of};
use serde_json::{Value, json};

use crate::suite::{Claims, Suite};

/// Who issues a suite's tokens.
pub(crate) const ISSUER: &str = "https://issuer.test";
/// It protects nothing: hosts that know it live as long as a suite, on loopback.
const SECRET: &[u8] = b"a suite's tokens are good for this suite alone, whoever reads them";

/// The keys of the tokens, where a case has claims.
pub(crate) fn keys_for(suite: &Suite) -> Option<String> {
    let mut cases = suite.cases.iter();
    cases.any(|case| case.value.request.claims.is_some()).then(|| {
        json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": encode(SECRET) }] }).to_string()
    })
}

/// The value of `authorization` for these claims.
pub(crate) fn bearer(claims: &Claims) -> String {
    let mut payload = claims.clone();
    payload.insert("iss".to_owned(), Value::from(ISSUER));
    let head = encode(json!({ "alg": "HS256" }).to_string().as_bytes());
    let signed = format!("{head}.{}", encode(Value::Object(payload).to_string().as_bytes()));
    let signature = encode(&hmac_of(Hash::Sha256, SECRET, signed.as_bytes()));
    format!("Bearer {signed}.{signature}")
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
