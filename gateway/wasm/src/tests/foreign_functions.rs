//! The foreign functions, given bytes as a guest gives them.

use super::*;
use crate::abi::Status;
use crate::call_end::CallError;
use crate::calls::foreign_function;
use crate::{decode_pairs, encode_pairs};

/// What a function gives back, or the status that the guest gets.
fn call(bench: &Bench, name: &str, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let called = bench.instance().with_vm(|vm| {
        let result = foreign_function(name.as_bytes())
            .and_then(|function| function(vm.store.data_mut(), arguments));
        Ok(result.map(|bytes| bytes.into_owned()).map_err(|error| match error {
            CallError::Refused(status, _) | CallError::Answer(status) => status,
            CallError::Ended(reason) => panic!("{reason}"),
            CallError::Trap(error) => panic!("{error}"),
        }))
    });
    called.unwrap()
}

fn named(arguments: &[(&str, &str)]) -> Vec<u8> {
    let pairs: Vec<_> = arguments.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    encode_pairs(&pairs)
}

#[test]
fn what_is_compressed_comes_back() {
    let bench = Bench::start("");
    for size in [0, 1, 100_000] {
        let text: Vec<u8> = (0..size).map(|nth: u32| (nth % 251) as u8).collect();
        let compressed = call(&bench, "compress", &text).unwrap();
        assert_eq!(call(&bench, "uncompress", &compressed), Ok(text));
    }
    assert_eq!(call(&bench, "uncompress", b"no zlib"), Err(Status::SerializationFailure));
    let compressed = call(&bench, "compress", b"cut short").unwrap();
    let cut = &compressed[..compressed.len() - 1];
    assert_eq!(call(&bench, "uncompress", cut), Err(Status::SerializationFailure));
}

#[test]
fn a_bomb_is_refused_before_it_fills_memory() {
    let bench = Bench::start("");
    let once = call(&bench, "compress", &vec![0; 15 << 20]);
    // A slow machine may have refused that for its time.
    let Ok(bomb) = once else { return };
    let bomb_of_bomb = call(&bench, "uncompress", &bomb);
    assert!(matches!(bomb_of_bomb, Ok(_) | Err(Status::InternalFailure)));
    let larger = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; 17 << 20], 1);
    assert_eq!(call(&bench, "uncompress", &larger), Err(Status::InternalFailure));
}

#[test]
fn hashes_codes_and_random_bytes_are_made_by_name() {
    let bench = Bench::start("");
    let hash = call(&bench, "portcullis_hash", &named(&[("hash", "sha256"), ("text", "")]));
    assert!(portcullis_crypto::hex(&hash.unwrap()).starts_with("e3b0c44298fc1c14"));
    let arguments =
        named(&[("hash", "sha256"), ("key", "Jefe"), ("text", "what do ya want for nothing?")]);
    let code = call(&bench, "portcullis_hmac", &arguments).unwrap();
    assert!(portcullis_crypto::hex(&code).starts_with("5bdcc146bf60754e"));
    assert_eq!(call(&bench, "portcullis_random", &named(&[("size", "32")])).unwrap().len(), 32);
    for (name, arguments) in [
        ("portcullis_hash", named(&[("hash", "md5"), ("text", "")])),
        ("portcullis_hash", named(&[("hash", "sha256")])),
        ("portcullis_hmac", b"\xff".to_vec()),
        ("portcullis_random", named(&[("size", "65537")])),
        ("portcullis_random", named(&[("size", "-1")])),
    ] {
        assert_eq!(call(&bench, name, &arguments), Err(Status::BadArgument), "{name}");
    }
    assert_eq!(call(&bench, "no_such", b""), Err(Status::NotFound));
}

/// RFC 7515, appendix A.1: signed with HS256, expired in 2011.
const KEYS: &str = r#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;
const TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

#[test]
fn tokens_are_verified_with_the_keys_given() {
    let bench = Bench::start("");
    let verify = |arguments: &[(&str, &str)]| {
        let given = call(&bench, "portcullis_jwt_verify", &named(arguments)).unwrap();
        let pairs = decode_pairs(&given).unwrap();
        pairs
            .iter()
            .map(|(n, v)| format!("{}={}", n.escape_ascii(), String::from_utf8_lossy(v)))
            .collect::<Vec<_>>()
    };
    let long_ago = ("leeway", "4000000000");
    let good = verify(&[("token", TOKEN), ("jwks", KEYS), long_ago, ("issuer", "joe")]);
    assert_eq!(good[..2], ["valid=true", "alg=HS256"]);
    assert!(good[2].starts_with("payload={\"iss\":\"joe\""));
    let expired = verify(&[("token", TOKEN), ("jwks", KEYS)]);
    assert_eq!(expired, ["valid=false", "reason=the token has expired"]);
    let other = verify(&[("token", TOKEN), ("jwks", KEYS), long_ago, ("issuer", "ann")]);
    assert_eq!(other, ["valid=false", "reason=the token is of another issuer"]);
    let audience = [("token", TOKEN), ("jwks", KEYS), long_ago, ("audience", "shop")];
    assert_eq!(verify(&audience)[1], "reason=the token is for another audience");
    assert_eq!(verify(&[("token", "x"), ("jwks", KEYS)])[1], "reason=the token is malformed");
    let unread = call(&bench, "portcullis_jwt_verify", &named(&[("token", "x"), ("jwks", "{}")]));
    assert_eq!(unread, Err(Status::BadArgument));
}
