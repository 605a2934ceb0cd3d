//! `call_foreign_function` and the functions that it offers, by name.

use wasmtime::Linker;

use super::outcome::Outcome;
use super::{compression, filter_state, foreign_crypto, foreign_jwt};
use crate::abi::Status;
use crate::call_end::CallError;
use crate::capability_gate::admit_foreign;
use crate::guest::{Guest, Slots, bytes, give, memory_and_state, run};
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
                let (memory, state) = memory_and_state(guest)?;
                let arguments = bytes(memory, arguments, arguments_length)?;
                let name = bytes(memory, name, name_length)?;
                let function = find(name)?;
                if state.is_strict() && name.starts_with(b"portcullis_") {
                    return Err(CallError::Refused(
                        Status::NotFound,
                        "Envoy has no such foreign function",
                    ));
                }
                admit_foreign(state, name)?;
                let result = function(state, arguments)?;
                give(guest, Slots { address, length }, &result)
            })
        },
    )?;
    Ok(())
}

pub(crate) type Function = fn(&mut GuestState, &[u8]) -> Outcome;

/// The function of a name.
pub(crate) fn find(name: &[u8]) -> Result<Function, CallError> {
    Ok(match name {
        // Envoy's.
        b"verify_signature" => foreign_crypto::verify_signature,
        b"compress" => compression::compress,
        b"uncompress" => compression::uncompress,
        b"set_envoy_filter_state" => filter_state::set,
        b"clear_route_cache" => filter_state::clear_route_cache,
        // Ours.
        b"portcullis_hash" => foreign_crypto::hash,
        b"portcullis_hmac" => foreign_crypto::hmac,
        b"portcullis_random" => foreign_crypto::random,
        b"portcullis_jwt_verify" => foreign_jwt::verify,
        _ => {
            return Err(CallError::Refused(Status::NotFound, "there is no such foreign function"));
        }
    })
}
