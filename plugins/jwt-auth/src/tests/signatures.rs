//! Keys, algorithms and who may choose them.

use std::cell::Cell;
use std::rc::Rc;

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::DecodePublicKey;

use super::*;

#[test]
fn a_token_signed_with_the_secret_passes() {
    let plugin = start(&settings(json!({})));
    assert!(send(&plugin, &sign(json!({"iss": "tests"}))).is_continued());
}

#[test]
fn a_wrong_signature_is_refused() {
    let plugin = start(&settings(json!({})));
    let token = sign(json!({"iss": "tests"}));
    let other = sign(json!({"iss": "tests", "admin": true}));
    let swapped =
        format!("{}.{}", other.rsplit_once('.').unwrap().0, token.rsplit_once('.').unwrap().1);
    assert_eq!(reason(send(&plugin, &swapped)), "the token's signature is wrong");
    let shortened = format!("{}.{}", token.rsplit_once('.').unwrap().0, base64([1; 16]));
    assert_eq!(reason(send(&plugin, &shortened)), "the token's signature is wrong");
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    let plugin = start(&settings(json!({})));
    for algorithm in ["none", "None", "", "RS256", "HS512", "hs256"] {
        let token = sign_raw(&json!({"alg": algorithm}).to_string(), r#"{"iss":"tests"}"#);
        let expected = "the token's algorithm does not belong to any key";
        assert_eq!(reason(send(&plugin, &token)), expected, "{algorithm}");
    }
}

/// The classic: a public key taken for an HMAC secret.
#[test]
fn a_public_key_is_no_secret() {
    let key = SigningKey::from_slice(&[0x5a; 32]).unwrap();
    let plugin = start(&settings(json!({"jwks": {"keys": [jwk_of(&key)]}})));
    let token = sign_raw(r#"{"alg":"HS256","kid":"ec"}"#, r#"{"iss":"tests"}"#);
    assert_eq!(reason(send(&plugin, &token)), "the token's algorithm does not belong to any key");
}

#[test]
fn a_key_id_is_a_name_and_nothing_else() {
    let plugin = start(&settings(json!({})));
    for id in ["k2", "../../dev/null", "k1' OR '1'='1", "https://evil.example/jwks.json", ""] {
        let token = sign_raw(&json!({"alg": "HS256", "kid": id}).to_string(), r#"{"iss":"tests"}"#);
        assert_eq!(
            reason(send(&plugin, &token)),
            "the token names a key that is not known",
            "{id}"
        );
    }
    let unnamed =
        sign_raw(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#, r#"{"iss":"tests"}"#);
    assert!(send(&plugin, &unnamed).is_continued());
}

#[test]
fn a_key_for_encryption_verifies_nothing() {
    let secret = base64(SECRET);
    let keys = json!([
        {"kty": "oct", "kid": "k1", "k": secret, "use": "enc"},
        {"kty": "oct", "kid": "k1", "k": secret, "key_ops": ["sign"]},
        {"kty": "oct", "kid": "k1", "k": secret, "alg": "HS512"},
        {"kty": "oct", "kid": "other", "k": secret},
    ]);
    let plugin = start(&settings(json!({"jwks": {"keys": keys}})));
    let refused = send(&plugin, &sign(json!({"iss": "tests"})));
    assert_eq!(reason(refused), "the token names a key that is not known");
}

fn jwk_of(key: &SigningKey) -> Value {
    let point = key.verifying_key().to_encoded_point(false);
    json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": base64(point.x().unwrap()), "y": base64(point.y().unwrap())})
}

fn sign_es256(key: &SigningKey, claims: &Value) -> String {
    let signed =
        format!("{}.{}", base64(r#"{"alg":"ES256","kid":"ec"}"#), base64(claims.to_string()));
    let signature: Signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", base64(signature.to_bytes()))
}

/// The fields of the host function's arguments; every length here takes one or two bytes.
fn fields(mut arguments: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Vec::new();
    while let [_, first, rest @ ..] = arguments {
        let (length, rest) = match first {
            0..0x80 => (usize::from(*first), rest),
            _ => (usize::from(first & 0x7f) + usize::from(rest[0]) * 128, &rest[1..]),
        };
        fields.push(rest[..length].to_vec());
        arguments = &rest[length..];
    }
    fields
}

/// Verifies as a real host does, and counts.
fn offer_verification() -> Rc<Cell<u32>> {
    let calls = Rc::new(Cell::new(0));
    let counted = calls.clone();
    Host.offer_function("verify_signature", move |arguments| {
        counted.set(counted.get() + 1);
        let [hash, key, signature, text] = &fields(arguments)[..] else { panic!("four fields") };
        assert_eq!(hash, b"sha256");
        let key = VerifyingKey::from_public_key_der(key).unwrap();
        let good = Signature::from_der(signature)
            .is_ok_and(|signature| key.verify(text, &signature).is_ok());
        Ok(if good { vec![8, 1] } else { b"\x12\x03bad".to_vec() })
    });
    calls
}

#[test]
fn es256_is_verified_by_the_host_once() {
    let key = SigningKey::from_slice(&[0x5a; 32]).unwrap();
    let plugin = start(&settings(json!({"jwks": {"keys": [jwk_of(&key)]}})));
    let calls = offer_verification();
    let token = sign_es256(&key, &json!({"iss": "tests"}));
    assert!(send(&plugin, &token).is_continued());
    assert!(send(&plugin, &token).is_continued());
    assert_eq!(calls.get(), 1);
    let stranger = SigningKey::from_slice(&[0x33; 32]).unwrap();
    let forged = sign_es256(&stranger, &json!({"iss": "tests"}));
    assert_eq!(reason(send(&plugin, &forged)), "the token's signature is wrong");
    assert_eq!(reason(send(&plugin, &forged)), "the token's signature is wrong");
    assert_eq!(calls.get(), 3);
}

#[test]
fn a_host_that_cannot_verify_lets_nothing_pass() {
    let key = SigningKey::from_slice(&[0x5a; 32]).unwrap();
    let plugin = start(&settings(json!({"jwks": {"keys": [jwk_of(&key)]}})));
    let token = sign_es256(&key, &json!({"iss": "tests"}));
    assert_eq!(reason(send(&plugin, &token)), "the token's signature could not be verified");
}

#[test]
fn every_key_that_may_be_meant_is_tried() {
    let keys = json!([
        {"kty": "oct", "k": base64([7; 32])},
        {"kty": "oct", "k": base64(SECRET)},
    ]);
    let plugin = start(&settings(json!({"jwks": {"keys": keys}})));
    assert!(send(&plugin, &sign(json!({"iss": "tests"}))).is_continued());
}

#[test]
fn a_known_token_with_another_payload_is_not_recalled() {
    let plugin = start(&settings(json!({})));
    let token = sign(json!({"iss": "tests", "sub": "a"}));
    assert!(send(&plugin, &token).is_continued());
    let (_, signature) = token.rsplit_once('.').unwrap();
    let forged = sign(json!({"iss": "tests", "sub": "b"}));
    let forged = format!("{}.{signature}", forged.rsplit_once('.').unwrap().0);
    assert_eq!(reason(send(&plugin, &forged)), "the token's signature is wrong");
}
