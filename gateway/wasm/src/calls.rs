//! The host calls that a module may import from `env`, one file per capability.

mod buffers;
mod compression;
mod contexts;
mod filter_state;
mod foreign;
mod foreign_crypto;
mod foreign_jwt;
mod grpc;
mod grpc_service;
mod header_edit;
mod header_view;
mod headers;
mod http_call;
mod local_reply;
pub(crate) mod logging;
mod metrics;
mod named_arguments;
mod outcome;
mod properties;
mod protobuf;
mod shared;
mod ticks;

#[cfg(test)]
pub(crate) use foreign::find as foreign_function;
pub(crate) use header_view::{request_field_count, response_field_count};

use wasmtime::{FuncType, Linker};

use crate::state::GuestState;

/// Links every host call whose type does not depend on the module.
pub(crate) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    logging::link(linker)?;
    headers::link(linker)?;
    buffers::link(linker)?;
    local_reply::link(linker)?;
    metrics::link(linker)?;
    properties::link(linker)?;
    foreign::link(linker)?;
    contexts::link(linker)?;
    shared::link(linker)?;
    ticks::link(linker)?;
    http_call::link(linker)?;
    grpc::link(linker)
}

/// Links the calls of ABI 0.1.0 of which some modules declare a result and some none.
pub(crate) fn link_by_type(
    linker: &mut Linker<GuestState>,
    module: &str,
    name: &str,
    signature: &FuncType,
) -> wasmtime::Result<()> {
    if module == "env" { contexts::link_by_type(linker, name, signature) } else { Ok(()) }
}
