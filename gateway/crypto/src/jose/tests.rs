//! Tokens signed here with fresh keys, and what is made of them by those who have none.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const SECRET: &[u8] = b"a secret of at least sixty-four bytes, which SHA-512 wants of a key here";

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn set(keys: &str) -> KeySet {
    KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes()).unwrap()
}

fn sign(header: &str, payload: &str, by: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let signature = by(signed.as_bytes());
    format!("{signed}.{}", encode(&signature))
}

fn by_secret(text: &[u8]) -> Vec<u8> {
    use aws_lc_rs::hmac;
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text).as_ref().to_vec()
}

fn secret_key(more: &str) -> String {
    format!("{{\"kty\":\"oct\",\"k\":\"{}\"{more}}}", encode(SECRET))
}

/// A token of `HS256` that is good, with this header and payload.
fn of_secret(header: &str, payload: &str) -> String {
    sign(header, payload, by_secret)
}

fn refused(token: &str, keys: &KeySet) -> TokenError {
    verify_token(token, keys).unwrap_err()
}

fn rsa_key(pair: &RsaKeyPair, more: &str) -> String {
    // RSAPublicKey in DER: a sequence of the modulus, of 256 bytes here, and the exponent.
    let key = pair.public_key().as_ref();
    let (n, e) = (&key[9..265], &key[267..]);
    format!("{{\"kty\":\"RSA\",\"n\":\"{}\",\"e\":\"{}\"{more}}}", encode(n), encode(e))
}

fn by_rsa(pair: &RsaKeyPair, padding: &'static dyn RsaEncoding, text: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), text, &mut signature).unwrap();
    signature
}

#[test]
fn rsa_keys_verify_both_paddings_unless_they_name_one() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let rs =
        sign(r#"{"alg":"RS256"}"#, "{}", |text| by_rsa(&pair, &signature::RSA_PKCS1_SHA256, text));
    let ps =
        sign(r#"{"alg":"PS384"}"#, "{}", |text| by_rsa(&pair, &signature::RSA_PSS_SHA384, text));
    let any = set(&rsa_key(&pair, ""));
    assert_eq!(verify_token(&rs, &any).unwrap().algorithm.as_str(), "RS256");
    assert_eq!(verify_token(&ps, &any).unwrap().algorithm.as_str(), "PS384");
    let bound = set(&rsa_key(&pair, r#","alg":"PS384""#));
    assert!(verify_token(&ps, &bound).is_ok());
    assert_eq!(refused(&rs, &bound), TokenError::NoKey);
}

#[test]
fn elliptic_curves_verify_their_own_algorithm() {
    let curves: [(&'static EcdsaSigningAlgorithm, &str, &str); 3] = [
        (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", "ES256"),
        (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", "ES384"),
        (&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521", "ES512"),
    ];
    for (algorithm, curve, name) in curves {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
        let key =
            format!(r#"{{"kty":"EC","crv":"{curve}","x":"{}","y":"{}"}}"#, encode(x), encode(y));
        let by = |text: &[u8]| pair.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec();
        let token = sign(&format!(r#"{{"alg":"{name}"}}"#), "{}", by);
        assert!(verify_token(&token, &set(&key)).is_ok(), "{name}");
        let other = sign(r#"{"alg":"RS256"}"#, "{}", by);
        assert_eq!(refused(&other, &set(&key)), TokenError::NoKey);
        let spoilt = format!("{}A{}", &token[..token.len() - 8], &token[token.len() - 7..]);
        if spoilt != token {
            assert_eq!(refused(&spoilt, &set(&key)), TokenError::Signature);
        }
    }
}

#[test]
fn ed25519_verifies() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = encode(pair.public_key().as_ref());
    let key = set(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#));
    let token = sign(r#"{"alg":"EdDSA"}"#, "{}", |text| pair.sign(text).as_ref().to_vec());
    assert!(verify_token(&token, &key).is_ok());
}

#[test]
fn none_and_what_is_not_known_are_no_algorithms() {
    let keys = set(&secret_key(""));
    for name in ["none", "None", "hs256", "HS1", ""] {
        let token = of_secret(&format!(r#"{{"alg":"{name}"}}"#), "{}");
        assert_eq!(refused(&token, &keys), TokenError::Algorithm, "{name}");
    }
    let unsigned = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(b"{}"));
    assert_eq!(refused(&unsigned, &keys), TokenError::Algorithm);
    let empty = format!("{}.{}.", encode(br#"{"alg":"HS256"}"#), encode(b"{}"));
    assert_eq!(refused(&empty, &keys), TokenError::Malformed);
}

#[test]
fn a_public_key_is_never_a_secret() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = pair.public_key();
    let token = sign(r#"{"alg":"HS256"}"#, "{}", |text| {
        use aws_lc_rs::hmac;
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), text).as_ref().to_vec()
    });
    assert_eq!(refused(&token, &set(&rsa_key(&pair, ""))), TokenError::NoKey);
}

#[test]
fn a_key_id_is_a_name_and_extensions_are_refused() {
    let keys = set(&secret_key(r#","kid":"one""#));
    let of = |header: &str| verify_token(&of_secret(header, "{}"), &keys).map(|_| ());
    assert_eq!(of(r#"{"alg":"HS256","kid":"one"}"#), Ok(()));
    assert_eq!(of(r#"{"alg":"HS256"}"#), Ok(()));
    assert_eq!(of(r#"{"alg":"HS256","kid":"../one"}"#), Err(TokenError::NoKey));
    assert_eq!(of(r#"{"alg":"HS256","kid":1}"#), Err(TokenError::Malformed));
    assert_eq!(of(r#"{"alg":"HS256","crit":[]}"#), Err(TokenError::Critical));
    assert_eq!(of(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#), Err(TokenError::Critical));
    assert_eq!(of(r#"{"alg":"HS256","alg":"HS256"}"#), Err(TokenError::Malformed));
}

#[test]
fn what_does_not_verify_is_left_out_of_the_set() {
    let keys = [
        secret_key(r#","use":"enc""#),
        secret_key(r#","key_ops":["sign"]"#),
        secret_key(r#","alg":"RS256""#),
        secret_key(r#","kty2":1,"kid":5"#),
        r#"{"kty":"oct","k":"c2hvcnQ"}"#.to_owned(),
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
        r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(),
        "1".to_owned(),
        secret_key(r#","use":"sig","key_ops":["verify"],"alg":"HS512""#),
    ];
    let set = set(&keys.join(","));
    assert_eq!((set.len(), set.left_out().len()), (1, 9));
    assert_eq!(KeySet::parse(b"{}").unwrap_err(), KeySetError::Malformed);
    assert_eq!(KeySet::parse(br#"{"keys":[],"keys":[]}"#).unwrap_err(), KeySetError::Malformed);
    assert_eq!(KeySet::parse(&vec![b' '; (1 << 20) + 1]).unwrap_err(), KeySetError::TooLarge);
}

#[test]
fn a_short_secret_verifies_no_longer_hash() {
    let short = encode(&[7; 32]);
    let keys = set(&format!(r#"{{"kty":"oct","k":"{short}"}}"#));
    assert_eq!(refused(&of_secret(r#"{"alg":"HS512"}"#, "{}"), &keys), TokenError::NoKey);
    assert_eq!(refused(&of_secret(r#"{"alg":"HS256"}"#, "{}"), &keys), TokenError::Signature);
}

#[test]
fn parts_are_read_strictly() {
    let keys = set(&secret_key(""));
    let good = of_secret(r#"{"alg":"HS256"}"#, r#"{"sub":"ann"}"#);
    assert_eq!(verify_token(&good, &keys).unwrap().claims.text("sub"), Some("ann"));
    for bad in [format!("{good}="), format!("{good}.x"), format!(" {good}"), good.replace('.', "")]
    {
        assert_eq!(refused(&bad, &keys), TokenError::Malformed, "{bad}");
    }
    for payload in ["[]", "", r#"{"a":1,"a":2}"#, "{} {}"] {
        let token = of_secret(r#"{"alg":"HS256"}"#, payload);
        assert_eq!(refused(&token, &keys), TokenError::Malformed, "{payload}");
    }
    assert_eq!(refused(&"a".repeat(20_000), &keys), TokenError::TooLong);
}

#[test]
fn claims_are_held_against_what_is_expected() {
    let keys = set(&secret_key(""));
    let check = |payload: &str, expected: &Expected<'_>| {
        let token = of_secret(r#"{"alg":"HS256"}"#, payload);
        verify_token(&token, &keys).unwrap().claims.check(expected)
    };
    let at = |now: u64| Expected { now, leeway: 60, ..Expected::default() };
    assert_eq!(check(r#"{"exp":100}"#, &at(159)), Ok(()));
    assert_eq!(check(r#"{"exp":100}"#, &at(160)), Err(TokenError::Expired));
    assert_eq!(check(r#"{"nbf":100}"#, &at(40)), Ok(()));
    assert_eq!(check(r#"{"nbf":100.5}"#, &at(40)), Err(TokenError::NotYet));
    assert_eq!(check(r#"{"exp":"100"}"#, &at(0)), Err(TokenError::Claim));
    let issued = Expected { issuer: Some("https://a"), ..at(0) };
    assert_eq!(check(r#"{"iss":"https://a"}"#, &issued), Ok(()));
    assert_eq!(check(r#"{"iss":"https://a/"}"#, &issued), Err(TokenError::Issuer));
    assert_eq!(check("{}", &issued), Err(TokenError::Issuer));
    let meant = Expected { audiences: &["shop", "web"], ..at(0) };
    assert_eq!(check(r#"{"aud":"shop"}"#, &meant), Ok(()));
    assert_eq!(check(r#"{"aud":["x","web"]}"#, &meant), Ok(()));
    assert_eq!(check(r#"{"aud":["x"]}"#, &meant), Err(TokenError::Audience));
    assert_eq!(check("{}", &meant), Err(TokenError::Audience));
}
