//! `call_foreign_function` and the functions that it offers.

use portcullis_crypto::{Hash, verify_signature};
use wasmtime::Linker;

use super::contexts::clear_route_cache;
use super::protobuf::{Malformed, fields, put_short_text, put_true};
use crate::abi::Status;
use crate::guest::{
    CallError, CallResult, Guest, Slots, bad_argument, bytes, give, memory_and_state, run,
};
use crate::state::GuestState;

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_call_foreign_function",
        |guest: Guest<'_>,
         name: u32,
         name_length: u32,
         arguments: u32,
         arguments_length: u32,
         address: u32,
         length: u32| {
            run(guest, "proxy_call_foreign_function", |guest| {
                let arguments = (arguments, arguments_length);
                call(guest, (name, name_length), arguments, Slots { address, length })
            })
        },
    )?;
    Ok(())
}

fn call(
    guest: &mut Guest<'_>,
    name: (u32, u32),
    arguments: (u32, u32),
    slots: Slots,
) -> CallResult {
    let (memory, _) = memory_and_state(guest)?;
    let arguments = bytes(memory, arguments.0, arguments.1)?;
    match bytes(memory, name.0, name.1)? {
        b"verify_signature" => {
            let result = verify(arguments).map_err(|Malformed| {
                bad_argument("the arguments of `verify_signature` are not its protobuf message")
            })?;
            give(guest, slots, &result)
        }
        b"clear_route_cache" => {
            clear_route_cache(guest)?;
            give(guest, slots, b"")
        }
        _ => Err(CallError::Refused(Status::NotFound, "there is no such foreign function")),
    }
}

/// Envoy's `envoy.source.extensions.common.wasm.VerifySignatureArguments` in,
/// `VerifySignatureResult` out.
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
        Some(hash) => match verify_signature(hash, key, signature, text) {
            Ok(()) => put_true(&mut result, 1),
            Err(error) => put_short_text(&mut result, 2, &error.to_string()),
        },
    }
    Ok(result)
}
