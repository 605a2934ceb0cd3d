//! A compiled module: checked to be Proxy-Wasm, linked to every host call that it imports.

use portcullis_crypto::{hex, sha256};
use wasmtime::{Engine, ExternType, InstancePre, Linker, UnknownImportError};

use crate::abi::AbiVersion;
use crate::calls;
use crate::hooks::Hooks;
use crate::load_error::LoadError;
use crate::state::GuestState;

/// The largest module that is compiled, in bytes.
pub const MODULE_LIMIT: usize = 10 << 20;

/// A module ready to be instantiated: compiled once, linked once, shared by all plugins that use it.
pub struct Module {
    pre: InstancePre<GuestState>,
    abi: AbiVersion,
    hooks: Hooks,
    digest: String,
}

impl Module {
    /// Compiles and links; blocking, for control threads.
    pub(crate) fn compile(
        engine: &Engine,
        linker: &Linker<GuestState>,
        bytes: &[u8],
    ) -> Result<Self, LoadError> {
        if bytes.len() > MODULE_LIMIT {
            return Err(LoadError::TooLarge { size: bytes.len(), limit: MODULE_LIMIT });
        }
        let module = wasmtime::Module::from_binary(engine, bytes)
            .map_err(|error| LoadError::Compile(one_line(&error)))?;
        let abi = check_exports(&module)?;
        let pre = link(linker, &module)?;
        Ok(Module { pre, abi, hooks: Hooks::of(&module), digest: hex(&sha256(bytes)) })
    }

    /// The Proxy-Wasm version that it declares.
    pub fn abi(&self) -> AbiVersion {
        self.abi
    }

    /// What it wants to see of messages.
    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// The SHA-256 of its bytes, in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Linked, ready to instantiate.
    pub(crate) fn pre(&self) -> &InstancePre<GuestState> {
        &self.pre
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Module({}, ABI {})", self.digest, self.abi)
    }
}

fn check_exports(module: &wasmtime::Module) -> Result<AbiVersion, LoadError> {
    let is_func = |name| matches!(module.get_export(name), Some(ExternType::Func(_)));
    let Some(abi) = AbiVersion::ALL.into_iter().find(|version| is_func(version.marker())) else {
        let other = module.exports().find(|export| export.name().starts_with("proxy_abi_version_"));
        return Err(LoadError::Abi(match other {
            Some(export) => format!("the module declares an unknown ABI, `{}`", export.name()),
            None => {
                "the module declares no Proxy-Wasm ABI (no export `proxy_abi_version_…`)".to_owned()
            }
        }));
    };
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(LoadError::Abi("the module exports no memory named `memory`".to_owned()));
    }
    if !["malloc", "proxy_on_memory_allocate"].into_iter().any(is_func) {
        return Err(LoadError::Allocator);
    }
    Ok(abi)
}

fn link(
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

fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
