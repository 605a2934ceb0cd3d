//! JSON Web Tokens: a key set, a zero byte, a token.

use portcullis_crypto::jose::{Expected, KeySet, verify_token};

/// Key sets and tokens of every shape are refused or read; a token that verifies does not when it is changed.
pub(crate) fn run(input: &[u8]) {
    let zero = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (set, rest) = input.split_at(zero);
    let Ok(keys) = KeySet::parse(set) else { return };
    let Ok(token) = std::str::from_utf8(rest.get(1..).unwrap_or_default()) else { return };
    if let Ok(verified) = verify_token(token, &keys) {
        let _ = verified.claims.check(&Expected { now: 1, leeway: 1, ..Expected::default() });
        assert!(verify_token(&format!("{token}A"), &keys).is_err());
        assert!(verify_token(&format!("A{token}"), &keys).is_err());
    }
}
