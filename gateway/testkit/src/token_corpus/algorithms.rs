//! Which algorithm goes with which key.

use aws_lc_rs::hmac;

use super::signer::{Signer, encode};
use super::{TokenFault, TokenVector, good_claims, put};

/// Tokens of every algorithm, of none, and of each by the key of another.
pub(super) fn add(
    vectors: &mut Vec<TokenVector>,
    signers: &[Signer],
    encryption: &Signer,
    now: u64,
) {
    let payload = good_claims(now);
    for signer in signers {
        let name = signer.algorithm;
        put(vectors, name, signer.token(&payload), None);
        let without_id = format!(r#"{{"alg":"{name}"}}"#);
        put(vectors, format!("{name} without kid"), signer.token_with(without_id, &payload), None);
        let typed = signer.header(r#","typ":"at+jwt","x":[1,{"y":null}]"#);
        put(vectors, format!("{name} with typ"), signer.token_with(typed, &payload), None);
        add_foreign_algorithms(vectors, signers, signer, &payload);
    }
    add_none(vectors, &signers[0], &payload);
    add_confusions(vectors, signers, &payload);
    put(vectors, "a key for encryption", encryption.token(&payload), TokenFault::NoKey);
    let stranger = Signer::ecdsa_p256("es256");
    put(vectors, "another's key of that id", stranger.token(&payload), TokenFault::Signature);
    let stranger = Signer::ecdsa_p256("nobody");
    put(vectors, "another's key", stranger.token(&payload), TokenFault::NoKey);
}

/// The header names another algorithm than the key has.
fn add_foreign_algorithms(
    vectors: &mut Vec<TokenVector>,
    signers: &[Signer],
    signer: &Signer,
    payload: &str,
) {
    for other in signers.iter().filter(|other| other.algorithm != signer.algorithm) {
        let header = format!(r#"{{"alg":"{}","kid":"{}"}}"#, other.algorithm, signer.id);
        let name = format!("{} by the key of {}", other.algorithm, signer.algorithm);
        put(vectors, name, signer.token_with(header, payload), TokenFault::NoKey);
    }
}

/// `none` in all spellings, with and without a signature, and algorithms that there are not.
fn add_none(vectors: &mut Vec<TokenVector>, signer: &Signer, payload: &str) {
    let names = [
        "none", "None", "NONE", "nOnE", " none", "none ", "", "hs256", "HS1", "HS265", "RS1",
        "RSA-OAEP", "A128KW", "dir", "ES256K", "ed25519", "null", "*",
    ];
    for name in names {
        let header = format!(r#"{{"alg":"{name}"}}"#);
        let unsigned = format!("{}.{}.", encode(&header), encode(payload));
        put(vectors, format!("alg {name:?} unsigned"), unsigned, TokenFault::Algorithm);
        let signed = signer.token_with(&header, payload);
        put(vectors, format!("alg {name:?} signed"), signed, TokenFault::Algorithm);
    }
    for value in ["null", "true", "1", "[\"HS256\"]", "{\"HS256\":1}"] {
        let header = format!(r#"{{"alg":{value},"kid":"hs256"}}"#);
        put(
            vectors,
            format!("alg {value}"),
            signer.token_with(header, payload),
            TokenFault::Malformed,
        );
    }
    let header = r#"{"kid":"hs256"}"#;
    put(vectors, "no alg", signer.token_with(header, payload), TokenFault::Malformed);
}

/// A public key, which everybody has, used as a secret.
fn add_confusions(vectors: &mut Vec<TokenVector>, signers: &[Signer], payload: &str) {
    let hashes =
        [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];
    for signer in signers.iter().filter(|signer| !signer.algorithm.starts_with("HS")) {
        for (name, hash) in hashes {
            let header = format!(r#"{{"alg":"{name}","kid":"{}"}}"#, signer.id);
            let signed = format!("{}.{}", encode(header), encode(payload));
            let secret = hmac::Key::new(hash, signer.key.as_bytes());
            let signature = encode(hmac::sign(&secret, signed.as_bytes()));
            let name = format!("{name} with the public key of {}", signer.algorithm);
            put(vectors, name, format!("{signed}.{signature}"), TokenFault::NoKey);
        }
    }
    for (name, hash) in hashes {
        let header = format!(r#"{{"alg":"{name}"}}"#);
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = encode(hmac::sign(&hmac::Key::new(hash, b""), signed.as_bytes()));
        let token = format!("{signed}.{signature}");
        put(vectors, format!("{name} with an empty secret"), token, TokenFault::Signature);
    }
}
