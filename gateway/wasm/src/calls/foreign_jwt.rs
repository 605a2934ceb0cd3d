//! Our foreign function that verifies JSON Web Tokens with native cryptography.

use std::borrow::Cow;

use portcullis_crypto::jose::{Expected, TokenError, VerifiedToken, verify_token};

use super::logging::wall_clock;
use super::named_arguments::{NamedArguments, as_text};
use super::outcome::Outcome;
use crate::abi::encode_pairs;
use crate::call_end::bad_argument;
use crate::state::GuestState;

/// By how many seconds clocks may differ, where the plugin does not say.
const LEEWAY: u64 = 60;
/// Verifies `token` with the keys of `jwks`, and its claims: `issuer` and `audience` (any number) where they are given,
/// `leeway` in seconds.
///
/// A good token gives `valid` (`true`), `payload` (its claims as they were sent), `alg`, and `kid` where it has one; any
/// other `valid` (`false`) and `reason`.
pub(super) fn verify(state: &mut GuestState, arguments: &[u8]) -> Outcome {
    let arguments = NamedArguments::read(arguments)?;
    let keys = state.key_sets.read(arguments.bytes("jwks")?);
    let keys = keys.map_err(|_| bad_argument("`jwks` is no key set"))?;
    let audiences = arguments.all("audience").map(as_text).collect::<Result<Vec<_>, _>>()?;
    let expected = Expected {
        now: wall_clock() / 1_000_000_000,
        leeway: arguments.optional_number("leeway")?.unwrap_or(LEEWAY),
        issuer: arguments.optional_text("issuer")?,
        audiences: &audiences,
    };
    // A token that is no text is as good as any other that is malformed.
    let token = std::str::from_utf8(arguments.bytes("token")?).unwrap_or("");
    let verified = verify_token(token, &keys).and_then(|token| {
        token.claims.check(&expected)?;
        Ok(token)
    });
    Ok(Cow::Owned(match verified {
        Ok(token) => accepted(&token),
        Err(error) => refused(error),
    }))
}

fn accepted(token: &VerifiedToken) -> Vec<u8> {
    let mut pairs = vec![
        (&b"valid"[..], &b"true"[..]),
        (b"alg", token.algorithm.as_str().as_bytes()),
        (b"payload", &token.payload),
    ];
    if let Some(id) = &token.key_id {
        pairs.push((b"kid", id.as_bytes()));
    }
    encode_pairs(&pairs)
}

fn refused(error: TokenError) -> Vec<u8> {
    encode_pairs(&[(b"valid", b"false"), (b"reason", error.to_string().as_bytes())])
}
