//! Foreign functions of cryptography: Envoy's `verify_signature`; our hash, HMAC and random bytes.

use std::borrow::Cow;

use portcullis_crypto::{Hash, digest_of, fill_random, hmac_of};

use super::named_arguments::NamedArguments;
use super::outcome::Outcome;
use super::protobuf::{Malformed, fields, put_short_text, put_true};
use crate::abi::Status;
use crate::call_end::{CallError, bad_argument};
use crate::state::GuestState;

/// So many random bytes at once.
const MOST_RANDOM: usize = 64 << 10;

/// Envoy's `envoy.source.extensions.common.wasm.VerifySignatureArguments` in,
/// `VerifySignatureResult` out.
pub(super) fn verify_signature(_state: &mut GuestState, arguments: &[u8]) -> Outcome {
    let result = verify(arguments).map_err(|Malformed| {
        bad_argument("the arguments of `verify_signature` are not its protobuf message")
    })?;
    Ok(Cow::Owned(result))
}

fn verify(arguments: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (mut hash, mut key, mut signature, mut text) = (&b""[..], &b""[..], &b""[..], &b""[..]);
    for field in fields(arguments) {
        let field = field?;
        match (field.number, field.bytes) {
            (1, Some(bytes)) => hash = bytes,
            (2, Some(bytes)) => key = bytes,
            (3, Some(bytes)) => signature = bytes,
            (4, Some(bytes)) => text = bytes,
            _ => {}
        }
    }
    let mut result = Vec::with_capacity(64);
    match std::str::from_utf8(hash).ok().and_then(Hash::named) {
        None => put_short_text(&mut result, 2, "the hash function is not known"),
        Some(hash) => match portcullis_crypto::verify_signature(hash, key, signature, text) {
            Ok(()) => put_true(&mut result, 1),
            Err(error) => put_short_text(&mut result, 2, &error.to_string()),
        },
    }
    Ok(result)
}

/// The digest of `text` by `hash`.
pub(super) fn hash(_state: &mut GuestState, arguments: &[u8]) -> Outcome {
    let arguments = NamedArguments::read(arguments)?;
    Ok(Cow::Owned(digest_of(hash_named(&arguments)?, arguments.bytes("text")?)))
}

/// The HMAC of `text` by `hash` with `key`.
pub(super) fn hmac(_state: &mut GuestState, arguments: &[u8]) -> Outcome {
    let arguments = NamedArguments::read(arguments)?;
    let (key, text) = (arguments.bytes("key")?, arguments.bytes("text")?);
    Ok(Cow::Owned(hmac_of(hash_named(&arguments)?, key, text)))
}

/// `size` random bytes fit for keys.
pub(super) fn random(state: &mut GuestState, arguments: &[u8]) -> Outcome {
    let arguments = NamedArguments::read(arguments)?;
    let size = usize::try_from(arguments.number("size")?).unwrap_or(usize::MAX);
    if size > MOST_RANDOM {
        return Err(bad_argument("no more than 64 KiB of random bytes come at once"));
    }
    state.drew_random = true;
    let mut random = vec![0; size];
    if fill_random(&mut random) {
        Ok(Cow::Owned(random))
    } else {
        Err(CallError::Refused(Status::InternalFailure, "the system has no random bytes"))
    }
}

/// Without SHA-1: what is new has no use for it.
fn hash_named(arguments: &NamedArguments<'_>) -> Result<Hash, CallError> {
    let hash = Hash::named(arguments.text("hash")?).filter(|hash| *hash != Hash::Sha1);
    hash.ok_or_else(|| bad_argument("`hash` is none of sha256, sha384 and sha512"))
}
