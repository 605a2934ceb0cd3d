//! A compiled module: checked to be Proxy-Wasm, linked to every host call that it imports.

use bytes::Bytes;
use portcullis_crypto::{hex, sha256};
use portcullis_model::Capabilities;
use portcullis_store::Store;
use wasmtime::{Engine, ExternType, InstancePre, Linker};

use crate::abi::AbiVersion;
use crate::capability_manifest::read_capability_manifest;
use crate::hooks::Hooks;
use crate::linking::link;
use crate::load_error::LoadError;
use crate::machine_code::{Compiled, compile};
use crate::state::GuestState;

/// The largest module that is compiled where nothing else is said, in bytes.
pub const MODULE_LIMIT: usize = 10 << 20;

/// A module ready to be instantiated: compiled once, linked once, shared by all plugins that use it.
pub struct Module {
    pre: InstancePre<GuestState>,
    abi: AbiVersion,
    hooks: Hooks,
    digest: String,
    source: Bytes,
    capabilities: Option<Capabilities>,
    was_kept: bool,
}

impl Module {
    /// Compiles and links, unless the machine code was kept; blocking, for control threads.
    pub(crate) fn compile(
        engine: &Engine,
        linker: &Linker<GuestState>,
        bytes: &[u8],
        kept: Option<&Store>,
    ) -> Result<Self, LoadError> {
        let capabilities = read_capability_manifest(bytes)?;
        let digest = hex(&sha256(bytes));
        let Compiled { module, was_kept } = compile(engine, (bytes, &digest), kept)?;
        let abi = check_exports(&module)?;
        let pre = link(linker, &module)?;
        let hooks = Hooks::of(&module);
        let source = Bytes::copy_from_slice(bytes);
        Ok(Module { pre, abi, hooks, digest, source, capabilities, was_kept })
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

    /// What it says that it touches.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.capabilities.as_ref()
    }

    /// Whether its machine code was kept, and the compiler had nothing to do.
    pub fn was_kept(&self) -> bool {
        self.was_kept
    }

    /// Its bytes, as they were compiled.
    pub(crate) fn source(&self) -> &Bytes {
        &self.source
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
