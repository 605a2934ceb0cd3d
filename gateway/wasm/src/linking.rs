//! The host calls of an engine, and a module's imports against them.

use wasmtime::{Engine, ExternType, InstancePre, Linker, UnknownImportError};

use crate::load_error::LoadError;
use crate::state::GuestState;
use crate::{calls, wasi};

/// All host calls whose type does not depend on the module.
pub(crate) fn host_calls(engine: &Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    calls::link(&mut linker)?;
    wasi::link(&mut linker)?;
    Ok(linker)
}

/// Links a module to all that it imports.
pub(crate) fn link(
    linker: &Linker<GuestState>,
    module: &wasmtime::Module,
) -> Result<InstancePre<GuestState>, LoadError> {
    let mut linker = linker.clone();
    for import in module.imports() {
        let refused = |reason: String| LoadError::Import {
            module: import.module().to_owned(),
            name: import.name().to_owned(),
            reason,
        };
        let ExternType::Func(signature) = import.ty() else {
            return Err(refused("which is no function".to_owned()));
        };
        calls::link_by_type(&mut linker, import.module(), import.name(), &signature)
            .map_err(|error| refused(one_line(&error)))?;
    }
    linker.instantiate_pre(module).map_err(|error| import_error(&error))
}

/// Only a type can still be wrong; wasmtime's message names the import.
fn import_error(error: &wasmtime::Error) -> LoadError {
    if let Some(unknown) = error.downcast_ref::<UnknownImportError>() {
        return LoadError::Import {
            module: unknown.module().to_owned(),
            name: unknown.name().to_owned(),
            reason: "which no host call is named".to_owned(),
        };
    }
    let message = one_line(error);
    let import = message.split('`').nth(1).unwrap_or("env::?");
    let (module, name) = import.split_once("::").unwrap_or(("env", import));
    LoadError::Import {
        module: module.to_owned(),
        name: name.to_owned(),
        reason: format!("with another type than the host call has ({})", error.root_cause()),
    }
}

/// An error without line breaks.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
