//! The filter against the mock host: what passes, what is refused and why, what becomes of headers.

mod configuration;
mod headers;
mod malformed;
mod signatures;
mod times;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use portcullis_sdk::mock::{Host, Outcome, Plugin};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::JwtAuth;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_700_000_000;

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One rule for the issuer `tests` with one secret, and whatever else is put over it.
fn settings(over: Value) -> Value {
    let mut rule = json!({"issuer": "tests", "jwks": {"keys": [{"kty": "oct", "kid": "k1", "k": base64(SECRET)}]}});
    for (name, value) in over.as_object().unwrap() {
        rule[name] = value.clone();
    }
    json!({"jwtRules": [rule]})
}

fn start(settings: &Value) -> Plugin<JwtAuth> {
    Host::new().set_now(Duration::from_secs(NOW));
    Plugin::start(&settings.to_string()).unwrap()
}

/// Signed with HS256 and the secret, whatever the header says.
fn sign_raw(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", base64(header), base64(payload));
    let mut code = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    code.update(signed.as_bytes());
    format!("{signed}.{}", base64(code.finalize().into_bytes()))
}

fn sign(claims: Value) -> String {
    sign_raw(r#"{"alg":"HS256","kid":"k1"}"#, &claims.to_string())
}

fn send(plugin: &Plugin<JwtAuth>, token: &str) -> Outcome {
    plugin.request([("authorization", &*format!("Bearer {token}"))]).send().outcome()
}

/// The reason in the body of a 401.
fn reason(outcome: Outcome) -> String {
    let reply = outcome.reply();
    assert_eq!(reply.status(), 401);
    let text = format!("{reply:?}");
    assert!(text.contains("www-authenticate"), "{text}");
    let body = String::from_utf8(reply.body_bytes().to_vec()).unwrap();
    body.trim().trim_start_matches("Unauthorized: ").trim_end_matches('.').to_owned()
}
